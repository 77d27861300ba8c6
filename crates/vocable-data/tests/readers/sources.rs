//! What a preparation reads stays as it is, wherever the prepared folder is said to be, and what it copies is the right thing.

use std::fs;
use std::path::Path;

use vocable_data::readers::{self, Prepared, fairseq, jsonl, kaldi, librispeech};
use vocable_data::{DataError, Manifest, Split, speaker};

use crate::miniature::{ANY, Folders, STRICT, assert_absent};

/// Kaldi's `data` with `wav.scp` as told, of a speaker in the folder that is also to be the prepared one.
fn kaldi(folders: &Folders, scp: &str) -> Result<Prepared, DataError> {
    folders.write("data/wav.scp", scp);
    folders.write("data/utt2spk", "u1 anna\nu2 anna\n");
    let data = [(Split::Train, folders.at("data"))];
    readers::prepare("kaldi", &folders.from(), kaldi::list(&data, &folders.from())?, &folders.from(), STRICT, &())
}

/// Refused by these words, with every file as it was.
fn assert_refused<T>(folders: &Folders, prepare: impl Fn() -> Result<T, DataError>, words: &str) {
    let files =
        || ["wav/u1.wav", "wav/u2.wav", "manifest.jsonl", "text.txt"].map(|file| fs::read(folders.at(file)).ok());
    let before = files();
    let message = prepare().err().expect("it is refused").to_string();
    assert!(message.contains(words), "{message}\nlacks {words}");
    assert_eq!(files(), before);
}

fn originals() -> Folders {
    let folders = Folders::new();
    folders.wav("wav/u1.wav", 44_100, 2, 0.5, 300.0);
    folders.wav("wav/u2.wav", 44_100, 2, 0.5, 400.0);
    folders
}

#[test]
fn no_recording_takes_the_place_of_a_source() {
    let replaced = "u1.wav: is a recording to prepare, and would be replaced";
    let folders = originals();
    assert_refused(&folders, || kaldi(&folders, "u1 wav/u1.wav\n"), replaced);
    assert_refused(&folders, || kaldi(&folders, "u1 wav/u2.wav\nu2 wav/u1.wav\n"), replaced);
    assert_absent(&folders.at("prepare.json"));
    // Also where the same file has two names.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folders.at("wav"), folders.from().join("linked")).unwrap();
        assert_refused(&folders, || kaldi(&folders, "u1 linked/u1.wav\n"), replaced);
    }

    let shards = folders.at("lists/shards");
    fs::create_dir(&shards).unwrap();
    fs::write(
        shards.join("one.jsonl"),
        r#"{"id":"u1","audio":"/a.wav","speaker":"anna","seconds":0.5,"split":"train"}"#,
    )
    .unwrap();
    let own = "its own folder cannot be the prepared one";
    assert!(jsonl::prepare(&shards, &shards, false, &()).unwrap_err().to_string().contains(own));

    let table = folders.at("lists/train.tsv");
    fs::write(&table, format!("{}\nu1.wav\t8000\n", folders.at("wav").display())).unwrap();
    let fairseq = || fairseq::prepare_all(&[(Split::Train, table.clone())], &folders.from(), STRICT, &());
    assert_refused(&folders, fairseq, replaced);

    let audio = folders.at("wav/u1.wav");
    let line = format!(r#"{{"id":"u1","audio":"{}","speaker":"anna","seconds":0.5,"split":"train"}}"#, audio.display());
    folders.write("lists/all.jsonl", &line);
    assert_refused(&folders, || jsonl::prepare(&folders.at("lists/all.jsonl"), &folders.from(), false, &()), replaced);

    // Other recordings in the same folder are in nobody's way.
    folders.wav("audio/u3.wav", 16_000, 1, 0.5, 300.0);
    folders.write("data/utt2spk", "u3 anna\n");
    let kept = fs::read(&audio).unwrap();
    folders.write("data/wav.scp", "u3 audio/u3.wav\n");
    let listing = kaldi::list(&[(Split::Train, folders.at("data"))], &folders.from()).unwrap();
    readers::prepare("kaldi", &folders.from(), listing, &folders.from(), STRICT, &()).unwrap();
    assert_eq!(fs::read(&audio).unwrap(), kept);
}

#[test]
fn a_manifest_that_no_preparation_made_is_not_replaced() {
    let folders = originals();
    folders.write("manifest.jsonl", "by hand");
    let words = "manifest.jsonl: is in the way, and no preparation made it";
    folders.wav("audio/u1.wav", 16_000, 1, 0.5, 300.0);
    assert_refused(&folders, || kaldi(&folders, "u1 audio/u1.wav\n"), words);
}

#[test]
fn what_no_preparation_or_another_one_made_is_not_replaced() {
    let folders = Folders::new();
    folders.wav("audio/u1.wav", 16_000, 1, 0.5, 300.0);
    folders.write("data/wav.scp", "u1 audio/u1.wav\n");
    folders.write("data/utt2spk", "u1 anna\n");
    let prepare = |reader: &str| {
        let listing = kaldi::list(&[(Split::Train, folders.at("data"))], &folders.from())?;
        readers::prepare(reader, &folders.from(), listing, &folders.to(), STRICT, &())
    };
    fs::create_dir_all(folders.to().join("wav")).unwrap();
    fs::write(folders.to().join("wav/u1.wav"), "mine").unwrap();
    let message = prepare("kaldi").unwrap_err().to_string();
    assert!(message.contains("wav/u1.wav: is in the way, and no preparation made it"), "{message}");
    assert_eq!(fs::read(folders.to().join("wav/u1.wav")).unwrap(), b"mine");

    fs::remove_file(folders.to().join("wav/u1.wav")).unwrap();
    let manifest = prepare("kaldi").unwrap().manifest.path;
    let text = folders.at("lm.txt");
    fs::write(&text, "A LINE\n").unwrap();
    for message in [
        prepare("another").unwrap_err().to_string(),
        librispeech::prepare_text(&text, &folders.to(), true, &()).unwrap_err().to_string(),
    ] {
        assert!(message.contains("holds what `kaldi` prepared of"), "{message}");
        assert!(manifest.exists(), "the manifest is gone");
    }
    // A mistake in the list costs no manifest either.
    folders.write("data/wav.scp", "u1 audio/u1.wav\nd:1 audio/u1.wav\n");
    folders.write("data/utt2spk", "u1 anna\nd:1 anna\n");
    let message = prepare("kaldi").unwrap_err().to_string();
    assert!(message.contains("audio/u1.wav: its id `d:1` cannot be a file's name"), "{message}");
    assert!(manifest.exists(), "the manifest is gone");
}

#[test]
fn a_text_of_which_nothing_came_leaves_none_of_before() {
    let folders = Folders::new();
    let text = folders.at("lm.txt");
    let prepare = || librispeech::prepare_text(&text, &folders.to(), true, &());
    fs::write(&text, "AN OLD LINE\n").unwrap();
    prepare().unwrap();
    fs::write(&text, b"A NEW LINE\nAND ONE THAT IS NOT \xff TEXT\n").unwrap();
    for _ in 0..2 {
        prepare().unwrap_err();
        assert_absent(&folders.to().join("text.txt"));
    }
    fs::write(&text, "A NEW LINE\n").unwrap();
    assert_eq!(prepare().unwrap().lines, 1);
    assert_eq!(fs::read_to_string(folders.to().join("text.txt")).unwrap(), "a new line\n");
}

#[test]
fn a_recording_that_took_the_place_of_another_is_prepared_again() {
    let folders = Folders::new();
    // Older than what is prepared of the first, as what is moved or copied with its times may be.
    folders.wav("better.wav", 16_000, 1, 0.5, 400.0);
    let older = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(folders.at("better.wav")).unwrap().set_modified(older).unwrap();
    folders.wav("r.wav", 16_000, 1, 0.5, 300.0);
    folders.write("list.jsonl", r#"{"id":"a","audio":"r.wav","speaker":"anna","seconds":0.5,"split":"train"}"#);
    let prepare = || jsonl::prepare(&folders.at("list.jsonl"), &folders.to(), false, &()).unwrap().kept;
    let made = || fs::read(folders.to().join("wav/a.wav")).unwrap();
    assert_eq!((prepare(), prepare()), (0, 1));
    let before = made();
    fs::rename(folders.at("better.wav"), folders.at("r.wav")).unwrap();
    assert_eq!(prepare(), 0);
    assert!(made() != before, "the recording is that of before");
}

#[test]
fn a_recording_is_the_one_that_its_line_tells() {
    let folders = Folders::new();
    folders.wav("r.wav", 16_000, 1, 0.5, 300.0);
    let sum = vocable_data::files::file_sha256(&folders.at("r.wav")).unwrap();
    let prepare = |sum: &str| {
        let line = r#"{"id":"a","audio":"r.wav","speaker":"anna","seconds":0.5,"split":"train","sha256":"SUM"}"#;
        folders.write("list.jsonl", &line.replace("SUM", sum));
        jsonl::prepare(&folders.at("list.jsonl"), &folders.to(), false, &())
    };
    let message = prepare(&sum.replace(&sum[..4], "0000")).unwrap_err().to_string();
    assert!(message.contains("r.wav: its SHA-256 is not the one that its line tells"), "{message}");
    prepare(&sum).unwrap();
}

#[test]
fn no_text_takes_the_place_of_its_source() {
    let folders = originals();
    folders.write("text.txt", "A LINE\n");
    let path = folders.at("text.txt");
    let prepare = |to: &Path| librispeech::prepare_text(&path, to, true, &());
    assert_refused(&folders, || prepare(&folders.from()), "text.txt: would be replaced by the prepared text");
    prepare(&folders.to()).unwrap();
}

#[test]
fn a_vector_is_that_of_its_speaker_also_after_the_list_was_shortened() {
    let folders = Folders::new();
    let lines = [("anna", [1.0, 0.0]), ("bert", [0.0, 1.0])].map(|(name, vector)| {
        folders.wav(&format!("{name}.wav"), 16_000, 1, 0.5, 300.0);
        speaker::write(&folders.at(&format!("{name}/v.npy")), &vector).unwrap();
        let fields = format!(r#""speaker":"{name}","seconds":0.5,"split":"train","speaker_vector":"{name}/v.npy""#);
        format!(r#"{{"id":"{name}","audio":"{name}.wav",{fields}}}"#)
    });
    let vectors = |lines: &[String]| -> Vec<Vec<f32>> {
        folders.write("list.jsonl", &lines.join("\n"));
        let manifest = jsonl::prepare(&folders.at("list.jsonl"), &folders.to(), false, &()).unwrap().manifest;
        let paths = manifest.utterances.iter().map(|u| manifest.resolve(u.speaker_vector.as_deref().unwrap()));
        paths.map(|path| speaker::read(&path, 2).unwrap()).collect()
    };
    assert_eq!(vectors(&lines), [[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(vectors(&lines[1..]), [[0.0, 1.0]]);
}

#[test]
fn a_recording_of_which_nothing_is_left_is_a_bad_one() {
    let folders = Folders::new();
    folders.wav("audio/u1.wav", 16_000, 1, 0.5, 300.0);
    // One sample at 44.1 kHz is a third of one at 16 kHz.
    folders.wav("audio/u2.wav", 44_100, 1, 1.0 / 44_100.0, 300.0);
    folders.write("data/wav.scp", "u1 audio/u1.wav\nu2 audio/u2.wav\n");
    folders.write("data/utt2spk", "u1 anna\nu2 anna\n");
    let prepare = |lenience| {
        let listing = kaldi::list(&[(Split::Train, folders.at("data"))], &folders.from())?;
        readers::prepare("kaldi", &folders.from(), listing, &folders.to(), lenience, &())
    };
    let words = ["1 unusable file", "u2.wav: 1 samples at 44100 Hz are too few for one at 16000 Hz"];
    folders.assert_refused(prepare(STRICT), &words);
    let prepared = prepare(ANY).unwrap();
    assert_eq!(prepared.skipped.len(), 1);
    assert_eq!(Manifest::read(&prepared.manifest.path).unwrap().utterances.len(), 1);
}
