//! WHAM!

use std::fs;

use vocable_data::readers::{Lenience, Prepared, wham};
use vocable_data::{DataError, verify};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts};

const MIXTURES: [(&str, &str); 4] = [
    ("tr", "011a0101_1.2345_401c020a_-1.2345"),
    ("tr", "01to030v_0.76421_20ga010m_-0.76421"),
    ("cv", "01aa0101_2.10_209a010p_-2.10"),
    ("tt", "050a0501_1.7783_442o030z_-1.7783"),
];

/// What the official scripts make.
fn mixed() -> Folders {
    let folders = Folders::new();
    for (set, name) in MIXTURES {
        for (signal, hertz) in [("s1", 200.0), ("s2", 250.0), ("noise", 900.0), ("mix_single", 400.0)] {
            folders.wav(&format!("wav16k/max/{set}/{signal}/{name}.wav"), 16_000, 1, 0.5, hertz);
        }
    }
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Vec<Prepared>, DataError> {
    wham::prepare_all(&folders.from(), &folders.to(), lenience, &())
}

fn message(refused: Result<Vec<Prepared>, DataError>) -> String {
    refused.expect_err("it is refused").to_string()
}

#[test]
fn speech_with_and_without_noise_and_noise_have_the_same_ids() {
    let folders = mixed();
    let prepared = prepare(&folders, PARTIAL).unwrap();
    let manifests: Vec<_> = prepared.iter().map(|prepared| &prepared.manifest).collect();
    for (manifest, (name, hertz)) in manifests.iter().zip([("clean", 200.0), ("noisy", 400.0), ("noise", 900.0)]) {
        assert_eq!(manifest.path, folders.to().join(name).join("manifest.jsonl"));
        assert_eq!(counts(manifest), [2, 1, 0, 1]);
        assert_eq!(verify::check(manifest, 16_000, &|| ()), []);
        let ids: Vec<&str> = manifest.utterances.iter().map(|utterance| utterance.id.as_str()).collect();
        assert_eq!(ids, MIXTURES.map(|(_, id)| id));
        assert_tone(manifest, MIXTURES[3].1, 0.5, hertz);
    }
    assert_eq!(manifests[1].utterances[1].speaker, "01t");
    assert_eq!(manifests[2].utterances[1].speaker, "noise");
    let written = folders.prepared_files();
    let again = prepare(&folders, PARTIAL).unwrap();
    assert!(again.iter().all(|prepared| prepared.kept == 4));
    let recordings = |path: &&std::path::PathBuf| path.extension().is_some_and(|extension| extension == "wav");
    let unchanged = folders.prepared_files();
    assert!(written.keys().filter(recordings).all(|path| written[path] == unchanged[path]));
}

#[test]
fn the_published_noise_alone_is_a_corpus() {
    let folders = Folders::new();
    for (set, name) in MIXTURES {
        folders.wav(&format!("wham_noise/{set}/{name}.wav"), 16_000, 2, 0.5, 700.0);
    }
    let prepared = prepare(&folders, PARTIAL).unwrap();
    assert_eq!(prepared.len(), 1);
    assert_eq!(prepared[0].manifest.path, folders.to().join("noise/manifest.jsonl"));
    assert_eq!(prepared[0].missing[0], "tr: 2 of 20000 recordings");
    assert_tone(&prepared[0].manifest, MIXTURES[0].1, 0.5, 700.0);
}

#[test]
fn signals_that_do_not_belong_together_are_refused() {
    let folders = mixed();
    let refused = message(prepare(&folders, STRICT));
    assert!(refused.contains("tr/s1: 2 of 20000 recordings\n"), "{refused}");
    assert_absent(&folders.to());
    let lost = folders.at(&format!("wav16k/max/tr/noise/{}.wav", MIXTURES[0].1));
    fs::remove_file(&lost).unwrap();
    let refused = message(prepare(&folders, PARTIAL));
    assert!(refused.contains(&format!("{}: no such file", lost.display())), "{refused}");
    let refused = message(prepare(&folders, ANY));
    assert!(refused.contains("noise/manifest.jsonl: has other ids than"), "{refused}");
    let refused = message(prepare(&Folders::new(), ANY));
    assert!(refused.contains("holds neither wav16k/max/tr/s1 nor wham_noise/tr"), "{refused}");
}
