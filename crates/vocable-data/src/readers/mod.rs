//! From recordings as they are found to a *prepared folder*: `manifest.jsonl` beside 16 kHz mono WAV files under `wav/`.
//!
//! A reader keeps the good files that an earlier, interrupted run of the same preparation left, and writes the
//! manifest last: a folder with a manifest is complete.

use std::path::Path;

use crate::DataError;
use crate::files::write_atomically;
use crate::manifest::Manifest;
use crate::verify::BadFile;

pub mod fsdd;
pub mod jsonl;

/// The file that lists a prepared folder.
pub const MANIFEST: &str = "manifest.jsonl";
/// The file that says how a prepared folder was made; another preparation never reuses its recordings.
const RECIPE: &str = "prepare.json";

/// What a preparation reports while it runs: `step("joining digits", 1120)` begins a step of that many files,
/// `done()` ends one file (called from any thread).
pub trait Progress: Sync {
    /// A step of `files` files begins.
    fn step(&self, name: &str, files: usize);
    /// A file is done.
    fn done(&self);
}

/// Reports nothing.
impl Progress for () {
    fn step(&self, _name: &str, _files: usize) {}
    fn done(&self) {}
}

/// The outcome of a preparation.
#[derive(Debug)]
pub struct Prepared {
    /// The manifest as written.
    pub manifest: Manifest,
    /// Files that were left out; empty unless the caller asked to skip bad ones.
    pub skipped: Vec<BadFile>,
    /// Recordings kept from an earlier run.
    pub kept: usize,
}

/// Claims the folder `to` for the preparation that `recipe` describes: true if what lies in it was made the same way.
///
/// An older manifest goes first: it may name recordings that are about to change.
fn claim(to: &Path, recipe: &serde_json::Value) -> Result<bool, DataError> {
    let manifest = to.join(MANIFEST);
    if let Err(error) = std::fs::remove_file(&manifest).or_else(ignore_absence) {
        return Err(DataError::io(&manifest)(error));
    }
    let path = to.join(RECIPE);
    let text = format!("{recipe:#}\n");
    if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(true);
    }
    write_atomically(&path, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(false)
}

fn ignore_absence(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Whether a bad file ends the preparation.
fn refuse(bad: Vec<BadFile>, skip: bool) -> Result<Vec<BadFile>, DataError> {
    if bad.is_empty() || skip { Ok(bad) } else { Err(DataError::BadFiles(bad)) }
}
