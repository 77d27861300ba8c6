//! Kaldi's data folders.

use std::fs;

use vocable_data::readers::{self, Lenience, Prepared, kaldi};
use vocable_data::{DataError, Split};

use crate::miniature::{ANY, Folders, STRICT, assert_absent, assert_tone, counts, find};

/// `train` has two utterances of one recording with a relative path, `dev` a recording that is one, with an absolute path.
fn corpus() -> Folders {
    let folders = Folders::new();
    folders.wav("audio/call one.wav", 8_000, 1, 2.0, 300.0);
    folders.flac("audio/b.flac", 16_000, 0.5, 200.0);
    folders.write("data/train/wav.scp", "call1 audio/call one.wav\nunused audio/gone.wav\n");
    folders.write("data/train/segments", "call1-a call1 0.25 0.75\ncall1-b  call1\t1 1.5\n");
    folders.write("data/train/text", "call1-a HELLO THERE\ncall1-b ÇA VA\n");
    folders.write("data/train/utt2spk", "call1-a anna\ncall1-b bert\n");
    folders.write("data/dev/wav.scp", &format!("b1 {}\n", folders.at("audio/b.flac").display()));
    folders.write("data/dev/utt2spk", "b1 cleo\n");
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Prepared, DataError> {
    let data = folders.from().join("data");
    let listing =
        kaldi::list(&[(Split::Train, data.join("train")), (Split::Valid, data.join("dev"))], &folders.from())?;
    readers::prepare("kaldi", &data, listing, &folders.to(), lenience, &())
}

#[test]
fn segments_and_whole_recordings_are_prepared() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, STRICT));
    assert_eq!(counts(&manifest), [2, 1, 0, 0]);
    let utterance = find(&manifest, "call1-b");
    assert_eq!((utterance.text.as_str(), utterance.speaker.as_str(), utterance.seconds), ("ÇA VA", "bert", 0.5));
    assert_tone(&manifest, "call1-b", 0.5, 300.0);
    assert_tone(&manifest, "b1", 0.5, 200.0);
    assert_eq!(find(&manifest, "b1").text, "");
}

#[test]
fn faults_are_named_by_file_and_line_and_nothing_is_run_or_left() {
    let cases = [
        ("wav.scp", "call1 touch /tmp/x |\n", "wav.scp:1: is a pipe"),
        ("wav.scp", "call1\n", "wav.scp:1: expected `RECORDING FILE`"),
        ("wav.scp", "call1 ../a.wav\n", "wav.scp:1: `../a.wav` is no path below"),
        ("wav.scp", "a a.wav\na b.wav\n", "wav.scp:2: `a` has a line above"),
        ("segments", "u call2 0 1\n", "segments:1: `call2` has no line in wav.scp"),
        ("segments", "u call1 0 x\n", "segments:1: expected `UTTERANCE RECORDING START END` with seconds"),
        ("segments", "u call1 0\n", "segments:1: expected"),
        ("text", "call1-a ONE\ncall1-b TWO\ncall1-a THREE\n", "text:3: `call1-a` has a line above"),
        ("utt2spk", "call1-a anna\ncall1-b bert\ncall1-b anna\n", "utt2spk:3: `call1-b` has a line above"),
        ("text", "call1-a ONE\ncall1-b\n", "text: has no words for `call1-b`"),
        ("text", "call1-a ONE\ncall1-b TWO\nu9 THREE\n", "text: has a line for `u9`, which is no utterance"),
        ("segments", "../u call1 0 1\n", "utt2spk: has no line for `../u`"),
    ];
    for (file, content, expected) in cases {
        let folders = corpus();
        folders.write(&format!("data/train/{file}"), content);
        folders.assert_refused(prepare(&folders, STRICT), &[expected]);
        assert_absent(&folders.to());
    }
    let folders = corpus();
    folders.write("data/train/utt2spk", "../call anna\ncall1-b bert\n");
    folders.write("data/train/segments", "../call call1 0.25 0.75\n");
    folders.write("data/train/text", "../call HELLO\n");
    folders.assert_refused(prepare(&folders, ANY), &["call one.wav: its id `../call` cannot be a file's name"]);
    let folders = corpus();
    folders.write("data/train/text", "call1-a HELLO THERE\n");
    fs::remove_file(folders.at("audio/b.flac")).unwrap();
    let words = ["2 unusable", "train/text: has no line for `call1-b`", "b.flac: no such file"];
    folders.assert_refused(prepare(&folders, STRICT), &words);
    assert_eq!(counts(&prepare(&folders, ANY).unwrap().manifest), [1, 0, 0, 0]);
}
