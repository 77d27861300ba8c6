//! What no table uses: stages that no record's cell leads to.

use std::collections::HashSet;
use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::entries;
use crate::manifest::{Manifest, Status};
use crate::plan::{named_stage_dir, stage_dirs};
use crate::record::Record;
use crate::runner::presence;

/// A stage's directory that no table uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Unused {
    /// Its name.
    pub stage: String,
    /// Where it stands; none if it has no manifest.
    pub status: Option<Status>,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// The names of the stages that records, each with its file, lead to.
///
/// # Errors
/// [`Error::Missing`] for one that is not there: which stages it was made from is unknown, and these are used as well.
/// [`Error`] when a manifest cannot be read, or a record does not say which stages its numbers are from.
pub(crate) fn used(runs: &Path, records: &[(PathBuf, Record)]) -> Result<HashSet<String>, Error> {
    let mut used = HashSet::new();
    for (path, record) in records {
        for cell in record.rows.iter().flat_map(|row| &row.cells) {
            if cell.value.is_some() && cell.stages.is_empty() {
                return Err(Error::NoStages(path.clone()));
            }
            for stage in &cell.stages {
                mark(runs, stage, &mut used)?;
            }
        }
    }
    Ok(used)
}

/// Adds a stage and all that it was made from.
fn mark(runs: &Path, stage: &str, used: &mut HashSet<String>) -> Result<(), Error> {
    if used.insert(stage.to_owned()) {
        let dir = named_stage_dir(runs, stage);
        let manifest = Manifest::read(&dir)?.ok_or(Error::Missing(dir))?;
        manifest.inputs.values().try_for_each(|input| mark(runs, input, used))?;
    }
    Ok(())
}

/// The stages that no record under a runs directory uses, by name. What a run that was killed has begun is in its tables'
/// records, and so is what the jobs of an exported script have done, until another run of the same tables and name ends.
///
/// # Errors
/// [`Error::Missing`] when a stage behind a record's number is not there; [`Error`] when a record or a manifest cannot be read,
/// or a record does not say which stages its numbers are from.
pub fn unused(runs: &Path) -> Result<Vec<Unused>, Error> {
    let records = Record::all(runs)?;
    let mut used = used(runs, &records)?;
    // Of work without a number a record names every stage, some of which an archive leaves out.
    used.extend(records.iter().flat_map(|(_, record)| record.begun.iter().cloned()));
    let mut unused = Vec::new();
    for dir in stage_dirs(runs) {
        let stage = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !used.contains(&stage) {
            unused.push(Unused {
                stage,
                status: Manifest::read(&dir)?.map(|manifest| manifest.status),
                bytes: size(&dir),
            });
        }
    }
    Ok(unused)
}

/// Removes the directories of the stages that no table uses; gives what they were. While a run is at work nothing is
/// removed: another command may have written a table's record without the stages of that run.
///
/// # Errors
/// [`Error::AtWork`], [`Error::File`], and those of [`unused`].
pub fn remove(runs: &Path) -> Result<Vec<Unused>, Error> {
    let presence = presence(runs)?;
    match presence.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::AtWork(runs.to_owned())),
        Err(TryLockError::Error(source)) => return Err(Error::file("lock", runs)(source)),
    }
    let unused = unused(runs)?;
    for Unused { stage, .. } in &unused {
        let dir = named_stage_dir(runs, stage);
        fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))?;
    }
    Ok(unused)
}

fn size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => entries(path).iter().map(|path| size(path)).sum(),
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}
