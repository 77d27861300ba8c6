//! What of a runs directory can be kept beside the code: the records, and of every stage behind them what says where its
//! numbers come from. `report`, `trace` and `verify` work on the copy as they do on the original, and `run` goes on from it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::{create_dir, entries, write_atomic, write_json};
use crate::gc::used;
use crate::html::curves::thinned;
use crate::html::exhibits::exhibit_files;
use crate::manifest::Manifest;
use crate::plan::named_stage_dir;
use crate::record::Record;
use crate::runner::alone_with_records;
use crate::score::Scores;
use crate::stage_run::{EXHIBITS, METRICS};

/// Files of a stage that are kept as they are, beside its outputs.
const KEPT: [&str; 2] = ["config.toml", "log.txt"];
/// Outputs of more bytes are weights and features, which stay where they are. Scores are kept however many items they are of.
const LARGEST: u64 = 256 * 1024;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archived {
    /// How many tables.
    pub tables: usize,
    /// How many stages.
    pub stages: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// How many outputs were too large.
    pub left: usize,
    /// Tables there that held other numbers before, with the command of these.
    pub replaced: Vec<(PathBuf, String)>,
}

/// Copies all records under a runs directory, and of the stages that they lead to the manifest, the settings, the log, the
/// curves as thin as a page draws them, small outputs and the first `exhibits` exhibits. Of what is there already from other
/// runs the stages stay, as one of the same name is the same stage, and so do the records but for those of the same name, which
/// are replaced if the copy has a number; [`Archived::replaced`] tells which of them held other numbers. Runs can go on from
/// the copy: a stage whose large outputs were left out runs again only where another reads it that has not run.
///
/// # Errors
/// [`Error`] when something cannot be read or written, a record there among it, or a stage behind a record is not there.
pub fn archive(runs: &Path, to: &Path, exhibits: usize) -> Result<Archived, Error> {
    let records = Record::all(runs)?;
    let stages = used(runs, &records)?;
    let mut archived = Archived { stages: stages.len(), ..Archived::default() };
    for stage in &stages {
        keep_stage(&named_stage_dir(runs, stage), &named_stage_dir(to, stage), exhibits, &mut archived)?;
    }
    // Last, so that no record speaks of stages that are not there.
    let tables = to.join("tables");
    create_dir(&tables)?;
    let _alone = alone_with_records(to)?;
    for (path, record) in &records {
        let place = tables.join(name(path));
        let before = Record::read(&place)?;
        // A run that has only begun has nothing to put in the place of numbers.
        if before.is_some() && !record.has_numbers() {
            continue;
        }
        // What a run there has begun, and the copy does not know of, is not unused there.
        let open = |stage: &&String| !stages.contains(*stage) && named_stage_dir(to, stage).exists();
        let begun: Vec<String> = before.iter().flat_map(|before| &before.begun).filter(open).cloned().collect();
        if begun.is_empty() {
            copy(path, &tables, &mut archived)?;
        } else {
            write_json(&place, &record.clone().begin(begun))?;
        }
        archived.tables += 1;
        let before = before.filter(|before| !record.holds(before));
        archived.replaced.extend(before.map(|before| (place, before.command)));
    }
    Ok(archived)
}

/// Copies what is kept of a stage, unless more of it is there: all of it, or a run that is not at its end.
fn keep_stage(from: &Path, to: &Path, exhibits: usize, archived: &mut Archived) -> Result<(), Error> {
    let mut manifest = Manifest::read(from)?.ok_or_else(|| Error::Missing(from.to_owned()))?;
    if Manifest::read(to)?.is_some_and(|there| !there.archived) {
        return Ok(());
    }
    manifest.archived = true;
    let outputs = to.join("outputs");
    create_dir(&outputs)?;
    for path in KEPT.map(|name| from.join(name)).iter().filter(|path| path.exists()) {
        copy(path, to, archived)?;
    }
    if let Some(curves) = thinned(from)? {
        write(&to.join(METRICS), curves.as_bytes(), archived)?;
    }
    for path in entries(&from.join("outputs")).into_iter().filter(|path| name(path) != EXHIBITS) {
        let found = fs::metadata(&path).map_err(Error::file("read", &path))?;
        if found.is_dir() || found.len() > LARGEST && !Scores::FILES.map(OsStr::new).contains(&name(&path)) {
            manifest.left_out.push(name(&path).to_string_lossy().into_owned());
            archived.left += 1;
        } else {
            copy(&path, &outputs, archived)?;
        }
    }
    let shown: Vec<_> = exhibit_files(from).into_iter().take(exhibits).collect();
    if !shown.is_empty() {
        create_dir(&outputs.join(EXHIBITS))?;
    }
    for path in &shown {
        copy(path, &outputs.join(EXHIBITS), archived)?;
    }
    manifest.write(to)
}

fn copy(path: &Path, to: &Path, archived: &mut Archived) -> Result<(), Error> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    write(&to.join(name(path)), &bytes, archived)
}

fn write(path: &Path, bytes: &[u8], archived: &mut Archived) -> Result<(), Error> {
    archived.bytes += bytes.len() as u64;
    write_atomic(path, bytes)
}

fn name(path: &Path) -> &OsStr {
    path.file_name().expect("a file has a name")
}
