//! Runs the stages of a plan, one after another or several at a time.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use crate::board::{Board, End};
use crate::config;
use crate::error::{ConfigError, Error, Interrupted};
use crate::files::{create_dir, sync_directories, write_atomic};
use crate::manifest::{Manifest, Provenance, Status, now};
use crate::plan::{Plan, State, input_dirs, stage_dir, state};
use crate::progress::{Progress, Style, about, say};
use crate::stage::Stage;
use crate::stage_run::{METRICS, StageRun, append_log};

/// Runs stages under one runs directory.
pub struct Runner {
    runs: PathBuf,
    provenance: Provenance,
    interrupt: Arc<AtomicBool>,
    jobs: usize,
    style: Style,
}

/// How a plan went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Stages that ran now, in order.
    pub ran: Vec<String>,
    /// How many were done before.
    pub reused: usize,
    /// Stages that failed, with the reason on one line.
    pub failed: Vec<(String, String)>,
    /// Whether the run was asked to stop before its end.
    pub interrupted: bool,
    /// Why a stage has no result, by identity: it failed, or something it needs did.
    reasons: HashMap<String, String>,
}

impl Outcome {
    /// Why a stage has no result, if it failed or something it needs did.
    pub fn reason(&self, stage: &Stage) -> Option<&str> {
        self.reasons.get(stage.identity()).map(String::as_str)
    }

    /// Says why a stage has no result.
    pub(crate) fn lose(&mut self, stage: &Stage, reason: String) {
        self.reasons.insert(stage.identity().to_owned(), reason);
    }
}

impl Runner {
    /// A runner of one stage at a time; `interrupt` turning true makes stages stop at their next chance.
    pub fn new(runs: PathBuf, provenance: Provenance, interrupt: Arc<AtomicBool>) -> Self {
        Self { runs, provenance, interrupt, jobs: 1, style: Style::of_stderr() }
    }

    /// The same runner working on `jobs` stages at a time, each on its share of the threads.
    #[must_use]
    pub fn jobs(self, jobs: usize) -> Self {
        Self { jobs: jobs.max(1), ..self }
    }

    /// The same, showing its progress in this style.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Runs what is not done. A stage that fails keeps only those from running that need it.
    ///
    /// # Errors
    /// [`Error`] when the state of a stage cannot be read. A failing stage is no error; it is in the [`Outcome`].
    pub fn run(&self, plan: &Plan) -> Result<Outcome, Error> {
        let _at_work = self.at_work()?;
        // Several bars would write over each other.
        let style = if self.jobs > 1 && self.style == Style::Tui { Style::Plain } else { self.style };
        let board = Board::new(plan, &plan.states(&self.runs)?, self.jobs, style);
        if self.jobs == 1 {
            self.work(&board);
            return Ok(board.outcome());
        }
        let threads = (rayon::current_num_threads() / self.jobs).max(1);
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pools = (0..self.jobs).map(|_| pool()).collect::<Result<Vec<_>, _>>();
        let pools = pools.map_err(|error| ConfigError::Other(format!("{} jobs: {error}", self.jobs)))?;
        std::thread::scope(|scope| {
            for pool in &pools {
                scope.spawn(|| pool.install(|| self.work(&board)));
            }
        });
        Ok(board.outcome())
    }

    /// Says to others that a run is at work under the runs directory, for as long as the result lives; makes the directory.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn at_work(&self) -> Result<File, Error> {
        for name in ["stages", "tables"] {
            create_dir(&self.runs.join(name))?;
        }
        let presence = presence(&self.runs)?;
        presence.lock_shared().map_err(Error::file("lock", &self.runs))?;
        Ok(presence)
    }

    /// Works on a plan, beside others if there are any, until nothing is left to begin.
    fn work(&self, board: &Board) {
        while let Some(task) = board.next(&self.interrupt) {
            let verb = if task.partial { "continues" } else { "begins" };
            board.say(&task, &format!("{verb}, {}", about(task.stage.cost().seconds)));
            let begun = Instant::now();
            let end =
                self.run_stage(task.stage, board.style()).unwrap_or_else(|error| End::Failed(one_line(&error.into())));
            board.ended(&task, end, begun.elapsed().as_secs_f64());
        }
    }

    /// Runs one stage whose inputs are done, under its lock.
    fn run_stage(&self, stage: &Stage, style: Style) -> Result<End, Error> {
        let dir = stage_dir(&self.runs, stage);
        // Not those above: a runs directory that was taken away must not begin anew where it was.
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Error::file("create", &dir)(error)),
            _ => {}
        }
        let _lock = lock(&dir, &stage.name())?;
        if let State::Done(_) = state(stage, &self.runs)? {
            return Ok(End::Reused);
        }
        let mut manifest = self.begin(stage, &dir)?;
        let begun = Instant::now();
        let inputs = input_dirs(&self.runs, stage);
        let progress = Progress::new(stage.name(), style);
        let run = StageRun::new(dir.clone(), inputs, progress, Arc::clone(&self.interrupt))?;
        let result = attempt(stage, &run);
        run.progress().finish();
        let end = match result {
            Ok(()) => End::Done,
            Err(error) if is_interrupt(&error) => End::Interrupted,
            Err(error) => End::Failed(one_line(&error)),
        };
        manifest.status = match end {
            End::Done | End::Reused => Status::Done,
            End::Interrupted => Status::Interrupted,
            End::Failed(_) => Status::Failed,
        };
        if matches!(end, End::Done) {
            // Whoever wrote them: a manifest that says done must not outlive an output.
            sync_directories(&dir)?;
        }
        manifest.wall_seconds += begun.elapsed().as_secs_f64();
        manifest.ended = Some(now());
        if let End::Failed(message) = &end {
            manifest.error = Some(message.clone());
            // A full disk or a missing directory may refuse this too; why the stage failed is what must be said.
            let noted = append_log(&dir, format!("failed: {message}")).and_then(|()| manifest.write(&dir));
            if let Err(error) = noted {
                say(format!("warning: {}", one_line(&error.into())));
            }
        } else {
            manifest.write(&dir)?;
        }
        Ok(end)
    }

    /// Writes what is known at the start: the resolved configuration, and a manifest that says `running`.
    fn begin(&self, stage: &Stage, dir: &Path) -> Result<Manifest, Error> {
        let before = Manifest::read(dir)?;
        let wall_seconds = before.as_ref().map_or(0.0, |manifest| match manifest.status {
            Status::Running => manifest.wall_seconds + seconds_at_work(dir, &manifest.resumed),
            Status::Interrupted | Status::Failed | Status::Done => manifest.wall_seconds,
        });
        let started = now();
        let manifest = Manifest {
            status: Status::Running,
            kind: stage.kind().to_owned(),
            contract: stage.contract(),
            identity: stage.identity().to_owned(),
            config_hash: config::hash(stage.config()),
            inputs: stage.inputs().iter().map(|(name, input)| ((*name).to_owned(), input.name())).collect(),
            started: before.as_ref().map_or_else(|| started.clone(), |manifest| manifest.started.clone()),
            resumed: started,
            ended: None,
            wall_seconds,
            runs: before.map_or(0, |manifest| manifest.runs) + 1,
            error: None,
            archived: false,
            left_out: Vec::new(),
            provenance: self.provenance.clone(),
        };
        // The stage is locked, so whoever left them is not there any more.
        for folder in [dir, &dir.join("outputs")] {
            vocable_files::remove_partial(folder).map_err(Error::file("clean", folder))?;
        }
        write_atomic(&dir.join("config.toml"), config::to_toml(stage.config()).as_bytes())?;
        manifest.write(dir)?;
        Ok(manifest)
    }
}

/// The file that every run under a runs directory holds as long as it works, shared with others; who removes stages holds
/// it alone.
pub(crate) fn presence(runs: &Path) -> Result<File, Error> {
    to_lock(&runs.join("lock"))
}

/// Keeps other processes from writing records of tables for as long as the file lives; waits until none does.
pub(crate) fn alone_with_records(runs: &Path) -> Result<File, Error> {
    let path = runs.join("tables/lock");
    let file = to_lock(&path)?;
    file.lock().map_err(Error::file("lock", &path))?;
    Ok(file)
}

/// A file that is there to be locked alone.
fn to_lock(path: &Path) -> Result<File, Error> {
    File::options().create(true).append(true).open(path).map_err(Error::file("write", path))
}

/// Keeps other processes out of a stage directory for as long as the file lives.
pub(crate) fn lock(dir: &Path, stage: &str) -> Result<File, Error> {
    let path = dir.join("lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(Error::file("write", &path))?;
    match file.try_lock() {
        Ok(()) => {
            let holder = format!("process {} since {}", std::process::id(), now());
            file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(Error::file("write", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is only for the message.
            let _ = file.read_to_string(&mut holder);
            Err(Error::Locked { stage: stage.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(Error::file("lock", &path)(source)),
    }
}

/// How long a run that was killed had worked: from its start to the last file it wrote.
fn seconds_at_work(dir: &Path, since: &str) -> f64 {
    let modified = |dir: PathBuf| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
    };
    // The lock file is written by the run that asks, so it says nothing.
    let files = [METRICS, "log.txt"].map(|name| fs::metadata(dir.join(name)).ok()?.modified().ok());
    let dirs = ["outputs", "checkpoints"].map(|name| modified(dir.join(name)));
    let last = files.into_iter().chain(dirs).flatten().max();
    let began: Option<SystemTime> = humantime::parse_rfc3339(since).ok();
    let worked = began.zip(last).and_then(|(began, last)| last.duration_since(began).ok());
    worked.map_or(0.0, |worked| worked.as_secs_f64())
}

/// Runs a stage's body. A panic is a bug of the stage and becomes an error: other stages are worth having all the same.
pub(crate) fn attempt(stage: &Stage, run: &StageRun) -> anyhow::Result<()> {
    catch_unwind(AssertUnwindSafe(|| stage.body(run)))
        .unwrap_or_else(|panic| Err(anyhow::anyhow!("panicked: {}", panic_message(&*panic))))
}

fn is_interrupt(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>())
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "no message".to_owned()).lines().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::manifest::Build;
    use crate::score::{Score, Scores};

    fn runner(runs: &Path) -> (Runner, Arc<AtomicBool>) {
        let interrupt = Arc::new(AtomicBool::new(false));
        let provenance = Provenance { command: "test".into(), version: "0".into(), cores: 1, build: Build::default() };
        let runner = Runner::new(runs.to_owned(), provenance, Arc::clone(&interrupt)).style(Style::None);
        (runner, interrupt)
    }

    fn manifest(runs: &Path, stage: &Stage) -> Manifest {
        Manifest::read(&stage_dir(runs, stage)).unwrap().unwrap()
    }

    #[test]
    fn a_panic_fails_the_stage_and_spares_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let (runner, _) = runner(dir.path());
        let bad = Stage::new("bad", 1, ()).run(|_| panic!("3 is not {}", 4));
        let needs = Stage::new("needs", 1, ()).input("bad", &bad).run(|_| Ok(()));
        let good = Stage::new("good", 1, ()).run(|_| Ok(()));
        let outcome = runner.run(&Plan::new([&needs, &good])).unwrap();
        assert_eq!(outcome.ran, [good.name()]);
        assert_eq!(outcome.failed, [(bad.name(), "panicked: 3 is not 4".to_owned())]);
        assert_eq!(outcome.reason(&needs).unwrap(), format!("{} failed: panicked: 3 is not 4", bad.name()));
        assert_eq!(outcome.reason(&good), None);
        let manifest = manifest(dir.path(), &bad);
        assert_eq!((manifest.status, manifest.error.as_deref()), (Status::Failed, Some("panicked: 3 is not 4")));
        assert!(!stage_dir(dir.path(), &needs).exists());
    }

    #[test]
    fn a_stage_reads_its_inputs_and_its_manifest_says_what_it_was_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let (runner, _) = runner(dir.path());
        let first = Stage::new("first", 1, 5).run(|run| Ok(run.write_json("x.json", &5)?));
        let second = Stage::new("second", 3, "s").input("five", &first).run(|run| {
            let x: f64 = crate::files::read_json(&run.input("five").join("x.json"))?.unwrap();
            Ok(run.write_scores(&Scores::new().with("x", Score::new(x, 1)))?)
        });
        let plan = Plan::new([&second]);
        assert_eq!(runner.run(&plan).unwrap().ran.len(), 2);
        let outputs = stage_dir(dir.path(), &second).join("outputs");
        assert_eq!(Scores::read(&outputs).unwrap().unwrap().0["x"], Score::new(5.0, 1));
        let manifest = manifest(dir.path(), &second);
        assert_eq!((manifest.status, manifest.contract, manifest.runs), (Status::Done, 3, 1));
        assert_eq!(manifest.inputs, BTreeMap::from([("five".to_owned(), first.name())]));
        assert_eq!(manifest.config_hash, config::hash(&"s".into()));
        assert_eq!(manifest.provenance.command, "test");
        assert_eq!(runner.run(&plan).unwrap().reused, 2);
    }

    #[test]
    fn an_interrupt_stops_before_the_next_stage_and_keeps_what_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (runner, interrupt) = runner(dir.path());
        let flag = Arc::clone(&interrupt);
        // It finishes although it was asked to stop, so it is done.
        let first = Stage::new("first", 1, ()).run(move |_| {
            flag.store(true, Ordering::Relaxed);
            Ok(())
        });
        let second = Stage::new("second", 1, ()).input("x", &first).run(|run| {
            let flag = run.interrupt_flag();
            flag.store(true, Ordering::Relaxed);
            // What a step loop in another crate returns may wrap the reason.
            anyhow::Context::context(run.check(), "training stopped at step 3")
        });
        let plan = Plan::new([&second]);
        let outcome = runner.run(&plan).unwrap();
        assert!(outcome.interrupted && outcome.failed.is_empty());
        assert_eq!(plan.states(dir.path()).unwrap()[1], State::ToDo);
        interrupt.store(false, Ordering::Relaxed);
        let outcome = runner.run(&plan).unwrap();
        assert!(outcome.interrupted && outcome.failed.is_empty() && outcome.reused == 1);
        assert_eq!(plan.states(dir.path()).unwrap()[1], State::Partial);
        assert_eq!(manifest(dir.path(), &second).status, Status::Interrupted);
    }

    #[test]
    fn a_directory_of_another_stage_and_a_damaged_manifest_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (runner, _) = runner(dir.path());
        let stage = Stage::new("stage", 1, ()).run(|_| Ok(()));
        let plan = Plan::new([&stage]);
        runner.run(&plan).unwrap();
        let path = stage_dir(dir.path(), &stage);
        let mut other = manifest(dir.path(), &stage);
        other.identity = "0".repeat(64);
        other.write(&path).unwrap();
        let message = runner.run(&plan).unwrap_err().to_string();
        assert!(message.contains("belongs to another stage (000"), "{message}");
        fs::write(path.join(Manifest::FILE), "{\"status\": \"done\"").unwrap();
        let message = runner.run(&plan).unwrap_err().to_string();
        assert!(message.contains("manifest.json is damaged; move it away"), "{message}");
    }
}
