//! Taking part in the stages of another process.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::args::runs;
use crate::cli::{Cli, on_interrupt, use_threads};
use crate::config::Config;
use crate::error::{Error, Interrupted};
use crate::plan::{input_dirs, stage_dir};
use crate::progress::Progress;
use crate::stage::Stage;
use crate::stage_run::StageRun;

impl<C: Config> Cli<C> {
    /// Runs the body of every stage that `next` names, until it names none, as a further process of a `run` command that
    /// another process carries out with the same arguments: without its lock, manifest and progress.
    ///
    /// A body that takes part ends with [`Interrupted`] when its part is done; any other end is given to `failed`. Of
    /// other commands than `run`, and of arguments that cannot be understood, nothing is done: the other process says what
    /// there is to say.
    pub fn follow(&self, args: &[OsString], mut next: impl FnMut() -> Option<String>, mut failed: impl FnMut(&str)) {
        let matches = self.matches(args).ok();
        let matches = matches.as_ref().and_then(|matches| matches.subcommand_matches("run"));
        let interrupt = Arc::new(AtomicBool::new(false));
        on_interrupt(Arc::clone(&interrupt));
        let stages = matches.map(|matches| {
            use_threads(matches)?;
            Ok::<_, Error>((self.jobs(matches)?, runs(matches)))
        });
        while let Some(name) = next() {
            let ended = match &stages {
                Some(Ok((jobs, runs))) => match jobs.stage(&name) {
                    Ok(stage) => take_part(&stage, runs, Arc::clone(&interrupt)),
                    Err(error) => Err(error.into()),
                },
                Some(Err(error)) => Err(anyhow::anyhow!("{error}")),
                None => Err(anyhow::anyhow!("stage {name} is none of this command's")),
            };
            match ended {
                Ok(()) => failed(&format!("{name} shares nothing between processes")),
                Err(error) if error.is::<Interrupted>() => {}
                Err(error) => failed(&format!("{error:#}")),
            }
        }
    }
}

fn take_part(stage: &Stage, runs: &Path, interrupt: Arc<AtomicBool>) -> anyhow::Result<()> {
    stage.body(&StageRun::new(stage_dir(runs, stage), input_dirs(runs, stage), Progress::hidden(), interrupt)?)
}
