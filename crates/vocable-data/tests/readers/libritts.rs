//! LibriTTS.

use std::fs;

use vocable_data::DataError;
use vocable_data::readers::{self, Lenience, Prepared, libritts};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

fn corpus() -> Folders {
    let folders = Folders::new();
    for (set, speaker, chapter, count) in [("train-clean-360", "14", "208", 3), ("test-other", "367", "130732", 2)] {
        for number in 0..count {
            let name = format!("LibriTTS/{set}/{speaker}/{chapter}/{speaker}_{chapter}_{number:06}_000000");
            folders.wav(&format!("{name}.wav"), 24_000, 1, 0.6, 250.0 + 50.0 * f64::from(number));
            folders.write(&format!("{name}.normalized.txt"), &format!("Sentence number {number}, \"quoted\".\n"));
            folders.write(&format!("{name}.original.txt"), &format!("Sentence no. {number}, \"quoted\".\n"));
        }
        folders.write(&format!("LibriTTS/{set}/{speaker}/{chapter}/{speaker}_{chapter}.trans.tsv"), "ignored\n");
    }
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Prepared, DataError> {
    let listing = libritts::list(&folders.from(), &[])?;
    readers::prepare("libritts", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn sentences_are_resampled_and_keep_their_normalised_text() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, PARTIAL));
    assert_eq!(counts(&manifest), [3, 0, 0, 2]);
    let utterance = find(&manifest, "14_208_000002_000000");
    assert_eq!((utterance.speaker.as_str(), utterance.seconds), ("14", 0.6));
    assert_eq!(utterance.text, "Sentence number 2, \"quoted\".");
    assert_tone(&manifest, "14_208_000002_000000", 0.6, 350.0);
}

#[test]
fn recordings_and_texts_without_each_other_and_other_sizes_are_named() {
    let folders = corpus();
    folders.assert_refused(
        prepare(&folders, STRICT),
        &["train-clean-360: 3 of 116500 utterances\n", "test-other: 2 of 5120 utterances"],
    );
    let at = |name: &str| folders.at(&format!("LibriTTS/train-clean-360/14/208/14_208_{name}"));
    fs::remove_file(at("000000_000000.normalized.txt")).unwrap();
    fs::remove_file(at("000001_000000.wav")).unwrap();
    fs::write(at("000002_000000.normalized.txt"), " \n").unwrap();
    let words =
        ["3 unusable", "000000_000000.normalized.txt: No such", "000001_000000.wav: no such", "txt: holds no text"];
    folders.assert_refused(prepare(&folders, PARTIAL), &words);
    assert_absent(&folders.to());
    assert_eq!(counts(&prepare(&folders, ANY).unwrap().manifest), [0, 0, 0, 2]);
}
