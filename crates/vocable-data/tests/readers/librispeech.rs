//! LibriSpeech and its text for language models.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use vocable_data::readers::librispeech::{self, PreparedText};
use vocable_data::readers::{self, Lenience, Prepared};
use vocable_data::{DataError, Split};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

/// Two speakers of `train-clean-100`, one of `dev-other`, one of `test-clean`; two or three utterances each.
fn corpus() -> Folders {
    let folders = Folders::new();
    folders.write(
        "LibriSpeech/SPEAKERS.TXT",
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n\
         103  | F | train-clean-100  | 25.10 | Anna\n26   | M | train-clean-100  | 25.08 | Bert | of somewhere\n\
         118  | M | train-clean-100  | 25.08 | Cleo\n116  | M | dev-other        | 10.02 | Dora\n",
    );
    for (chapter, words) in [
        ("train-clean-100/103/1240", &["CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED", "THAT HAD ITS SOURCE"][..]),
        ("train-clean-100/26/495", &["IN THE YEAR", "SO IT WAS", "AND SO ON"]),
        ("dev-other/116/288045", &["AS I APPROACHED THE CITY", "I'M HERE"]),
        ("test-clean/1089/134686", &["HE HOPED THERE WOULD BE STEW FOR DINNER"]),
    ] {
        let [_, speaker, book] = chapter.split('/').collect::<Vec<_>>()[..] else { unreachable!() };
        let mut transcript = String::new();
        for (number, words) in words.iter().enumerate() {
            let id = format!("{speaker}-{book}-{number:04}");
            let hertz = 200.0 + 50.0 * number as f64;
            folders.flac(&format!("LibriSpeech/{chapter}/{id}.flac"), 16_000, 0.5 + 0.1 * number as f64, hertz);
            transcript += &format!("{id} {words}\n");
        }
        folders.write(&format!("LibriSpeech/{chapter}/{speaker}-{book}.trans.txt"), &transcript);
    }
    folders
}

fn prepare(folders: &Folders, sets: &[&str], lenience: Lenience) -> Result<Prepared, DataError> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let listing = librispeech::list(&folders.from(), &sets)?;
    readers::prepare("librispeech", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn sets_become_splits_with_lower_case_words() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, &[], PARTIAL));
    assert_eq!(counts(&manifest), [5, 2, 1, 0]);
    assert_eq!(manifest.speakers(Split::Train), ["103", "26"]);
    let ids: Vec<&str> = manifest.utterances.iter().map(|utterance| utterance.id.as_str()).collect();
    assert_eq!(ids[..3], ["103-1240-0000", "103-1240-0001", "26-495-0000"]);
    let utterance = find(&manifest, "116-288045-0001");
    assert_eq!((utterance.text.as_str(), utterance.speaker.as_str()), ("i'm here", "116"));
    assert_eq!(utterance.audio, Path::new("wav/dev-other/116/116-288045-0001.wav"));
    assert_tone(&manifest, "26-495-0002", 0.7, 300.0);

    // The corpus's own folder does as well, and a set alone.
    let inner = folders.from().join("LibriSpeech");
    let listing = librispeech::list(&inner, &["dev-other".into()]).unwrap();
    assert_eq!(listing.sources.len(), 2);
}

#[test]
fn another_size_than_the_published_one_is_refused_with_what_is_missing() {
    let folders = corpus();
    folders.assert_refused(
        prepare(&folders, &[], STRICT),
        &[
            "train-clean-100: 5 of 28539 utterances; no recording by 118\n",
            "train-clean-100: 2 of 251 speakers\n",
            "dev-other: 2 of 2864 utterances\n",
            "test-clean: 1 of 2620 utterances\n",
        ],
    );
    assert_absent(&folders.to());
    let missing = ["dev-other: 2 of 2864 utterances", "dev-other: 1 of 33 speakers"];
    assert_eq!(prepare(&folders, &["dev-other"], PARTIAL).unwrap().missing, missing);
}

#[test]
fn missing_broken_and_surplus_files_are_named_and_left_out_on_request() {
    let folders = corpus();
    let at = |name: &str| folders.at(&format!("LibriSpeech/train-clean-100/{name}"));
    fs::remove_file(at("103/1240/103-1240-0001.flac")).unwrap();
    fs::remove_file(at("../dev-other/116/288045/116-288045.trans.txt")).unwrap();
    folders.flac("LibriSpeech/train-clean-100/26/495/26-495-0009.flac", 16_000, 0.5, 300.0);
    folders.assert_refused(
        prepare(&folders, &[], PARTIAL),
        &[
            "3 unusable files",
            "103-1240-0001.flac: no such file",
            "26-495-0009.flac: has no line in ",
            "dev-other/116/288045: holds no `.trans.txt`",
        ],
    );
    assert_absent(&folders.to());

    let whole = fs::read(at("26/495/26-495-0000.flac")).unwrap();
    fs::write(at("26/495/26-495-0000.flac"), &whole[..whole.len() - 3_000]).unwrap();
    fs::write(at("26/495/26-495-0001.flac"), "no sound").unwrap();
    let prepared = prepare(&folders, &[], ANY).unwrap();
    assert_eq!(counts(&prepared.manifest), [2, 0, 1, 0]);
    let skipped: Vec<String> = prepared.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), 5, "{skipped:?}");
    assert!(skipped[3].contains("26-495-0000.flac: truncated"), "{skipped:?}");
    assert!(skipped[4].contains("26-495-0001.flac: not readable as audio"), "{skipped:?}");
}

#[test]
fn faults_of_a_transcript_are_named_by_line_and_lead_nowhere_else() {
    for (line, expected) in [
        ("103-1240-0001", "trans.txt:3: expected the name of a recording"),
        ("104-1240-0001 WORDS", "trans.txt:3: `104-1240-0001` is no recording by speaker 103"),
        ("103-/../../x WORDS", "trans.txt:3: `103-/../../x` is no recording"),
    ] {
        let folders = corpus();
        let name = "LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt";
        folders.write(name, &format!("103-1240-0000 ONE\n\n{line}\n"));
        folders.assert_refused(prepare(&folders, &[], ANY), &[expected]);
        assert_absent(&folders.to());
    }
    let folders = corpus();
    folders.assert_refused(
        prepare(&folders, &["train"], ANY),
        &["no set is called `train`; the corpus has train-clean-100"],
    );
    folders.assert_refused(prepare(&folders, &["test-other"], ANY), &["test-other: no such folder"]);
    let empty = Folders::new();
    empty.assert_refused(prepare(&empty, &[], ANY), &["holds none of the folders train-clean-100"]);
}

#[test]
fn the_text_is_unpacked_and_cut_or_strange_ones_are_refused() {
    let folders = Folders::new();
    let pack = |text: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    let path = folders.at("librispeech-lm-norm.txt.gz");
    fs::write(&path, pack("A B C\n\n IT'S LATE \nÉTÉ\n".as_bytes())).unwrap();
    let prepare = |partial| librispeech::prepare_text(&path, &folders.to(), partial, &());
    let text = folders.to().join("text.txt");

    let refused = prepare(false).unwrap_err().to_string();
    assert!(refused.contains("librispeech-lm-norm.txt.gz: 3 of 40418260 lines"), "{refused}");
    assert_absent(&text);
    let missing = vec!["librispeech-lm-norm.txt.gz: 3 of 40418260 lines".to_owned()];
    assert_eq!(prepare(true).unwrap(), PreparedText { lines: 3, missing });
    assert_eq!(fs::read_to_string(&text).unwrap(), "a b c\nit's late\nété\n");
    let written = folders.prepared_files();
    assert_eq!(prepare(true).unwrap().lines, 3);
    assert_eq!(folders.prepared_files(), written, "a second run writes nothing");

    let long = [b"A\n".to_vec(), vec![b'a'; 2 << 20]].concat();
    let packed = pack(&[b"A LINE\n".repeat(1000), long.clone()].concat());
    for (content, expected) in [
        (packed[..packed.len() / 2].to_vec(), "lm-norm.txt.gz:"),
        (pack(b"A\nB\xff\n"), "lm-norm.txt.gz:2: stream did not contain valid UTF-8"),
        (pack(&long), "lm-norm.txt.gz:2: is longer than a megabyte"),
        (b"A\nB\n".repeat(10), "lm-norm.txt.gz:1: invalid gzip header"),
    ] {
        fs::write(&path, content).unwrap();
        let message = prepare(true).unwrap_err().to_string();
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn other_hours_than_the_published_ones_are_told_and_end_nothing() {
    let folders = corpus();
    let prepare = |hours: f64| {
        let mut listing = librispeech::list(&folders.from(), &["train-clean-100".into()]).unwrap();
        // As if these recordings were the whole set.
        listing.missing.clear();
        listing.hours = vec![("wav/train-clean-100".into(), hours), ("wav/dev-other".into(), 5.3)];
        readers::prepare("librispeech", &folders.from(), listing, &folders.to(), STRICT, &()).unwrap()
    };
    let elsewhere = "wav/dev-other: 0.00 of 5.3 hours";
    let seconds: f64 = prepare(1.0).manifest.utterances.iter().map(|utterance| utterance.seconds).sum();
    for share in [0.97, 1.04] {
        assert_eq!(prepare(share * seconds / 3600.0).missing, [elsewhere]);
    }
    assert_eq!(prepare(4.0).missing, ["wav/train-clean-100: 0.00 of 4 hours", elsewhere]);
}
