//! What every recording of a prepared folder was made of.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::listing::{Piece, Sound};
use crate::DataError;
use crate::files::place;

/// The file that says what every recording of a prepared folder was made of.
pub(super) const ORIGINS: &str = "sources.jsonl";

/// What a recording was made of: a run after a change of the corpus's lists or files keeps only what is still right.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub audio: String,
    source: String,
    span: Option<(f64, f64)>,
    files: Vec<State>,
}

impl Origin {
    pub fn new(sound: &Sound, piece: &Piece, files: &[State]) -> Self {
        let span = piece.span.as_ref().map(|span| (span.start, span.end));
        let audio = piece.utterance.audio.to_string_lossy().into_owned();
        Self { audio, source: sound.identity(), span, files: files.to_vec() }
    }
}

/// Which file it was, and in which state: one that was moved to the place of another has an older time, but not the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Whatever way led there.
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub modified: u64,
}

impl State {
    pub fn of(file: &Path) -> Result<Self, DataError> {
        let (path, data) = (place(file)?, fs::metadata(file).map_err(DataError::io(file))?);
        let modified = data.modified().map_err(DataError::io(file))?;
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Ok(Self { path, bytes: data.len(), modified })
    }
}

/// The origins of a prepared folder: those of an earlier run, and the file that new ones are noted in.
pub(super) struct Origins {
    before: HashMap<String, Origin>,
    path: PathBuf,
    log: Mutex<File>,
}

impl Origins {
    /// Opens the file of the prepared `folder`; what it says counts if an earlier run prepared in the `same` way.
    pub fn open(folder: &Path, same: bool) -> Result<Self, DataError> {
        let path = folder.join(ORIGINS);
        let text = if same { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        // An interrupted run may have left a part of a line.
        let known = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let before = known.map(|origin: Origin| (origin.audio.clone(), origin)).collect();
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(DataError::io(&path))?;
        Ok(Self { before, path, log: Mutex::new(log) })
    }

    /// Whether an earlier run made the recording of the same.
    pub fn know(&self, origin: &Origin) -> bool {
        self.before.get(&origin.audio) == Some(origin)
    }

    /// Notes what a recording that is there now was made of.
    pub fn note(&self, origin: &Origin) -> Result<(), DataError> {
        // A line of its own, whatever part of one an interrupted run has left.
        let line = format!("\n{}\n", serde_json::to_string(origin).expect("names and numbers are JSON"));
        self.log.lock().expect("nothing panics in here").write_all(line.as_bytes()).map_err(DataError::io(&self.path))
    }
}
