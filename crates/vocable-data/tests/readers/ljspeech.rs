//! LJSpeech.

use std::fs;

use vocable_data::DataError;
use vocable_data::readers::{self, Lenience, Prepared, ljspeech};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

/// Twenty utterances.
fn corpus() -> Folders {
    let folders = Folders::new();
    let mut metadata = String::new();
    for number in 1..=20 {
        let id = format!("LJ001-{number:04}");
        folders.wav(&format!("LJSpeech-1.1/wavs/{id}.wav"), 22_050, 1, 0.4, 200.0 + 10.0 * f64::from(number));
        metadata += &format!("{id}|Page {number}, \"as\" it is|Page the {number}th, \"as\" it is\n");
    }
    folders.write("LJSpeech-1.1/metadata.csv", &metadata);
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Prepared, DataError> {
    let listing = ljspeech::list(&folders.from())?;
    readers::prepare("ljspeech", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn the_last_utterances_are_held_out_and_quotes_mean_nothing() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, PARTIAL));
    assert_eq!(counts(&manifest), [16, 2, 2, 0]);
    let utterance = find(&manifest, "LJ001-0020");
    assert_eq!((utterance.text.as_str(), utterance.speaker.as_str()), ("Page the 20th, \"as\" it is", "LJ"));
    assert_eq!(utterance.split.to_string(), "test-clean");
    assert_tone(&manifest, "LJ001-0003", 0.4, 230.0);
}

#[test]
fn missing_surplus_and_faulty_entries_are_named() {
    let folders = corpus();
    folders.assert_refused(prepare(&folders, STRICT), &["LJSpeech-1.1: 20 of 13100 utterances"]);
    fs::remove_file(folders.at("LJSpeech-1.1/wavs/LJ001-0004.wav")).unwrap();
    folders.wav("LJSpeech-1.1/wavs/LJ002-0001.wav", 22_050, 1, 0.4, 200.0);
    let words = ["2 unusable", "LJ001-0004.wav: no such file", "LJ002-0001.wav: has no line in metadata.csv"];
    folders.assert_refused(prepare(&folders, PARTIAL), &words);
    assert_absent(&folders.to());
    assert_eq!(counts(&prepare(&folders, ANY).unwrap().manifest), [15, 2, 2, 0]);
    for line in ["LJ001-0001|only one text", "a/b|one|two", "LJ001-0001|one| "] {
        folders.write("LJSpeech-1.1/metadata.csv", &format!("LJ001-0002|one|two\n{line}\n"));
        folders.assert_refused(prepare(&folders, ANY), &["metadata.csv:2: "]);
    }
}
