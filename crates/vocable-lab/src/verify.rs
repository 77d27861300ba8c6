//! Whether a score is what its inputs say: it is computed again from them, elsewhere, and compared.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::plan::{input_dirs, stage_dir, state};
use crate::progress::Progress;
use crate::score::Scores;
use crate::stage::Stage;
use crate::stage_run::StageRun;

/// What a second computation says of a score stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The same values, to the bit.
    Matches(Scores),
    /// Other values, or other keys.
    Differs {
        /// What the stage left.
        stored: Scores,
        /// What was computed now.
        computed: Scores,
    },
    /// The stage is not done.
    NotRun,
    /// It could not be computed again.
    Failed(String),
}

/// Computes the scores of a stage again from the stored outputs of its inputs. Nothing of the stage is changed.
///
/// # Errors
/// [`Error`] when the stage's state or its scores cannot be read, or there is no room to compute in.
pub fn verify(runs: &Path, stage: &Stage) -> Result<Verdict, Error> {
    if !state(stage, runs)?.is_finished() {
        return Ok(Verdict::NotRun);
    }
    let stored = Scores::read(&stage_dir(runs, stage).join("outputs"))?.unwrap_or_default();
    let inputs = input_dirs(runs, stage);
    let dir = runs.join(format!("verify-{}-{}", std::process::id(), stage.name()));
    let run = StageRun::new(dir.clone(), inputs, Progress::hidden(), Arc::new(AtomicBool::new(false)))?;
    let computed = match stage.body(&run) {
        Ok(()) => Scores::read(&run.outputs()).map(Option::unwrap_or_default),
        Err(error) => {
            remove(&dir)?;
            return Ok(Verdict::Failed(format!("{error:#}")));
        }
    };
    remove(&dir)?;
    let computed = computed?;
    Ok(if computed == stored { Verdict::Matches(stored) } else { Verdict::Differs { stored, computed } })
}

fn remove(dir: &Path) -> Result<(), Error> {
    fs::remove_dir_all(dir).map_err(Error::file("remove", dir))
}
