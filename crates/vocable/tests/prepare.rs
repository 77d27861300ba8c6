//! `vocable prepare` as a user runs it, on small folders made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempDir;
use vocable_data::{Manifest, Split};

const SPEAKERS: [&str; 6] = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"];

fn vocable(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vocable")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("messages are UTF-8")
}

/// A tone of the given length in every channel; integers of `bits` bits.
fn write_tone(path: &Path, rate: u32, channels: u16, bits: u16, seconds: f64, hertz: f64) {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for n in 0..(seconds * f64::from(rate)) as usize {
        let value = 0.4 * (n as f64 * hertz * std::f64::consts::TAU / f64::from(rate)).sin();
        for _ in 0..channels {
            writer.write_sample((value * f64::from(1_u32 << (bits - 1))) as i32).unwrap();
        }
    }
    writer.finalize().unwrap();
}

/// The Free Spoken Digit Dataset's layout: 3,000 tones of 0.3 to 0.5 s, of another height for every voice and digit.
fn digits() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (voice, speaker) in SPEAKERS.iter().enumerate() {
        for digit in 0..10 {
            for take in 0..50 {
                let seconds = 0.3 + 0.004 * f64::from(take);
                let hertz = 200.0 + 100.0 * f64::from(digit) + 10.0 * voice as f64;
                write_tone(&dir.path().join(format!("{digit}_{speaker}_{take}.wav")), 8_000, 1, 16, seconds, hertz);
            }
        }
    }
    dir
}

/// Puts five kinds of bad recordings into a layout; the files and what must be said of them.
fn spoil(from: &Path) -> [(PathBuf, &'static str); 5] {
    let at = |name: &str| from.join(name);
    fs::remove_file(at("0_george_7.wav")).unwrap();
    fs::write(at("1_jackson_8.wav"), "").unwrap();
    let whole = fs::read(at("2_lucas_9.wav")).unwrap();
    fs::write(at("2_lucas_9.wav"), &whole[..whole.len() * 2 / 3]).unwrap();
    fs::write(at("3_nicolas_10.wav"), "a text file that is called a recording\n".repeat(30)).unwrap();
    write_tone(&at("4_theo_3.wav"), 44_100, 2, 24, 0.4, 300.0);
    [
        (at("0_george_7.wav"), "no such file"),
        (at("1_jackson_8.wav"), "holds no samples"),
        (at("2_lucas_9.wav"), "truncated"),
        (at("3_nicolas_10.wav"), "not readable as audio"),
        (at("4_theo_3.wav"), "44100 Hz where 8000 Hz"),
    ]
}

/// Every bad file has exactly one line, with the reason.
fn assert_listed(message: &str, bad: &[(PathBuf, &str)]) {
    for (path, reason) in bad {
        let lines: Vec<&str> = message.lines().filter(|line| line.contains(path.to_str().unwrap())).collect();
        assert_eq!(lines.len(), 1, "{} in\n{message}", path.display());
        assert!(lines[0].contains(reason), "{} lacks `{reason}`", lines[0]);
    }
}

/// Names in a folder that are not final results.
fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') || name.ends_with(".partial")).collect()
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn digits_become_parallel_strings_and_a_second_run_keeps_them() {
    let (from, out) = (digits(), tempfile::tempdir().unwrap());
    let to = out.path().join("prepared");
    let arguments = ["prepare", "fsdd", "--from", from.path().to_str().unwrap(), "--to", to.to_str().unwrap()];
    let arguments = [&arguments[..], &["--strings", "20", "--seed", "7"]].concat();
    let first = vocable(&arguments);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("reading digits: 3000 of 3000"), "{}", text(&first.stderr));
    assert!(text(&first.stdout).contains("test-other           8"), "{}", text(&first.stdout));

    let manifest = Manifest::read(to.join("manifest.jsonl")).unwrap();
    let counts = Split::ALL.map(|split| manifest.split(split).len());
    assert_eq!(counts, [4 * 20, 4 * 2, 4 * 4, 2 * 4]);
    for split in [Split::Train, Split::Valid, Split::TestClean] {
        assert_eq!(manifest.speakers(split), ["george", "jackson", "lucas", "nicolas"]);
    }
    assert_eq!(manifest.speakers(Split::TestOther), ["theo", "yweweler"]);
    assert!(vocable_data::verify::check(&manifest, 16_000, &|| ()).is_empty());
    let texts = |split, speaker: &str| -> Vec<&str> {
        let all = manifest.split(split).into_iter().map(|index| &manifest.utterances[index]);
        all.filter(|utterance| utterance.speaker == speaker).map(|utterance| utterance.text.as_str()).collect()
    };
    assert_eq!(texts(Split::Train, "george"), texts(Split::Train, "nicolas"));
    assert!(texts(Split::Train, "lucas").iter().all(|said| !texts(Split::TestClean, "lucas").contains(said)));
    assert!(manifest.utterances.iter().all(|utterance| (2.0..=4.0).contains(&utterance.seconds)));
    assert!(leftovers(&to).is_empty() && leftovers(&to.join("wav")).is_empty());

    // One recording is lost and one is cut, as if the first run had been killed: these two are made again.
    let hash = manifest.hash();
    let wav = |place: usize| to.join(&manifest.utterances[place].audio);
    fs::remove_file(wav(0)).unwrap();
    let bytes = fs::read(wav(1)).unwrap();
    fs::write(wav(1), &bytes[..bytes.len() / 2]).unwrap();
    let before = modified(&wav(2));
    let second = vocable(&arguments);
    assert!(text(&second.stdout).contains("(110 recordings kept, 0 files skipped)"), "{}", text(&second.stdout));
    assert_eq!(modified(&wav(2)), before);
    assert_eq!(Manifest::read(to.join("manifest.jsonl")).unwrap().hash(), hash);

    // Another seed is another preparation: nothing is kept.
    let other = [&arguments[..arguments.len() - 1], &["8"]].concat();
    assert!(text(&vocable(&other).stdout).contains("(0 recordings kept"));
    assert_ne!(Manifest::read(to.join("manifest.jsonl")).unwrap().hash(), hash);
}

#[test]
fn all_bad_digits_are_listed_and_skipped_only_on_request() {
    let (from, out) = (digits(), tempfile::tempdir().unwrap());
    let bad = spoil(from.path());
    let to = out.path().join("prepared");
    let arguments = ["prepare", "fsdd", "--from", from.path().to_str().unwrap(), "--to", to.to_str().unwrap()];
    let arguments = [&arguments[..], &["--strings", "10", "--held-out", "none"]].concat();

    let refused = vocable(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("5 unusable files"), "{}", text(&refused.stderr));
    assert_listed(&text(&refused.stderr), &bad);
    assert!(!to.exists(), "nothing is written before the recordings are good");

    let skipped = vocable(&[&arguments[..], &["--skip-bad"]].concat());
    assert_eq!(skipped.status.code(), Some(0), "{}", text(&skipped.stderr));
    assert_listed(&text(&skipped.stderr), &bad);
    let manifest = Manifest::read(to.join("manifest.jsonl")).unwrap();
    assert_eq!(Split::ALL.map(|split| manifest.split(split).len()), [60, 6, 12, 0]);
}

#[test]
fn anyones_recordings_are_resampled_and_the_bad_ones_listed() {
    let (from, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| from.path().join(name);
    let to = out.path().join("prepared");
    write_tone(&at("studio.wav"), 44_100, 2, 24, 1.5, 440.0);
    write_tone(&at("phone.wav"), 8_000, 1, 8, 1.0, 300.0);
    write_tone(&at("plain.wav"), 16_000, 1, 16, 0.75, 500.0);
    write_tone(&at("longer.wav"), 16_000, 1, 16, 2.0, 500.0);
    fs::write(at("empty.flac"), "").unwrap();
    fs::write(at("text.ogg"), "no sound at all ".repeat(50)).unwrap();
    fs::write(at("cut.wav"), &fs::read(at("plain.wav")).unwrap()[..9_000]).unwrap();
    let line = |file: &str, seconds: f64| {
        let id = file.split('.').next().unwrap();
        let fields = format!(r#""speaker":"anna","text":"one two","seconds":{seconds},"split":"train""#);
        format!(r#"{{"id":"{id}","audio":"{file}",{fields}}}"#)
    };
    let good = [line("studio.wav", 1.5), line("phone.wav", 1.0), line("plain.wav", 0.75)].join("\n");
    let bad_lines = [
        line("gone.wav", 1.0),
        line("empty.flac", 1.0),
        line("text.ogg", 1.0),
        line("cut.wav", 0.75),
        line("longer.wav", 1.0),
    ];
    let manifest = at("manifest.jsonl");
    fs::write(&manifest, format!("{good}\n{}\n", bad_lines.join("\n"))).unwrap();
    let arguments = ["prepare", "jsonl", "--from", manifest.to_str().unwrap(), "--to", to.to_str().unwrap()];

    let bad = [
        (at("gone.wav"), "no such file"),
        (at("empty.flac"), "holds no samples"),
        (at("text.ogg"), "not readable as audio"),
        (at("cut.wav"), "truncated"),
        (at("longer.wav"), "lasts 2.000 s, but the manifest says 1 s"),
    ];
    let refused = vocable(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert_listed(&text(&refused.stderr), &bad);
    assert!(!to.join("manifest.jsonl").exists(), "no manifest without all recordings");

    let skipped = vocable(&[&arguments[..], &["--skip-bad"]].concat());
    assert_eq!(skipped.status.code(), Some(0), "{}", text(&skipped.stderr));
    assert_listed(&text(&skipped.stderr), &bad);
    assert!(text(&skipped.stdout).contains("(3 recordings kept, 5 files skipped)"), "{}", text(&skipped.stdout));
    let prepared = Manifest::read(to.join("manifest.jsonl")).unwrap();
    assert!(vocable_data::verify::check(&prepared, 16_000, &|| ()).is_empty());
    let corpus = vocable_data::Corpus::new(prepared);
    for (index, (samples, hertz)) in [(24_000, 440.0), (16_000, 300.0), (12_000, 500.0)].into_iter().enumerate() {
        let audio = corpus.audio(index).unwrap();
        assert_eq!(audio.len(), samples);
        // The tone is still the same tone: away from the ends it is the sine, to 8 bits or resampling's ripple.
        let sine = |n: usize| 0.4 * (n as f64 * hertz * std::f64::consts::TAU / 16_000.0).sin();
        let worst = (2_000..samples - 2_000).map(|n| (f64::from(audio[n]) - sine(n)).abs()).fold(0.0, f64::max);
        assert!(worst < 0.01, "utterance {index} is off by {worst}");
    }

    // Preparing in place would destroy the source.
    let source = fs::read(&manifest).unwrap();
    let own =
        vocable(&["prepare", "jsonl", "--from", arguments[3], "--to", from.path().to_str().unwrap(), "--skip-bad"]);
    assert_eq!(own.status.code(), Some(2));
    assert!(text(&own.stderr).contains("its own folder"), "{}", text(&own.stderr));
    assert_eq!(fs::read(&manifest).unwrap(), source);

    // A recording that is newer than its prepared copy is converted again.
    std::thread::sleep(std::time::Duration::from_millis(20));
    write_tone(&at("plain.wav"), 16_000, 1, 16, 0.75, 700.0);
    let again = vocable(&[&arguments[..], &["--skip-bad"]].concat());
    assert!(text(&again.stdout).contains("(2 recordings kept"), "{}", text(&again.stdout));
}

#[test]
fn a_corpus_of_another_size_is_taken_on_request() {
    let (from, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = out.path().join("prepared");
    fs::create_dir(from.path().join("wavs")).unwrap();
    write_tone(&from.path().join("wavs/LJ001-0001.wav"), 22_050, 1, 16, 0.5, 300.0);
    fs::write(from.path().join("metadata.csv"), "LJ001-0001|Page 1|Page one\n").unwrap();
    let arguments = ["prepare", "ljspeech", "--from", from.path().to_str().unwrap(), "--to", to.to_str().unwrap()];
    let refused = vocable(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused.stderr);
    assert!(message.contains("LJSpeech-1.1: 1 of 13100 utterances") && message.contains("--partial"), "{message}");
    assert!(!to.exists());
    let taken = vocable(&[&arguments[..], &["--partial"]].concat());
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    assert!(text(&taken.stderr).contains("taken as it is: LJSpeech-1.1: 1 of 13100 utterances"));
    assert!(text(&taken.stdout).contains("train                1"), "{}", text(&taken.stdout));
}

#[test]
fn mistakes_in_the_command_or_the_manifest_exit_2_and_say_where() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out");
    let to = to.to_str().unwrap();
    let nowhere = dir.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let wrong = dir.path().join("wrong.jsonl");
    fs::write(&wrong, "{\"id\":\"a\",\"speeker\":\"b\"}\n").unwrap();
    let cases: [(&[&str], &str); 11] = [
        (&["prepare"], "Usage"),
        (&["prepare", "fsdd", "--to", to], "--from"),
        (&["prepare", "fsdd", "--from", nowhere, "--to", to], "nowhere"),
        (&["prepare", "fsdd", "--from", nowhere, "--to", to, "--held-out", "theo,bob"], "`bob`"),
        (&["prepare", "jsonl", "--from", nowhere, "--to", to], "nowhere"),
        (
            &["prepare", "jsonl", "--from", wrong.to_str().unwrap(), "--to", to],
            "wrong.jsonl:1: unknown field `speeker`",
        ),
        (&["prepare", "librispeech", "--from", nowhere, "--to", to], "holds none of the folders"),
        (&["prepare", "arctic", "--from", nowhere, "--to", to], "cmu_us_bdl_arctic: no such folder"),
        (&["prepare", "mustc", "--from", nowhere, "--to", to, "--language", "es"], "expected de or fr"),
        (&["prepare", "kaldi", "--from", "dev=data", "--to", to], "expected one of train, valid"),
        (&["prepare", "fairseq", "--from", "train.tsv", "--to", to], "expected SPLIT=PATH"),
    ];
    for (arguments, expected) in cases {
        let output = vocable(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
        assert!(!Path::new(to).exists(), "{arguments:?} leaves nothing");
    }
}
