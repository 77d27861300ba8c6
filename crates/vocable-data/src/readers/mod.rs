//! From recordings as they are found to a *prepared folder*: `manifest.jsonl` beside 16 kHz mono WAV files under `wav/`.
//!
//! A reader of a public layout lists what a folder holds (`list`), and [`prepare`] does the rest for all of them. It keeps
//! the good files that an earlier, interrupted run of the same preparation left, and writes the
//! manifest last: a folder with a manifest is complete. More than 10,000 utterances are written as a folder of shards,
//! `manifest/`; those of [`jsonl`] and [`fsdd`] always as one file.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::DataError;
use crate::files::write_atomically;
use crate::manifest::{Manifest, Utterance};
use crate::verify::BadFile;

pub mod arctic;
mod checks;
mod convert;
pub mod fairseq;
pub mod fsdd;
pub mod jsonl;
pub mod kaldi;
mod libri;
pub mod librispeech;
pub mod libritts;
mod listing;
pub mod ljspeech;
pub mod mustc;
pub mod noise;
mod origin;
#[cfg(feature = "parquet")]
pub mod parquet;
mod text;
pub mod voxceleb;
pub mod wham;

pub use convert::{Lenience, prepare};
pub use listing::{Listing, Make, Piece, Sound, Source};

/// The file that lists a prepared folder.
pub const MANIFEST: &str = "manifest.jsonl";
/// The folder that lists a large prepared folder.
pub const SHARDS: &str = "manifest";
/// Lines of a shard, and of the longest manifest that is one file.
const SHARD: usize = 10_000;
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
    /// How the corpus differs from the published one: in its hours, or where the caller asked to take it all the same, in
    /// its numbers.
    pub missing: Vec<String>,
}

/// Refuses to prepare what a list tells in the list's own folder.
fn keep_apart(list: &Path, to: &Path) -> Result<(), DataError> {
    let beside = list.parent().unwrap_or(Path::new("")).join(".").canonicalize();
    // A list in shards is a folder itself.
    let places = [beside, list.canonicalize()];
    if to.canonicalize().is_ok_and(|target| places.into_iter().flatten().any(|place| place == target)) {
        let message = "its own folder cannot be the prepared one: that would replace it and perhaps its recordings";
        return Err(DataError::file(list, message));
    }
    Ok(())
}

/// Claims the folder `to` for the preparation that `recipe` describes: true if what lies in it was made the same way.
///
/// `own` are the files that it will make. Where they are there already and no preparation made them, they are refused, and so is a
/// folder of another preparation. An older manifest goes first: it may name recordings that are about to change; and so do the files
/// that were made in another way, of another state of the corpus.
fn claim(to: &Path, recipe: &Value, own: &[PathBuf]) -> Result<bool, DataError> {
    let path = to.join(RECIPE);
    let before = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| DataError::file(&path, error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(DataError::io(&path)(error)),
    };
    let lists = [MANIFEST, SHARDS].map(|name| to.join(name));
    if before.is_null() {
        if let Some(foreign) = lists.iter().chain(own).find(|path| path.exists()) {
            return Err(DataError::file(foreign, "is in the way, and no preparation made it; choose another folder"));
        }
    } else if ["reader", "from"].iter().any(|key| before[key] != recipe[key]) {
        let [reader, from] = ["reader", "from"].map(|key| before[key].as_str().unwrap_or("another corpus").to_owned());
        let message =
            format!("holds what `{reader}` prepared of {from}; choose another folder, or remove this one first");
        return Err(DataError::file(to, message));
    }
    lists.iter().try_for_each(|list| remove(list))?;
    if before == *recipe {
        return Ok(true);
    }
    own.iter().try_for_each(|path| remove(path))?;
    remove(&to.join(origin::ORIGINS))?;
    write_atomically(&path, |out| writeln!(out, "{recipe:#}"))?;
    Ok(false)
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) -> Result<(), DataError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(DataError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Whether a bad file ends the preparation.
fn refuse(bad: Vec<BadFile>, skip: bool) -> Result<Vec<BadFile>, DataError> {
    if bad.is_empty() || skip { Ok(bad) } else { Err(DataError::BadFiles(bad)) }
}

/// Writes the manifest of the prepared folder `to`, in shards where it is long.
fn write_manifest(to: &Path, utterances: Vec<Utterance>) -> Result<Manifest, DataError> {
    if utterances.is_empty() {
        return Err(DataError::file(to, "not one recording is usable"));
    }
    let long = utterances.len() > SHARD;
    let manifest = Manifest { path: to.join(if long { SHARDS } else { MANIFEST }), utterances };
    if long {
        manifest.write_shards(SHARD)?
    } else {
        manifest.write()?
    }
    Ok(manifest)
}
