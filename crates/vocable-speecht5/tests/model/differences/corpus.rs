//! A corpus of equally long recordings, so that batches tell their limits.

use std::path::Path;
use std::sync::Arc;

use vocable_audio::{white_noise, write_wav};
use vocable_data::corpus::Corpus;
use vocable_data::manifest::{Manifest, Split, Utterance};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_text::CharVocabulary;

/// Samples of every recording: five seconds.
pub const SAMPLES: usize = 80_000;
const CHARACTERS: usize = 20;

/// `texts` sentences, each said by two voices for training, one of them for validation, too.
pub fn dataset(folder: &Path, texts: usize) -> Arc<Dataset> {
    write_wav(folder.join("noise.wav"), &white_noise(SAMPLES, Key::new(1)), 16_000).unwrap();
    let letters: Vec<char> = ('a'..='z').collect();
    // Sentences differ, but not in length.
    let text = |n: usize| -> String {
        (0..CHARACTERS).map(|place| letters[if place == 0 { n % 26 } else { (n / 26 + place) % 26 }]).collect()
    };
    let utterance = |n: usize, speaker: &str, split| Utterance {
        text: text(n),
        seconds: SAMPLES as f64 / 16_000.0,
        ..Utterance::new(format!("{speaker}-{n}-{split}"), "noise.wav", speaker, split)
    };
    let mut utterances = Vec::new();
    for n in 0..texts {
        utterances.extend(["anna", "ben"].map(|speaker| utterance(n, speaker, Split::Train)));
    }
    utterances.push(utterance(0, "anna", Split::Valid));
    let manifest = Manifest { path: folder.join("manifest.jsonl"), utterances };
    let vocabulary = CharVocabulary::from_characters(letters).unwrap();
    Arc::new(Dataset::new(Corpus::new(manifest), vocabulary, 4).unwrap())
}
