//! VoxCeleb1.

use std::fs;

use vocable_data::readers::{self, Lenience, Prepared, voxceleb};
use vocable_data::{DataError, Split};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

/// Two voices with an utterance of every part, the first with one more.
fn corpus() -> Folders {
    let folders = Folders::new();
    let mut division = String::new();
    for (part, name, hertz) in [
        (1, "id10001/1zcIwhmdeo4/00001", 200.0),
        (1, "id10001/1zcIwhmdeo4/00002", 210.0),
        (2, "id10001/-gHAQRcKDKk/00001", 220.0),
        (3, "id10001/7gWzIy6yIIk/00001", 230.0),
        (1, "id10002/0_laIeN-Q44/00001", 240.0),
        (2, "id10002/6WO410QOeuo/00001", 250.0),
        (3, "id10002/C7k7C-PDvAA/00001", 260.0),
    ] {
        folders.wav(&format!("wav/{name}.wav"), 16_000, 1, 0.5, hertz);
        division += &format!("{part} {name}.wav\n");
    }
    folders.write("iden_split.txt", &division);
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Prepared, DataError> {
    let listing = voxceleb::list(&folders.from())?;
    readers::prepare("voxceleb", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn the_published_division_is_kept_and_nothing_is_transcribed() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, PARTIAL));
    assert_eq!(counts(&manifest), [3, 2, 2, 0]);
    assert_eq!(manifest.speakers(Split::Train), manifest.speakers(Split::TestClean));
    let utterance = find(&manifest, "id10001--gHAQRcKDKk-00001");
    assert_eq!((utterance.speaker.as_str(), utterance.text.as_str()), ("id10001", ""));
    assert!(!fs::read_to_string(&manifest.path).unwrap().contains("\"text\""));
    assert_tone(&manifest, "id10002-0_laIeN-Q44-00001", 0.5, 240.0);
}

#[test]
fn other_sizes_missing_files_and_faulty_lines_are_named() {
    let folders = corpus();
    folders.assert_refused(
        prepare(&folders, STRICT),
        &["part 1 (train): 3 of 138361", "part 3 (test-clean): 2 of 8251", "VoxCeleb1: 2 of 1251 speakers"],
    );
    fs::remove_file(folders.at("wav/id10001/1zcIwhmdeo4/00002.wav")).unwrap();
    folders.assert_refused(prepare(&folders, PARTIAL), &["1 unusable file", "1zcIwhmdeo4/00002.wav: no such file"]);
    assert_absent(&folders.to());
    assert_eq!(counts(&prepare(&folders, ANY).unwrap().manifest), [2, 2, 2, 0]);
    for (line, expected) in [
        ("4 id10001/a/00001.wav", "iden_split.txt:2: expected 1, 2 or 3"),
        ("1 id10001/00001.wav", "iden_split.txt:2: expected"),
        ("1 ../../00001.wav", "is no path below"),
        ("1 /etc/00001.wav", "is no path below"),
    ] {
        folders.write("iden_split.txt", &format!("1 id10001/1zcIwhmdeo4/00001.wav\n{line}\n"));
        folders.assert_refused(prepare(&folders, ANY), &[expected]);
    }
}
