//! Which audio files of a manifest cannot be used, and why: all of them, not just the first.

use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use vocable_audio::Audio;

use crate::files::file_sha256;
use crate::manifest::{Manifest, Utterance};

/// Seconds by which a manifest may differ from its recordings: rounding, or a codec's frame.
pub const TOLERANCE_SECONDS: f64 = 0.05;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// Why, in a line.
    pub reason: String,
}

impl BadFile {
    /// A file and the error that reading it gave (whose message may begin with the file's name).
    pub fn new(path: &Path, error: impl fmt::Display) -> Self {
        let message = error.to_string();
        let reason = message.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&message).to_owned();
        Self { path: path.to_owned(), reason }
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Decodes every audio file of a manifest, in parallel, and returns the bad ones in the manifest's order: missing,
/// empty, truncated, not audio, of another rate than `rate` Hz, or of another duration or hash than the manifest says.
///
/// `progress` is called once per file, from any thread.
pub fn check(manifest: &Manifest, rate: u32, progress: &(dyn Fn() + Sync)) -> Vec<BadFile> {
    let checked = manifest.utterances.par_iter().filter_map(|utterance| {
        let path = manifest.resolve(&utterance.audio);
        let audio = read(&path, utterance.sha256.as_deref(), rate);
        progress();
        audio.and_then(|audio| check_duration(&path, &audio, utterance)).err()
    });
    checked.collect()
}

/// Reads a recording of `rate` Hz, whose bytes have the given hash where one is known.
fn read(path: &Path, sha256: Option<&str>, rate: u32) -> Result<Audio, BadFile> {
    let bad = |error: &dyn fmt::Display| BadFile::new(path, error);
    let audio = match sha256 {
        Some(expected) if file_sha256(path).is_ok_and(|found| found != expected) => {
            return Err(bad(&"its SHA-256 is not the manifest's; prepare it again"));
        }
        // Where there is none to compare, reading says best what is the matter.
        _ => vocable_audio::read(path),
    };
    audio.and_then(|audio| audio.expect_rate(rate)).map_err(|error| bad(&error))
}

/// Whether a recording is as long as its manifest line says.
pub(crate) fn check_duration(path: &Path, audio: &Audio, utterance: &Utterance) -> Result<(), BadFile> {
    if (audio.seconds() - utterance.seconds).abs() <= TOLERANCE_SECONDS {
        return Ok(());
    }
    let reason = format!("lasts {:.3} s, but the manifest says {} s", audio.seconds(), utterance.seconds);
    Err(BadFile { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use std::fs;

    use super::*;
    use crate::manifest::Split;

    #[test]
    fn every_kind_of_bad_file_is_listed_by_name_and_reason() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.05).sin() * 0.3).collect();
        vocable_audio::write_wav(at("good.wav"), &tone, 16_000).unwrap();
        vocable_audio::write_wav(at("slow.wav"), &tone, 8_000).unwrap();
        vocable_audio::write_wav(at("long.wav"), &tone.repeat(2), 16_000).unwrap();
        fs::write(at("empty.wav"), "").unwrap();
        fs::write(at("text.wav"), "this is no recording, whatever its name says".repeat(20)).unwrap();
        let bytes = fs::read(at("good.wav")).unwrap();
        fs::write(at("truncated.wav"), &bytes[..bytes.len() / 2]).unwrap();

        let sha256 = |name: &str| vocable_files::sha256(fs::read(at(name)).unwrap());
        let (same, other) = (sha256("good.wav"), sha256("slow.wav"));
        vocable_audio::write_wav(at("same.wav"), &tone, 16_000).unwrap();
        vocable_audio::write_wav(at("other.wav"), &tone, 16_000).unwrap();

        let names = ["good", "same", "missing", "empty", "truncated", "text", "slow", "long", "other", "gone"];
        let utterances = names.map(|name| Utterance {
            id: name.into(),
            audio: format!("{name}.wav").into(),
            speaker: "anna".into(),
            text: "one".into(),
            text_de: None,
            text_fr: None,
            seconds: if name == "slow" { 2.0 } else { 1.0 },
            split: Split::Train,
            speaker_vector: None,
            sha256: match name {
                "same" => Some(same.clone()),
                "other" | "gone" => Some(other.clone()),
                _ => None,
            },
        });
        let manifest = Manifest { path: at("manifest.jsonl"), utterances: utterances.to_vec() };
        let calls = AtomicUsize::new(0);
        let count = || {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let bad = check(&manifest, 16_000, &count);
        let reasons = [
            "no such file",
            "no samples",
            "truncated",
            "not readable as audio",
            "8000 Hz",
            "lasts 2.000 s",
            "its SHA-256",
            "no such file",
        ];
        assert_eq!(bad.len(), reasons.len(), "{bad:?}");
        for ((bad, reason), name) in bad.iter().zip(reasons).zip(&names[2..]) {
            assert_eq!(bad.path, at(&format!("{name}.wav")));
            assert!(bad.reason.contains(reason), "{bad}");
            assert_eq!(bad.to_string().matches(&format!("{name}.wav")).count(), 1, "{bad}");
        }
        assert_eq!(calls.into_inner(), 10);
    }
}
