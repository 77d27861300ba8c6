//! fairseq's manifests.

use std::fs;
use std::path::Path;

use vocable_data::readers::{Lenience, Prepared, fairseq};
use vocable_data::{DataError, Split, labels};

use crate::miniature::{ANY, Folders, STRICT, assert_absent, assert_tone, counts, find};

const VECTOR: [f32; 3] = [0.25, -1.0, 3.0];

/// Three recordings with units to train on, one of them with a speaker vector; one with letters to validate.
fn corpus() -> Folders {
    let folders = Folders::new();
    let root = folders.from().join("audio").display().to_string();
    for (number, name) in ["103/1240/103-1240-0000", "103/1240/103-1240-0001", "26/495/26-495-0000"].iter().enumerate()
    {
        folders.flac(&format!("audio/{name}.flac"), 16_000, 0.5, 200.0 + 50.0 * number as f64);
    }
    folders.wav("audio/short.wav", 16_000, 1, 0.25, 300.0);
    vocable_data::speaker::write(&folders.at("audio/xvector/26-495-0000.npy"), &VECTOR).unwrap();
    folders.write(
        "manifests/train.tsv",
        &format!(
            "{root}\n103/1240/103-1240-0000.flac\t8000\n103/1240/103-1240-0001.flac\t8000\n\
             26/495/26-495-0000.flac\t8000\txvector/26-495-0000.npy\n"
        ),
    );
    folders.write("manifests/train.km", "0 0 1\n1 2\n2 2 2\n");
    folders.write("manifests/dict.km.txt", "0 1\n1 1\n2 1\n");
    folders.write("manifests/valid.tsv", &format!("{root}\nshort.wav\t4000\n"));
    folders.write("manifests/valid.ltr", "H E L L O | Y O U |\n");
    folders.write("manifests/valid.txt", "never read\n");
    folders
}

#[test]
fn an_empty_line_is_the_text_of_its_recording() {
    let folders = corpus();
    folders.write("manifests/train.wrd", "HELLO\n\nFOO\n\n");
    let manifest = prepare(&folders, STRICT).unwrap().manifest;
    let texts: Vec<&str> = manifest.split(Split::Train).iter().map(|&n| manifest.utterances[n].text.as_str()).collect();
    assert_eq!(texts, ["HELLO", "", "FOO"]);
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Prepared, DataError> {
    let at = |name: &str| folders.from().join("manifests").join(name);
    let manifests = [(Split::Train, at("train.tsv")), (Split::Valid, at("valid.tsv"))];
    fairseq::prepare_all(&manifests, &folders.to(), lenience, &())
}

#[test]
fn recordings_texts_units_and_vectors_stay_together() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, STRICT));
    assert_eq!(counts(&manifest), [3, 1, 0, 0]);
    let utterance = find(&manifest, "26-495-26-495-0000");
    assert_eq!((utterance.speaker.as_str(), utterance.text.as_str()), ("26", ""));
    let vector = manifest.resolve(utterance.speaker_vector.as_deref().unwrap());
    assert_eq!(vocable_data::speaker::read(&vector, VECTOR.len()).unwrap(), VECTOR);
    let utterance = find(&manifest, "short");
    assert_eq!((utterance.text.as_str(), utterance.speaker.as_str()), ("HELLO YOU", "unknown"));
    assert_eq!(utterance.audio, Path::new("wav/short.wav"));
    assert_tone(&manifest, "103-1240-103-1240-0001", 0.5, 250.0);
    assert_eq!(labels::read(&folders.to().join("train.km")).unwrap(), [vec![0, 0, 1], vec![1, 2], vec![2, 2, 2]]);
    assert_absent(&folders.to().join("valid.km"));
    assert_eq!(fairseq::read_dictionary(&folders.at("manifests/dict.km.txt")).unwrap(), ["0", "1", "2"]);
}

#[test]
fn units_of_recordings_that_are_left_out_go_with_them() {
    let folders = corpus();
    fs::remove_file(folders.at("audio/103/1240/103-1240-0001.flac")).unwrap();
    folders.flac("audio/26/495/26-495-0000.flac", 16_000, 0.75, 200.0);
    folders.assert_refused(prepare(&folders, STRICT), &["1 unusable file", "103-1240-0001.flac: no such file"]);
    assert_absent(&folders.to());
    let prepared = prepare(&folders, ANY).unwrap();
    let reasons: Vec<&str> = prepared.skipped.iter().map(|file| file.reason.as_str()).collect();
    assert_eq!(reasons, ["no such file", "lasts 0.750 s, but the manifest says 0.5 s"]);
    assert_eq!(labels::read(&folders.to().join("train.km")).unwrap(), [vec![0, 0, 1]]);
}

#[test]
fn units_are_those_of_the_manifest_beside_them() {
    let folders = corpus();
    let at = |name: &str| folders.at("manifests").join(name);
    // A split of which one manifest has units and one has none.
    let mixed = [(Split::Train, at("valid.tsv")), (Split::Train, at("train.tsv"))];
    let refused = fairseq::prepare_all(&mixed, &folders.to(), ANY, &());
    folders.assert_refused(refused, &["valid.km: no such file, but ", "train.tsv has units of train, too"]);
    assert_absent(&folders.to());
    let own = fairseq::prepare_all(&mixed[1..], &folders.at("manifests"), ANY, &());
    folders.assert_refused(own, &["train.tsv: its own folder cannot be the prepared one"]);

    // Units that cannot be written leave no manifest that would go without them.
    let units = folders.to().join("train.km");
    fs::create_dir_all(&units).unwrap();
    folders.assert_refused(prepare(&folders, STRICT), &["train.km: "]);
    assert_absent(&folders.to().join("manifest.jsonl"));
    fs::remove_dir(&units).unwrap();
    prepare(&folders, STRICT).unwrap();
    assert!(units.is_file());
    // Those of an earlier run go with their source.
    fs::remove_file(at("train.km")).unwrap();
    prepare(&folders, STRICT).unwrap();
    assert_absent(&units);
}

#[test]
fn faults_are_named_by_file_and_line_and_lead_nowhere_else() {
    let folders = corpus();
    let root = folders.from().join("audio").display().to_string();
    let good = fs::read_to_string(folders.at("manifests/train.tsv")).unwrap();
    let cases = [
        ("train.tsv", String::new(), "train.tsv: is empty"),
        ("train.tsv", format!("{root}\nshort.wav 4000\n"), "train.tsv:2: expected `path`, a tab"),
        ("train.tsv", format!("{root}\nshort.wav\t0\n"), "train.tsv:2: expected `path`, a tab"),
        ("train.tsv", format!("{root}\n../short.wav\t4000\n"), "train.tsv:2: `../short.wav` is no path below"),
        ("train.tsv", format!("{root}\n/etc/short.wav\t4000\n"), "train.tsv:2: `/etc/short.wav` is no path below"),
        ("train.tsv", format!("{root}\nshort.wav\t4000\t../../v.npy\n"), "train.tsv:2: `../../v.npy` is no path below"),
        ("train.km", "0\n1\n".into(), "train.km: has 2 lines for the 3 recordings of "),
        ("train.km", "0\n1\n3\n".into(), "train.km:3: the unit 3 is not in "),
        ("train.km", "0\nx\n1\n".into(), "train.km:2: `x` is not a cluster id"),
        ("valid.ltr", "A\nB\n".into(), "valid.ltr: has 2 lines for the 1 recordings of "),
        ("dict.km.txt", "0 1\n0 1\n".into(), "dict.km.txt:2: `0` has a line above"),
        ("dict.km.txt", "0\n".into(), "dict.km.txt:1: expected a symbol, a space and its count"),
    ];
    for (file, content, expected) in cases {
        let folders = corpus();
        folders.write(&format!("manifests/{file}"), &content);
        folders.assert_refused(prepare(&folders, ANY), &[expected]);
        assert_absent(&folders.to());
    }
    // The same recording twice would be the same file.
    folders.write("manifests/valid.tsv", &good);
    fs::remove_file(folders.at("manifests/valid.ltr")).unwrap();
    fs::remove_file(folders.at("manifests/valid.txt")).unwrap();
    folders.assert_refused(prepare(&folders, ANY), &["0000.flac: its id `103-1240-103-1240-0000` is that of"]);
}
