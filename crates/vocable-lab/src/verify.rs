//! Whether numbers are what they come from: a score is computed again from its inputs, elsewhere, and compared; the cells of a
//! stored table are collected again from their scores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::plan::{input_dirs, stage_dir, state};
use crate::progress::Progress;
use crate::record::{Record, RecordCell};
use crate::runner::attempt;
use crate::score::Scores;
use crate::stage::Stage;
use crate::stage_run::StageRun;
use crate::table::Table;

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

/// A cell of a stored table, and the same collected again from the scores that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    /// The row's name.
    pub row: String,
    /// What the table has.
    pub stored: RecordCell,
    /// What its stages say.
    pub collected: RecordCell,
}

impl Collected {
    /// Whether both are the same, to the bit.
    pub fn matches(&self) -> bool {
        self.stored == self.collected
    }
}

/// Collects every cell of a stored table again that is made of scores.
///
/// # Errors
/// [`Error`] when a manifest or a score file cannot be read, or a score that the table names is not there.
pub fn collect_again<C: Config>(record: &Record, table: &Table<C>, runs: &Path) -> Result<Vec<Collected>, Error> {
    let mut all = Vec::new();
    for column in table.columns() {
        for (row, computed) in record.rows.iter().zip(record.collect_again(column, runs)?) {
            let stored = row.cells.iter().find(|cell| cell.column == column.name() && !cell.stages.is_empty());
            let Some(stored) = stored.cloned() else { continue };
            // Why there is no number of some seed is no number.
            let reason = stored.reason.clone();
            let collected = RecordCell { reason, ..computed };
            all.push(Collected { row: row.name.clone(), stored, collected });
        }
    }
    Ok(all)
}
