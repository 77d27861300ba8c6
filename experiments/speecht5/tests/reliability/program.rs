//! The program under test, the run that nothing disturbs, and what is compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use vocable_random::Key;
use vocable_train::Checkpoint;

/// One cell of the ablation with few updates, each of them saved.
const RUN: [&str; 12] = [
    "run",
    "ablation",
    "--scale=smoke",
    "--row=SpeechT5",
    "--column=SID",
    "--threads=2",
    "units.max_iter=2",
    "pretrain.train.updates=8",
    "pretrain.train.checkpoint_every=1",
    "pretrain.train.validate_every=3",
    "sid.train.updates=5",
    "sid.train.checkpoint_every=1",
];

/// Longer than any wait of a run that is alive.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a finished run leaves that does not depend on how it got there, by path.
pub type EndState = BTreeMap<PathBuf, Vec<u8>>;

/// The run that nothing disturbs.
pub struct Reference {
    directory: TempDir,
    /// How long it took after preparation and units.
    pub duration: Duration,
    end: EndState,
}

impl Reference {
    pub fn run() -> Self {
        let directory = tempfile::tempdir().unwrap();
        succeeds(&output(command(directory.path())));
        // Again without the stages that a trial is given, for the time it takes.
        let shorter = tempfile::tempdir().unwrap();
        copy_inputs(directory.path(), shorter.path());
        let begun = Instant::now();
        succeeds(&output(command(shorter.path())));
        let (duration, end) = (begun.elapsed(), end_state(directory.path()));
        for file in ["step-000008/model.safetensors", "step-000008/optimiser.safetensors", "metrics.jsonl"] {
            assert!(end.keys().any(|path| path.ends_with(file)), "{file} is not compared");
        }
        same(&end, &end_state(shorter.path()));
        Self { directory, duration, end }
    }
}

/// A run that something happens to, in a directory of its own.
pub struct Trial<'a> {
    reference: &'a Reference,
    directory: TempDir,
    /// What the moment of the fault is drawn from.
    pub key: Key,
}

impl<'a> Trial<'a> {
    /// A trial that begins where training does.
    pub fn new(reference: &'a Reference, key: Key) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("runs")).unwrap();
        let this = Self { reference, directory, key };
        copy_inputs(reference.directory.path(), &this.runs());
        this
    }

    /// How long an undisturbed run takes.
    pub fn duration(&self) -> Duration {
        self.reference.duration
    }

    /// Where nothing of the run is.
    pub fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// The runs directory.
    pub fn runs(&self) -> PathBuf {
        self.directory.path().join("runs")
    }

    /// The directory of the stage whose training is disturbed.
    pub fn stage(&self) -> PathBuf {
        self.runs().join("stages").join(stage(self.reference.directory.path(), "pretrain-"))
    }

    /// The checkpoints of that stage.
    pub fn checkpoints(&self) -> PathBuf {
        self.stage().join("checkpoints")
    }

    /// The checkpoint after `update` updates.
    pub fn checkpoint(&self, update: usize) -> PathBuf {
        self.checkpoints().join(format!("step-{update:06}"))
    }

    /// The run as a command.
    pub fn command(&self) -> Command {
        command(&self.runs())
    }

    /// The run under a limit on the size of files, in blocks of 512 bytes: it dies where it would write more, or with
    /// `survive` it is told so.
    pub fn limited(&self, blocks: u64, survive: bool) -> Output {
        let trap = if survive { "trap '' XFSZ; " } else { "" };
        let run = self.command();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{trap}ulimit -c 0; ulimit -f {blocks}; exec \"$@\"")).arg("sh");
        shell.arg(run.get_program()).args(run.get_args());
        output(shell)
    }

    /// Runs until `when` holds, kills the process, and tells whether it was alive.
    pub fn kill_when(&self, when: impl FnMut() -> bool) -> bool {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let alive = wait_until(&mut child, when);
        child.kill().unwrap();
        child.wait().unwrap();
        alive
    }

    /// Runs until so many updates are saved, and kills the process there or soon after.
    pub fn kill_after(&self, update: usize) {
        let checkpoint = self.checkpoint(update);
        assert!(self.kill_when(|| checkpoint.exists()), "the run ended before update {update}");
    }

    /// The run ends with an error that says `words`.
    pub fn fails(&self, output: &Output, words: &[&str]) {
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{log}");
        let failed = log.lines().find(|line| line.starts_with("failed: ")).unwrap_or_else(|| panic!("{log}"));
        for word in words {
            assert!(failed.contains(word), "no `{word}` in: {failed}");
        }
    }

    /// The checkpoint after `update` updates is whole.
    pub fn is_intact(&self, update: usize) {
        let checkpoint = Checkpoint::read(&self.checkpoint(update)).unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(checkpoint.state.update, update);
    }

    /// Runs to the end and compares everything.
    pub fn ends_like_the_reference(&self) {
        succeeds(&output(self.command()));
        same(&self.reference.end, &end_state(&self.runs()));
    }
}

/// Looks again and again until `when` holds; false when the process ends before.
pub fn wait_until(child: &mut Child, mut when: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !when() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        sleep(Duration::from_micros(200));
    }
    true
}

fn command(runs: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speecht5"));
    command.args(RUN).arg("--runs").arg(runs);
    command
}

/// What a command that is waited for prints.
pub fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program starts")
}

pub fn succeeds(output: &Output) {
    let status: ExitStatus = output.status;
    assert!(status.success(), "{status}: {}", text(&output.stderr));
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name of the only stage of a kind.
fn stage(runs: &Path, kind: &str) -> PathBuf {
    let mut names = fs::read_dir(runs.join("stages")).unwrap().map(|entry| entry.unwrap().file_name());
    names.find(|name| name.to_string_lossy().starts_with(kind)).expect("a stage of this kind has run").into()
}

/// Copies the finished stages before training.
fn copy_inputs(from: &Path, to: &Path) {
    for kind in ["prepare-", "units-"] {
        let name = stage(from, kind);
        copy(&from.join("stages").join(&name), &to.join("stages").join(&name));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

pub fn end_state(runs: &Path) -> EndState {
    let mut files = EndState::new();
    for entry in fs::read_dir(runs.join("stages")).unwrap().map(Result::unwrap) {
        collect(runs, &entry.path(), &mut files);
    }
    collect(runs, &runs.join("tables"), &mut files);
    files
}

/// Reads what lies in a directory, without what tells of time, memory and processes.
fn collect(runs: &Path, directory: &Path, files: &mut EndState) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A checkpoint that was damaged is set aside for whoever wants to look at it.
        if entry.file_type().unwrap().is_dir() && !name.starts_with("damaged-") {
            collect(runs, &path, files);
        }
        let bytes = || fs::read(&path).unwrap();
        let without = |line: &[u8], keys: &[&str]| {
            let mut value: Value = serde_json::from_slice(line).unwrap();
            keys.iter().for_each(|key| drop(value.as_object_mut().unwrap().shift_remove(*key)));
            (value.to_string() + "\n").into_bytes()
        };
        let kept = match name.as_str() {
            "lock" | "log.txt" | "manifest.json" => continue,
            // They tell of time and memory.
            events if events.starts_with("events.") => continue,
            // It covers the length of the records, whose times have digits.
            "SHA256SUMS" => continue,
            "state.json" => without(&bytes(), &["metrics_bytes"]),
            "metrics.jsonl" => {
                let lines = text(&bytes());
                lines.lines().flat_map(|line| without(line.as_bytes(), &["seconds", "waited", "memory"])).collect()
            }
            table if table.starts_with("ablation-") => {
                without(&bytes(), &["command", "seconds", "stages", "cores", "code"])
            }
            _ if path.is_dir() => continue,
            _ => bytes(),
        };
        files.insert(path.strip_prefix(runs).unwrap().to_owned(), kept);
    }
}

/// Two runs left the same; a difference is named.
pub fn same(expected: &EndState, found: &EndState) {
    let names = |state: &EndState| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found));
    for (path, bytes) in expected {
        assert!(bytes == &found[path], "{} differs", path.display());
    }
}
