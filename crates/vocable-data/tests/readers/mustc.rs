//! MuST-C.

use std::fs;

use vocable_data::DataError;
use vocable_data::Language;
use vocable_data::readers::{self, Lenience, Prepared, mustc};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

/// Two talks in `train`, whose sentences alternate once, and one in each other set: 2 s of a tone each, three sentences of half a second.
fn corpus(code: &str) -> Folders {
    let folders = Folders::new();
    for (set, talks) in [("train", &[1, 22][..]), ("dev", &[3]), ("tst-COMMON", &[4]), ("tst-HE", &[5])] {
        let [mut yaml, mut english, mut translated] = [const { String::new() }; 3];
        for &talk in talks {
            folders.wav(
                &format!("en-{code}/data/{set}/wav/ted_{talk}.wav"),
                16_000,
                1,
                2.0,
                200.0 + 10.0 * f64::from(talk),
            );
        }
        for number in 0..3 {
            for talk in talks {
                let place = format!("duration: 0.500000, offset: {}, rW: 9, uW: 0", 0.25 + 0.5 * f64::from(number));
                yaml += &format!("- {{{place}, speaker_id: spk.{talk}, wav: ted_{talk}.wav}}\n");
                english += &format!("Sentence {number} of talk {talk}.\n");
                translated += &format!("Satz {number}: \u{201e}Vortrag {talk}\u{201c}.\n");
            }
        }
        for (end, content) in [("yaml", yaml), ("en", english), (code, translated)] {
            folders.write(&format!("en-{code}/data/{set}/txt/{set}.{end}"), &content);
        }
    }
    folders
}

fn prepare(folders: &Folders, language: Language, lenience: Lenience) -> Result<Prepared, DataError> {
    let listing = mustc::list(&folders.from(), language)?;
    readers::prepare("mustc", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn talks_are_cut_into_sentences_with_both_texts() {
    let folders = corpus("de");
    let manifest = folders.assert_prepared(|| prepare(&folders, Language::German, PARTIAL));
    assert_eq!(counts(&manifest), [6, 3, 3, 3]);
    let utterance = find(&manifest, "ted_22_0001");
    assert_eq!(utterance.text, "Sentence 1 of talk 22.");
    assert_eq!(utterance.text_de.as_deref(), Some("Satz 1: \u{201e}Vortrag 22\u{201c}."));
    assert_eq!((utterance.text_fr.as_deref(), utterance.speaker.as_str()), (None, "spk.22"));
    assert_tone(&manifest, "ted_22_0001", 0.5, 420.0);
    // The piece is the one the segment names, to the sample.
    let talk = vocable_audio::read(folders.at("en-de/data/train/wav/ted_22.wav")).unwrap().samples;
    let piece = vocable_audio::read(manifest.resolve(&utterance.audio)).unwrap().samples;
    assert_eq!(piece, talk[12_000..20_000]);

    let folders = corpus("fr");
    let manifest = prepare(&folders, Language::French, PARTIAL).unwrap().manifest;
    assert!(manifest.utterances.iter().all(|utterance| utterance.text_fr.is_some() && utterance.text_de.is_none()));
}

#[test]
fn sizes_missing_talks_and_broken_segments_are_named() {
    let folders = corpus("de");
    fs::remove_dir_all(folders.at("en-de/data/tst-HE")).unwrap();
    folders.assert_refused(
        prepare(&folders, Language::German, STRICT),
        &["train: 6 of 229703 sentences of version 1", "tst-HE: no such folder"],
    );
    fs::remove_file(folders.at("en-de/data/dev/wav/ted_3.wav")).unwrap();
    let english = folders.at("en-de/data/train/txt/train.en");
    let text = fs::read_to_string(&english).unwrap();
    fs::write(&english, text.replace("Sentence 0 of talk 1.", "")).unwrap();
    let words = ["2 unusable files", "ted_3.wav: no such file", "train.en: line 1 is empty"];
    folders.assert_refused(prepare(&folders, Language::German, PARTIAL), &words);
    assert_absent(&folders.to());
    assert_eq!(counts(&prepare(&folders, Language::German, ANY).unwrap().manifest), [5, 0, 3, 0]);

    let yaml = folders.at("en-de/data/train/txt/train.yaml");
    let segments = fs::read_to_string(&yaml).unwrap();
    fs::write(&yaml, segments.replacen("offset: 0.75", "offset: 1.75", 1)).unwrap();
    let outside = "ted_1.wav: `ted_1_0001` is to be 1.75 s to 2.25 s of the 2.000 s that it lasts";
    let skipped = prepare(&folders, Language::German, ANY).unwrap().skipped;
    assert!(skipped.iter().any(|file| file.to_string().ends_with(outside)), "{skipped:?}");

    for (from, to, expected) in [
        ("wav: ted_1.wav", "wav: ../../ted_1.wav", "train.yaml:1: `../../ted_1.wav` is no path below"),
        ("duration: 0.500000", "duration: long", "train.yaml:1: "),
        ("- {", "{", "train.yaml:1: "),
    ] {
        fs::write(&yaml, segments.replacen(from, to, 1)).unwrap();
        folders.assert_refused(prepare(&folders, Language::German, ANY), &[expected]);
    }
    fs::write(&yaml, segments.lines().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    folders
        .assert_refused(prepare(&folders, Language::German, ANY), &["train.en: has 6 lines, but ", "train.yaml has 5"]);
}
