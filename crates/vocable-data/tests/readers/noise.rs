//! A folder of noise.

use std::os::unix::fs::symlink;

use vocable_data::DataError;
use vocable_data::readers::{Prepared, noise};

use crate::miniature::{Folders, STRICT, assert_tone, counts, find};

fn prepare(folders: &Folders) -> Result<Prepared, DataError> {
    noise::prepare(&folders.from(), &folders.to(), STRICT, &())
}

#[test]
fn folders_divide_recordings_and_so_do_names() {
    let folders = Folders::new();
    folders.wav("café/train/a.wav", 48_000, 2, 0.4, 300.0);
    folders.wav("café/cv/b.WAV", 16_000, 1, 0.4, 300.0);
    folders.flac("tt/street/c.flac", 8_000, 0.4, 500.0);
    folders.write("licence.txt", "CC0");
    folders.wav(".hidden/d.wav", 16_000, 1, 0.4, 300.0);
    // A folder that holds itself does not end.
    symlink(folders.from(), folders.at("again")).unwrap();
    let manifest = folders.assert_prepared(|| prepare(&folders));
    assert_eq!(counts(&manifest), [1, 1, 1, 0]);
    assert_eq!(find(&manifest, "tt-street-c").speaker, "noise");
    assert_tone(&manifest, "café-train-a", 0.4, 300.0);
    assert_tone(&manifest, "tt-street-c", 0.4, 500.0);

    (0..4).for_each(|n| folders.wav(&format!("rain-{n}.wav"), 16_000, 1, 0.4, 300.0));
    let words = ["from: holds 4 recordings outside of folders called train, valid and test", "or give 10 or more"];
    folders.assert_refused(prepare(&folders), &words);
    (4..20).for_each(|n| folders.wav(&format!("rain-{n}.wav"), 16_000, 1, 0.4, 300.0));
    assert_eq!(counts(&prepare(&folders).unwrap().manifest), [17, 3, 3, 0]);
}

#[test]
fn a_folder_without_audio_and_twins_are_refused() {
    let folders = Folders::new();
    folders.write("train/readme.txt", "nothing yet");
    folders.assert_refused(prepare(&folders), &["from: holds no file that ends in wav, flac, ogg, oga"]);
    folders.wav("train/a.wav", 16_000, 1, 0.4, 300.0);
    folders.flac("train/a.flac", 16_000, 0.4, 300.0);
    folders.assert_refused(prepare(&folders), &["train/a.wav: its id `train-a` is that of", "train/a.flac, too"]);
}

#[test]
fn the_folder_itself_and_one_within_it_are_refused() {
    let folders = Folders::new();
    folders.wav("train/a.wav", 16_000, 1, 0.4, 300.0);
    for to in [folders.from(), folders.from().join("prepared"), folders.from().join("train/more/prepared")] {
        let error = noise::prepare(&folders.from(), &to, STRICT, &()).unwrap_err().to_string();
        assert!(error.contains("is within the folder of the recordings"), "{error}");
        assert!(!to.join("prepare.json").exists() && !to.join("wav").exists(), "{}", to.display());
    }
}
