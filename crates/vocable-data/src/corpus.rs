//! A manifest together with its decoded audio.

use std::sync::Arc;

use rayon::prelude::*;

use crate::DataError;
use crate::files::file_sha256;
use crate::manifest::{Manifest, Utterance};
use crate::store::Store;
use crate::verify::check_duration;

/// Samples per second of all audio behind a [`Corpus`].
pub const RATE: u32 = 16_000;

/// Bytes of decoded audio that a [`Corpus`] keeps unless told otherwise: 1 GiB, 4.6 hours.
pub const KEPT: usize = 1 << 30;

/// A manifest whose recordings are decoded when asked for and kept as far as there is room: 16 kHz mono, 3.8 MB per
/// minute.
#[derive(Debug)]
pub struct Corpus {
    manifest: Manifest,
    audio: Store<[f32]>,
}

impl Corpus {
    /// A corpus of which nothing is decoded yet; [`KEPT`] bytes of its audio will be kept.
    pub fn new(manifest: Manifest) -> Self {
        let audio = Store::new(manifest.utterances.len(), KEPT);
        Self { manifest, audio }
    }

    /// The same, keeping at most `bytes` bytes of audio.
    #[must_use]
    pub fn keep(self, bytes: usize) -> Self {
        let audio = Store::new(self.manifest.utterances.len(), bytes);
        Self { audio, ..self }
    }

    /// What is said, by whom, in which split.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The samples of one utterance (an index into the manifest's utterances), in [-1, 1].
    ///
    /// # Errors
    /// A file that is missing, empty, truncated, not audio, not of 16 kHz or not as long as the manifest says, by name.
    pub fn audio(&self, index: usize) -> Result<Arc<[f32]>, DataError> {
        self.audio.get(index, size_of_val::<[f32]>, || {
            let utterance = &self.manifest.utterances[index];
            let path = self.manifest.resolve(&utterance.audio);
            let audio = vocable_audio::read(&path)?.expect_rate(RATE)?;
            // Lengths of batches and labels were taken from the manifest.
            check_duration(&path, &audio, utterance).map_err(|bad| DataError::file(&path, bad.reason))?;
            Ok(audio.samples.into())
        })
    }

    /// SHA-256, in hex, of the file of an utterance: the one that its line tells, or else that of its bytes.
    ///
    /// # Errors
    /// A file that cannot be read, by name.
    pub fn content(&self, index: usize) -> Result<String, DataError> {
        let Utterance { sha256, audio, .. } = &self.manifest.utterances[index];
        sha256.clone().map_or_else(|| file_sha256(&self.manifest.resolve(audio)), Ok)
    }

    /// Decodes some utterances on all cores, so that later calls of [`Corpus::audio`] return at once, as far as there is
    /// room.
    ///
    /// # Errors
    /// As [`Corpus::audio`], for one of the bad files; [`crate::verify::check`] lists all.
    pub fn preload(&self, indices: &[usize]) -> Result<(), DataError> {
        indices.par_iter().try_for_each(|&index| self.audio(index).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Split;

    #[test]
    fn audio_is_decoded_once_and_bad_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let utterances = (0..8).map(|n| {
            let path = format!("{n}.wav");
            let rate = if n == 7 { 8_000 } else { RATE };
            vocable_audio::write_wav(dir.path().join(&path), &vec![0.5; 1000 + n], rate).unwrap();
            Utterance {
                id: n.to_string(),
                audio: path.into(),
                speaker: "anna".into(),
                text: "one".into(),
                text_de: None,
                text_fr: None,
                seconds: 0.1,
                split: Split::Train,
                speaker_vector: None,
                sha256: None,
            }
        });
        let manifest = Manifest { path: dir.path().join("manifest.jsonl"), utterances: utterances.collect() };
        let corpus = Corpus::new(manifest);
        corpus.preload(&[0, 1, 2, 3, 0, 1, 2, 3]).unwrap();
        std::fs::remove_file(dir.path().join("3.wav")).unwrap();
        assert_eq!(*corpus.audio(3).unwrap(), [0.5; 1003], "kept from the first decoding");
        assert_eq!(corpus.content(2).unwrap().len(), 64);
        assert_ne!(corpus.content(2).unwrap(), corpus.content(4).unwrap());
        std::fs::remove_file(dir.path().join("4.wav")).unwrap();
        assert!(corpus.audio(4).unwrap_err().to_string().contains("4.wav"));
        vocable_audio::write_wav(dir.path().join("5.wav"), &[0.5; 100], RATE).unwrap();
        let shrunk = corpus.audio(5).unwrap_err().to_string();
        assert!(shrunk.contains("5.wav: lasts 0.006 s, but the manifest says 0.1 s"), "{shrunk}");
        let wrong = corpus.preload(&[6, 7]).unwrap_err().to_string();
        assert!(wrong.contains("7.wav") && wrong.contains("8000"), "{wrong}");
    }
}
