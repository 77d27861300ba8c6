//! What a running stage is given: its directory, its inputs, and ways to report.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Interrupted};
use crate::files::{create_dir, write_atomic, write_json};
use crate::manifest::now;
use crate::progress::Progress;
use crate::score::Scores;

/// The directory in a stage's `outputs` whose sounds (`.wav`), pictures (`.png`) and texts (`.txt`) reports show.
pub const EXHIBITS: &str = "exhibits";
/// The file in a stage's directory that its numbers are appended to as it runs.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// One run of a stage in its directory.
pub struct StageRun {
    dir: PathBuf,
    inputs: BTreeMap<&'static str, PathBuf>,
    progress: Progress,
    interrupt: Arc<AtomicBool>,
}

impl StageRun {
    /// A run in `dir`, whose `outputs` and `checkpoints` directories are made; for running a stage's body by hand.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn new(
        dir: PathBuf,
        inputs: BTreeMap<&'static str, PathBuf>,
        progress: Progress,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        create_dir(&dir.join("outputs"))?;
        create_dir(&dir.join("checkpoints"))?;
        Ok(Self { dir, inputs, progress, interrupt })
    }

    /// The stage's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where results go that other stages read.
    pub fn outputs(&self) -> PathBuf {
        self.dir.join("outputs")
    }

    /// Where sounds (`.wav`), pictures (`.png`) and texts (`.txt`) go that reports show, made if it is not there.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn exhibits(&self) -> Result<PathBuf, Error> {
        let dir = self.outputs().join(EXHIBITS);
        create_dir(&dir)?;
        Ok(dir)
    }

    /// Where a step loop keeps what it needs to continue.
    pub fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// The `outputs` directory of an input stage.
    ///
    /// # Panics
    /// If the stage declares no input of this name.
    pub fn input(&self, name: &str) -> PathBuf {
        self.input_dir(name).join("outputs")
    }

    /// The same of an input that the stage need not have.
    pub fn input_if_any(&self, name: &str) -> Option<PathBuf> {
        self.inputs.contains_key(name).then(|| self.input(name))
    }

    /// The directory of an input stage.
    ///
    /// # Panics
    /// If the stage declares no input of this name.
    pub fn input_dir(&self, name: &str) -> &Path {
        let declared = || self.inputs.keys().copied().collect::<Vec<_>>().join(", ");
        self.inputs.get(name).unwrap_or_else(|| panic!("no input named {name} is declared; declared: {}", declared()))
    }

    /// Writes a file into `outputs`, atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_output(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        write_atomic(&self.outputs().join(name), bytes)
    }

    /// Writes JSON into `outputs`, atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        write_json(&self.outputs().join(name), value)
    }

    /// Writes the stage's scores, which is what columns read.
    ///
    /// # Errors
    /// [`Error::Score`] for a value that is not finite, [`Error::File`].
    pub fn write_scores(&self, scores: &Scores) -> Result<(), Error> {
        scores.write(&self.outputs())
    }

    /// The progress reporter.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Opens `metrics.jsonl` for a loop that continues after `step` (0 for a fresh start): lines of later steps, written
    /// by a run that was killed before its next checkpoint, are dropped.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn metrics(&self, step: u64) -> Result<Metrics, Error> {
        Metrics::continue_after(&self.dir.join(METRICS), step)
    }

    /// Adds a line to `log.txt`, with the time in UTC.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn log(&self, message: impl Display) -> Result<(), Error> {
        append_log(&self.dir, message)
    }

    /// Whether the run was asked to stop.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The flag behind [`Self::interrupted`], for a loop that runs elsewhere.
    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// An error to return with `?` when the run was asked to stop.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.interrupted() { Err(Interrupted) } else { Ok(()) }
    }
}

/// Adds a line to a stage directory's `log.txt`.
pub(crate) fn append_log(dir: &Path, message: impl Display) -> Result<(), Error> {
    let path = dir.join("log.txt");
    let write = || {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(format!("{} {message}\n", now()).as_bytes())
    };
    write().map_err(Error::file("write", &path))
}

/// The appender of `metrics.jsonl`: one JSON object per line, each with its `step`.
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens a file after dropping a torn last line and all lines whose `step` is greater than `step`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn continue_after(path: &Path, step: u64) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => {
                // Of curves that an archive thinned, steps are means.
                let keep = |line: &&str| {
                    let line: Option<Value> = serde_json::from_str(line).ok();
                    line.is_some_and(|line| line["step"].as_f64().is_none_or(|at| at <= step as f64))
                };
                let kept: String = text.lines().filter(keep).flat_map(|line| [line, "\n"]).collect();
                if kept != text {
                    write_atomic(path, kept.as_bytes())?;
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("read", path)(error)),
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::file("write", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds one line: `{"step": step, …}` with the fields of `record`, which must serialise to an object.
    ///
    /// # Errors
    /// [`Error::File`].
    ///
    /// # Panics
    /// If `record` is not an object.
    pub fn append(&mut self, step: u64, record: &impl Serialize) -> Result<(), Error> {
        let record = serde_json::to_value(record).expect("a record serialises");
        let Value::Object(fields) = record else { panic!("a record of metrics is an object, not {record}") };
        let mut line = serde_json::Map::from_iter([("step".to_owned(), Value::from(step))]);
        line.extend(fields);
        // One write per line, so that a kill tears the last line at most.
        self.file.write_all(format!("{}\n", Value::Object(line)).as_bytes()).map_err(Error::file("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metrics_of_steps_that_run_again_and_a_torn_line_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::continue_after(&path, 0).unwrap();
        for step in 1..=5 {
            metrics.append(step, &json!({ "loss": 1.5 })).unwrap();
        }
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\": 2, \"lo").unwrap();
        let mut metrics = Metrics::continue_after(&path, 3).unwrap();
        metrics.append(4, &json!({ "loss": 0.5 })).unwrap();
        let lines = fs::read_to_string(&path).unwrap();
        let expected = "{\"step\":1,\"loss\":1.5}\n{\"step\":2,\"loss\":1.5}\n{\"step\":3,\"loss\":1.5}\n{\"step\":4,\"loss\":0.5}\n";
        assert_eq!(lines, expected);
    }

    #[test]
    #[should_panic(expected = "no input named units is declared; declared: data")]
    fn an_undeclared_input_is_a_bug() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = BTreeMap::from([("data", PathBuf::from("x"))]);
        let run = StageRun::new(dir.path().join("s"), inputs, Progress::hidden(), Arc::default()).unwrap();
        assert_eq!(run.input("data"), Path::new("x/outputs"));
        run.input("units");
    }
}
