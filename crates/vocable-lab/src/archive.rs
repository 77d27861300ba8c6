//! What of a runs directory can be kept beside the code: the records, and of every stage behind them what says where its
//! numbers come from. `report`, `trace` and `verify` work on the copy as they do on the original.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::files::{entries, write_atomic};
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
    let mut archived = Archived::default();
    let mut copy = |from: &Path, to: &Path| {
        let bytes = fs::read(from).map_err(Error::file("read", from))?;
        archived.bytes += bytes.len() as u64;
        write_atomic(to, &bytes)
    };
    let make = |dir: &Path| fs::create_dir_all(dir).map_err(Error::file("make", dir));
    let mut stages: Vec<String> = used(runs)?.into_iter().collect();
    stages.sort();
    for stage in &stages {
        let (from, to) = (named_stage_dir(runs, stage), named_stage_dir(to, stage));
        if Manifest::read(&from)?.is_none() {
            return Err(Error::Missing(from));
        }
        make(&to.join("outputs"))?;
        for name in KEPT {
            if from.join(name).exists() {
                copy(&from.join(name), &to.join(name))?;
            }
        }
        for path in entries(&from.join("outputs")).into_iter().filter(|path| path.is_file()) {
            if fs::metadata(&path).map_err(Error::file("read", &path))?.len() > LARGEST {
                archived.left += 1;
            } else {
                copy(&path, &to.join("outputs").join(path.file_name().expect("it is in a directory")))?;
            }
        }
    }
    // Last, so that no record speaks of stages that are not there.
    make(&to.join("tables"))?;
    let records = Record::all(runs)?;
    for (path, _) in &records {
        copy(path, &to.join("tables").join(path.file_name().expect("it is in a directory")))?;
    }
    (archived.tables, archived.stages) = (records.len(), stages.len());
    Ok(archived)
}
