//! What of a runs directory can be kept beside the code: the records, and of every stage behind them what says where its
//! numbers come from. `report`, `trace` and `verify` work on the copy as they do on the original.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::files::{create_dir, entries, write_atomic};
use crate::gc::used;
use crate::manifest::Manifest;
use crate::plan::named_stage_dir;
use crate::record::Record;

/// Files of a stage that are kept, beside its outputs.
const KEPT: [&str; 3] = ["config.toml", "manifest.json", "log.txt"];
/// Outputs of more bytes are weights and features, which stay where they are.
const LARGEST: u64 = 256 * 1024;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Archived {
    /// How many tables.
    pub tables: usize,
    /// How many stages.
    pub stages: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// How many outputs were too large.
    pub left: usize,
}

/// Copies all records under a runs directory, and of the stages that they lead to the manifest, the settings, the log and
/// small outputs, but for exhibits. What is there already from other runs stays; a stage of the same name is the same stage.
///
/// # Errors
/// [`Error`] when something cannot be read or written, or a stage behind a record is not there.
pub fn archive(runs: &Path, to: &Path) -> Result<Archived, Error> {
    let records = Record::all(runs)?;
    let stages = used(runs, &records)?;
    let mut archived = Archived { tables: records.len(), stages: stages.len(), ..Archived::default() };
    let mut copy = |path: &Path, to: &Path| {
        let bytes = fs::read(path).map_err(Error::file("read", path))?;
        archived.bytes += bytes.len() as u64;
        write_atomic(&to.join(path.file_name().expect("a file has a name")), &bytes)
    };
    for stage in &stages {
        let (from, to) = (named_stage_dir(runs, stage), named_stage_dir(to, stage));
        if Manifest::read(&from)?.is_none() {
            return Err(Error::Missing(from));
        }
        let outputs = to.join("outputs");
        create_dir(&outputs)?;
        for path in KEPT.map(|name| from.join(name)).iter().filter(|path| path.exists()) {
            copy(path, &to)?;
        }
        for path in entries(&from.join("outputs")).into_iter().filter(|path| path.is_file()) {
            if fs::metadata(&path).map_err(Error::file("read", &path))?.len() > LARGEST {
                archived.left += 1;
            } else {
                copy(&path, &outputs)?;
            }
        }
    }
    // Last, so that no record speaks of stages that are not there.
    let tables = to.join("tables");
    create_dir(&tables)?;
    for (path, _) in &records {
        copy(path, &tables)?;
    }
    Ok(archived)
}
