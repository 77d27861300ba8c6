//! Anyone's recordings: a manifest whose audio may be WAV, FLAC or Ogg, of any rate, mono or stereo.

use std::path::{Component, Path, PathBuf};

use super::checks::{check_names, keep_sources, take_absent, targets};
use super::convert::{Converted, Target, copy_vectors};
use super::listing::Source;
use super::{MANIFEST, Prepared, Progress, claim, keep_apart, refuse};
use crate::DataError;
use crate::corpus::RATE;
use crate::files::place;
use crate::manifest::{Manifest, Utterance};

/// Prepares the recordings of the manifest `from` in the folder `to`: averaged to mono, resampled to 16 kHz, 16-bit.
///
/// A recording that an earlier run left is kept if it is whole and its source is what it was. Speaker-vector files are
/// copied.
///
/// # Errors
/// A faulty manifest, an id that cannot be a file's name, `to` being the manifest's own folder, or a recording that would
/// take the place of a source. Unless `skip_bad`, all recordings that are missing or
/// unusable ([`DataError::BadFiles`]); the good ones are converted all the same, so that a second run is short, but no manifest
/// is written. With `skip_bad`, a corpus of which nothing is left.
pub fn prepare(from: &Path, to: &Path, skip_bad: bool, progress: &dyn Progress) -> Result<Prepared, DataError> {
    let source = Manifest::read(from)?;
    if let Some(odd) = source.utterances.iter().find(|utterance| !names_a_file(&utterance.id)) {
        let message =
            format!("the id `{}` cannot be a file's name: leave out `/`, `\\`, `:` and a leading dot", odd.id);
        return Err(DataError::file(from, message));
    }
    keep_apart(from, to)?;
    let recordings = source.utterances.iter().map(|utterance| {
        let audio = PathBuf::from("wav").join(format!("{}.wav", utterance.id));
        Source::whole(source.resolve(&utterance.audio), Utterance { audio, ..utterance.clone() })
    });
    let mut recordings: Vec<Source> = recordings.collect();
    let absent = take_absent(&mut recordings);
    check_names(&recordings)?;
    let own = targets(&recordings, to);
    keep_sources(&recordings, &own)?;
    let same = claim(to, &serde_json::json!({ "reader": "jsonl", "from": place(from)?, "rate": RATE }), &own)?;

    progress.step("resampling", recordings.len());
    let recordings = recordings.into_iter().map(Ok);
    let Converted { mut utterances, bad, kept } = Target { to, same, hash: false, progress }.convert(recordings)?;
    // All at once: whoever repairs a list of their own wants to do it once.
    let skipped = refuse(absent.into_iter().chain(bad).collect(), skip_bad)?;
    if utterances.is_empty() {
        return Err(DataError::file(from, "not one of its recordings is usable"));
    }
    copy_vectors(&mut utterances, to, |vector| source.resolve(vector))?;
    let manifest = Manifest { path: to.join(MANIFEST), utterances };
    manifest.write()?;
    Ok(Prepared { manifest, skipped, kept, missing: Vec::new() })
}

fn names_a_file(id: &str) -> bool {
    let mut components = Path::new(id).components();
    let single = matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == id);
    single && !id.starts_with('.') && !id.contains(['\\', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_leave_the_folder_are_refused() {
        for good in ["a1", "1272-128104-0000", "été", "a.b"] {
            assert!(names_a_file(good), "{good}");
        }
        for bad in ["", "a/b", "../a", "..", ".hidden", "/a", "a\\b", "a/", "d:1"] {
            assert!(!names_a_file(bad), "{bad}");
        }
    }
}
