//! Whether a score is what its inputs say: it is computed again from them, elsewhere, and compared.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::manifest::Manifest;
use crate::plan::{input_dirs, stage_dir, state};
use crate::progress::Progress;
use crate::runner::attempt;
use crate::score::Scores;
use crate::stage::Stage;
use crate::stage_run::StageRun;

/// What a second computation says of a score stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The same values, to the bit.
    Matches(Scores),
    /// Other values, intervals or parts, or other keys.
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
    /// It could not be computed from an [archive](crate::archive::archive), in which outputs that it may need are left out.
    LeftOut(String),
}

/// Computes the scores of a stage again from the stored outputs of its inputs. Nothing under the runs directory is changed.
///
/// # Errors
/// [`Error`] when the stage's state, a manifest or its scores cannot be read, or there is no room to compute in.
pub fn verify(runs: &Path, stage: &Stage) -> Result<Verdict, Error> {
    if !state(stage, runs)?.is_finished() {
        return Ok(Verdict::NotRun);
    }
    let stored = Scores::read(&stage_dir(runs, stage).join("outputs"))?.unwrap_or_default();
    let inputs = input_dirs(runs, stage);
    let mut left_out = false;
    for dir in inputs.values() {
        match Manifest::read(dir)? {
            Some(manifest) => left_out |= !manifest.left_out.is_empty(),
            // What the stage itself would say of it is that some file is missing.
            None => return Ok(Verdict::Failed(Error::Missing(dir.clone()).to_string())),
        }
    }
    let room = tempfile::tempdir().map_err(Error::file("make a directory in", &std::env::temp_dir()))?;
    let run = StageRun::new(room.path().to_owned(), inputs, Progress::hidden(), Arc::new(AtomicBool::new(false)))?;
    if let Err(error) = attempt(stage, &run) {
        let message = format!("{error:#}");
        return Ok(if left_out { Verdict::LeftOut(message) } else { Verdict::Failed(message) });
    }
    let computed = Scores::read(&run.outputs())?.unwrap_or_default();
    Ok(if computed == stored { Verdict::Matches(stored) } else { Verdict::Differs { stored, computed } })
}
