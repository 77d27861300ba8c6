//! Kaldi's data folders: `wav.scp`, `text`, `utt2spk` and, where recordings hold several utterances, `segments`.
//!
//! `wav.scp` has lines `RECORDING FILE`; pipes (`… |`) are not run. A file may be anywhere; a relative one is looked for below `root`.
//! `segments` has lines `UTTERANCE RECORDING START END` in seconds; without it every recording is an utterance of its
//! name. `text` may be missing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::listing::{Listing, Piece, Sound, Source};
use super::text::{Line, Lines, below};
use crate::DataError;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

/// What the data folders list, each for a split.
///
/// # Errors
/// A line that is not of its file's form, names a recording that is not in `wav.scp` or leads out of `root`, by file and line.
pub fn list(folders: &[(Split, PathBuf)], root: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    for (split, folder) in folders {
        list_folder(folder, *split, root, &mut listing)?;
    }
    Ok(listing)
}

fn list_folder(folder: &Path, split: Split, root: &Path, listing: &mut Listing) -> Result<(), DataError> {
    let first = listing.sources.len();
    let scp = Lines::read(&folder.join("wav.scp"))?;
    let mut recordings: HashMap<&str, usize> = HashMap::new();
    for line in &scp.lines {
        let (name, file) = columns::<2>(&scp, line, "`RECORDING FILE`").map(|[name, file]| (name, file))?;
        if file.ends_with('|') {
            return Err(scp.fault(line, "is a pipe; run it, and name the file that it makes"));
        }
        let path = if Path::new(file).is_absolute() { Ok(file.into()) } else { below(root, file) };
        let path: PathBuf = path.map_err(|message| scp.fault(line, message))?;
        if recordings.insert(name, listing.sources.len()).is_some() {
            return Err(scp.fault(line, format!("`{name}` has a line above")));
        }
        listing.sources.push(Source { sound: Sound::File(path), pieces: Vec::new() });
    }
    let speakers = table(&folder.join("utt2spk"))?;
    let texts = table(&folder.join("text"))?;
    let speakers = speakers.ok_or_else(|| DataError::file(&folder.join("utt2spk"), "no such file"))?;
    let mut asked = HashSet::new();
    let mut add = |id: &str, recording: usize, span| {
        asked.insert(id.to_owned());
        let absent = |name: &str| BadFile::new(&folder.join(name), format!("has no line for `{id}`"));
        let Some(speaker) = speakers.get(id) else {
            listing.bad.push(absent("utt2spk"));
            return;
        };
        let mut utterance = Utterance::new(id, format!("wav/{id}.wav"), speaker, split);
        if let Some(texts) = &texts {
            match texts.get(id).map(String::as_str) {
                Some("") => {
                    return listing.bad.push(BadFile::new(&folder.join("text"), format!("has no words for `{id}`")));
                }
                Some(text) => text.clone_into(&mut utterance.text),
                None => return listing.bad.push(absent("text")),
            }
        }
        listing.sources[recording].pieces.push(Piece { span, utterance });
    };
    if folder.join("segments").is_file() {
        let segments = Lines::read(&folder.join("segments"))?;
        for line in &segments.lines {
            let form = "`UTTERANCE RECORDING START END`";
            let [id, recording, start, end] = columns::<4>(&segments, line, form)?;
            let (Ok(start), Ok(end)) = (start.parse::<f64>(), end.parse::<f64>()) else {
                return Err(segments.fault(line, format!("expected {form} with seconds")));
            };
            let Some(&recording) = recordings.get(recording) else {
                return Err(segments.fault(line, format!("`{recording}` has no line in wav.scp")));
            };
            add(id, recording, Some(start..end));
        }
    } else {
        for line in &scp.lines {
            let [id, _] = columns::<2>(&scp, line, "")?;
            add(id, recordings[id], None);
        }
    }
    for id in texts.iter().flatten().map(|(id, _)| id).filter(|id| !asked.contains(*id)) {
        listing.bad.push(BadFile::new(&folder.join("text"), format!("has a line for `{id}`, which is no utterance")));
    }
    // Recordings of which nothing is asked need not be there.
    let asked = listing.sources.split_off(first).into_iter().filter(|source| !source.pieces.is_empty());
    listing.sources.extend(asked);
    Ok(())
}

/// The columns of a line, of which the last takes what is left.
fn columns<'a, const N: usize>(lines: &Lines, line: &'a Line, form: &str) -> Result<[&'a str; N], DataError> {
    let mut rest = line.text.trim();
    let mut columns = [""; N];
    for column in &mut columns[..N - 1] {
        (*column, rest) = rest.split_once(char::is_whitespace).unwrap_or_default();
        rest = rest.trim_start();
    }
    columns[N - 1] = rest;
    let whole = columns.iter().all(|column| !column.is_empty());
    if whole { Ok(columns) } else { Err(lines.fault(line, format!("expected {form}"))) }
}

/// A file of keys and values, if it is there; a value may be nothing.
fn table(path: &Path) -> Result<Option<BTreeMap<String, String>>, DataError> {
    if !path.is_file() {
        return Ok(None);
    }
    let lines = Lines::read(path)?;
    let mut table = BTreeMap::new();
    for line in &lines.lines {
        let text = line.text.trim();
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if table.insert(key.to_owned(), value.trim_start().to_owned()).is_some() {
            return Err(lines.fault(line, format!("`{key}` has a line above")));
        }
    }
    Ok(Some(table))
}
