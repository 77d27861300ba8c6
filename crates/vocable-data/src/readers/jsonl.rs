//! Anyone's recordings: a manifest whose audio may be WAV, FLAC or Ogg, of any rate, mono or stereo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;

use super::{MANIFEST, Prepared, Progress, claim, refuse};
use crate::DataError;
use crate::corpus::RATE;
use crate::manifest::{Manifest, Utterance};
use crate::verify::{BadFile, check_duration};

/// Prepares the recordings of the manifest `from` in the folder `to`: averaged to mono, resampled to 16 kHz, 16-bit.
///
/// A recording that an earlier run left is kept if it is whole and no older than its source. Speaker-vector files are
/// copied.
///
/// # Errors
/// A faulty manifest, an id that cannot be a file's name, or `to` being the manifest's own folder. Unless `skip_bad`, all unusable recordings
/// ([`DataError::BadFiles`]); the good ones are converted all the same, so that a second run is short, but no manifest
/// is written. With `skip_bad`, a corpus of which nothing is left.
pub fn prepare(from: &Path, to: &Path, skip_bad: bool, progress: &dyn Progress) -> Result<Prepared, DataError> {
    let source = Manifest::read(from)?;
    if let Some(odd) = source.utterances.iter().find(|utterance| !names_a_file(&utterance.id)) {
        let message = format!("the id `{}` cannot be a file's name: leave out `/`, `\\` and a leading dot", odd.id);
        return Err(DataError::file(from, message));
    }
    let beside = from.parent().unwrap_or(Path::new("")).join(".").canonicalize();
    if matches!((beside, to.canonicalize()), (Ok(source), Ok(target)) if source == target) {
        let message = "its own folder cannot be the prepared one: that would replace it and perhaps its recordings";
        return Err(DataError::file(from, message));
    }
    let full = std::path::absolute(from).map_err(DataError::io(from))?;
    let same = claim(to, &serde_json::json!({ "reader": "jsonl", "from": full, "rate": RATE }))?;

    progress.step("resampling", source.utterances.len());
    let converted = source.utterances.par_iter().map(|utterance| {
        let result = convert(&source, utterance, to, same);
        progress.done();
        result
    });
    let (mut utterances, mut bad, mut kept) = (Vec::new(), Vec::new(), 0);
    for result in converted.collect::<Vec<_>>() {
        match result {
            Ok(Converted { utterance, was_there }) => {
                kept += usize::from(was_there);
                utterances.push(utterance);
            }
            Err(Failure::Bad(file)) => bad.push(file),
            Err(Failure::Fatal(error)) => return Err(error),
        }
    }
    let skipped = refuse(bad, skip_bad)?;
    if utterances.is_empty() {
        return Err(DataError::file(from, "not one of its recordings is usable"));
    }
    copy_vectors(&source, &mut utterances, to)?;
    let manifest = Manifest { path: to.join(MANIFEST), utterances };
    manifest.write()?;
    Ok(Prepared { manifest, skipped, kept })
}

struct Converted {
    utterance: Utterance,
    was_there: bool,
}

/// What ends one recording, or all.
enum Failure {
    Bad(BadFile),
    Fatal(DataError),
}

fn convert(source: &Manifest, utterance: &Utterance, to: &Path, same: bool) -> Result<Converted, Failure> {
    let path = source.resolve(&utterance.audio);
    let audio = PathBuf::from("wav").join(format!("{}.wav", utterance.id));
    let target = to.join(&audio);
    let line = |seconds| Utterance { audio: audio.clone(), seconds, ..utterance.clone() };
    if same && not_older(&target, &path) {
        let before = vocable_audio::read(&target).and_then(|audio| audio.expect_rate(RATE));
        if let Some(before) = before.ok().filter(|before| check_duration(&path, before, utterance).is_ok()) {
            return Ok(Converted { utterance: line(before.seconds()), was_there: true });
        }
    }
    let recording = vocable_audio::read(&path).map_err(|error| Failure::Bad(BadFile::new(&path, error)))?;
    check_duration(&path, &recording, utterance).map_err(Failure::Bad)?;
    let samples = if recording.rate == RATE {
        recording.samples
    } else {
        vocable_audio::resample(&recording.samples, recording.rate, RATE)
    };
    let folder = to.join("wav");
    fs::create_dir_all(&folder).map_err(|error| Failure::Fatal(DataError::io(&folder)(error)))?;
    vocable_audio::write_wav(&target, &samples, RATE).map_err(|error| Failure::Fatal(error.into()))?;
    Ok(Converted { utterance: line(samples.len() as f64 / f64::from(RATE)), was_there: false })
}

fn names_a_file(id: &str) -> bool {
    let mut components = Path::new(id).components();
    let single = matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == id);
    single && !id.starts_with('.') && !id.contains('\\')
}

/// Whether `target` exists and was written after `source`.
fn not_older(target: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    matches!((time(target), time(source)), (Ok(target), Ok(source)) if target >= source)
}

/// Copies each distinct speaker-vector file once and points the utterances at the copies.
fn copy_vectors(source: &Manifest, utterances: &mut [Utterance], to: &Path) -> Result<(), DataError> {
    let mut copies: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for utterance in utterances {
        let Some(vector) = &mut utterance.speaker_vector else {
            continue;
        };
        let number = copies.len();
        let name = vector.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = copies.entry(vector.clone()).or_insert_with(|| format!("vectors/{number}-{name}").into());
        let (path, target) = (source.resolve(vector), to.join(&*copy));
        if !not_older(&target, &path) {
            let bytes = fs::read(&path).map_err(DataError::io(&path))?;
            crate::files::write_atomically(&target, |out| std::io::Write::write_all(out, &bytes))?;
        }
        *vector = copy.clone();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_leave_the_folder_are_refused() {
        for good in ["a1", "1272-128104-0000", "été", "a.b"] {
            assert!(names_a_file(good), "{good}");
        }
        for bad in ["", "a/b", "../a", "..", ".hidden", "/a", "a\\b", "a/"] {
            assert!(!names_a_file(bad), "{bad}");
        }
    }
}
