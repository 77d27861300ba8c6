//! Lists of others that would fill the memory, never end or lead elsewhere: each is refused by name and line, at once.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use vocable_data::readers::{Lenience, fairseq, jsonl, kaldi, librispeech, libritts, mustc};
use vocable_data::{DataError, Language, Manifest, Split, labels, speaker};

#[path = "../../vocable-audio/tests/memory/mod.rs"]
mod memory;

/// Bytes that refusing may take: a line of the longest, what is made of it, and a text of the largest.
const BUFFERS: usize = 16 << 20;
/// Refusing takes milliseconds; machines are busy.
const PATIENCE: Duration = Duration::from_secs(1);
const LINE: &str =
    r#"{"id":"a1","audio":"a1.wav","speaker":"anna","text":"good morning","seconds":1.25,"split":"train"}"#;

/// The message of what is refused for little.
#[track_caller]
fn refused<T>(read: impl FnOnce() -> Result<T, DataError>) -> String {
    let (answer, held, took) = memory::cost(|| read().map(drop));
    assert!(held < BUFFERS && took < PATIENCE, "{held} bytes were held, for {took:?}");
    answer.unwrap_err().to_string()
}

/// Makes a file 200 MB long: behind what it holds come zeros.
fn lengthen(path: &Path) {
    File::options().append(true).open(path).unwrap().set_len(200_000_000).unwrap();
}

/// One test, for what is held is counted for the whole program.
#[test]
fn lists_are_read_within_limits() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    let long = "is longer than the 1048576 bytes that a line may have";

    // A line without end in every kind of list.
    let manifest = write("m.jsonl", &format!("{LINE}\n"));
    lengthen(&manifest);
    assert_eq!(refused(|| Manifest::read(&manifest)), format!("{}:2: {long}", manifest.display()));
    let units = write("u.km", "1 2\n");
    lengthen(&units);
    assert_eq!(refused(|| labels::read(&units)), format!("{}:2: {long}", units.display()));
    let table = write("f/train.tsv", "/data\na.wav\t16000\n");
    lengthen(&table);
    assert_eq!(refused(|| fairseq::list(&[(Split::Train, table.clone())])), format!("{}:3: {long}", table.display()));
    let scp = write("k/wav.scp", "a a.wav\n");
    lengthen(&scp);
    let folder = scp.parent().unwrap();
    let message = refused(|| kaldi::list(&[(Split::Train, folder.to_owned())], dir.path()));
    assert_eq!(message, format!("{}:2: {long}", scp.display()));
    let transcript = write("LibriSpeech/dev-clean/1/2/1-2.trans.txt", "1-2-0000 WORDS\n");
    lengthen(&transcript);
    let message = refused(|| librispeech::list(dir.path(), &[]));
    assert_eq!(message, format!("{}:2: {long}", transcript.display()));
    // A list of more than a gigabyte, and a text that is none.
    File::options().append(true).open(&transcript).unwrap().set_len(3 << 30).unwrap();
    assert!(refused(|| librispeech::list(dir.path(), &[])).contains("1-2.trans.txt: has 3221225472 bytes, more than"));
    let text = write("LibriTTS/dev-clean/1/2/1_2_0.normalized.txt", "words");
    write("LibriTTS/dev-clean/1/2/1_2_0.wav", "");
    lengthen(&text);
    let (listing, held, _) = memory::cost(|| libritts::list(dir.path(), &[]).unwrap());
    assert!(held < BUFFERS);
    assert_eq!(
        listing.bad[0].to_string(),
        format!("{}: has more than the 1048576 bytes that such a file may have", text.display())
    );

    // YAML: aliases of aliases, which stand for 9^12 values, and nesting, short and long.
    let mut bomb =
        String::from("- {duration: 1.0, offset: 0.0, speaker_id: s, wav: t.wav, a0: &a0 [x, x, x, x, x, x, x, x, x]");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!(", a{level}: &a{level} [{}]", vec![alias; 9].join(", "));
    }
    bomb.push('}');
    for line in [bomb, "[".repeat(4000), "- {wav: ".repeat(500), "[".repeat(1_000_000)] {
        let line = line + "\n";
        for (end, content) in [("yaml", line.as_str()), ("en", "A.\n"), ("de", "A.\n")] {
            write(&format!("en-de/data/train/txt/train.{end}"), content);
        }
        let message = refused(|| mustc::list(dir.path(), Language::German));
        assert!(message.contains("train.yaml:1: ") && message.len() < 1000, "{message}");
    }

    // JSON: a nesting without end.
    let deep = write("deep.jsonl", &format!("{{\"id\":{}", "[".repeat(1_000_000)));
    assert!(refused(|| Manifest::read(&deep)).contains("deep.jsonl:1: "));

    // A NumPy header that claims four gigabytes, a shape that claims more, and a vector of megabytes.
    let mut npy = b"\x93NUMPY\x02\0\xff\xff\xff\xff{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}".to_vec();
    let vector = dir.path().join("v.npy");
    fs::write(&vector, &npy).unwrap();
    assert!(refused(|| speaker::read(&vector, 4)).ends_with("v.npy: not a NumPy file: its header is cut short"));
    npy = b"\x93NUMPY\x01\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }".to_vec();
    npy.resize(127, b' ');
    npy.extend(b"\n\0\0\0\0");
    fs::write(&vector, &npy).unwrap();
    assert!(refused(|| speaker::read(&vector, 4)).contains("v.npy: "));
    // One that would be read for hours.
    npy = format!("\u{93}NUMPY\u{1}\0\u{6a}\0{{'shape': {}{}}}", "{".repeat(48), "}".repeat(47))
        .chars()
        .map(|c| c as u8)
        .collect();
    fs::write(&vector, &npy).unwrap();
    assert!(
        refused(|| speaker::read(&vector, 4))
            .ends_with("v.npy: not a NumPy file: its header is not that of an array of numbers")
    );
    lengthen(&vector);
    assert!(
        refused(|| speaker::read(&vector, 4))
            .ends_with("v.npy: has more than the 1048576 bytes that such a file may have")
    );
    let header = [&(1_u64 << 62).to_le_bytes()[..], b"{\"a\":"].concat();
    let tensor = dir.path().join("v.safetensors");
    fs::write(&tensor, header).unwrap();
    assert!(refused(|| speaker::read(&tensor, 4)).contains("v.safetensors: "));

    // What a list calls a speaker's vector is copied only if it is one.
    let (from, to) = (dir.path().join("own"), dir.path().join("to"));
    fs::create_dir(&from).unwrap();
    vocable_audio::write_wav(from.join("a1.wav"), &[0.1; 20_000], 16_000).unwrap();
    let secret = write("secret.npy", "not for others");
    let line = LINE.replace("}", &format!(",\"speaker_vector\":\"{}\"}}", secret.display()));
    fs::write(from.join("m.jsonl"), line).unwrap();
    let message = refused(|| jsonl::prepare(&from.join("m.jsonl"), &to, false, &()));
    assert!(message.starts_with(&format!("{}: not a NumPy file", secret.display())), "{message}");
    assert!(!to.join("vectors").exists());

    links_and_devices(dir.path());
}

/// Links are followed, since corpora are spread over disks by them; what they lead to must still be a recording or a
/// list. A circle of them, a device and a pipe are refused.
#[cfg(unix)]
fn links_and_devices(dir: &Path) {
    use std::os::unix::fs::symlink;

    let corpus = dir.join("linked/LibriSpeech/test-clean/1/2");
    fs::create_dir_all(&corpus).unwrap();
    fs::write(corpus.join("1-2.trans.txt"), "1-2-0000 WORDS\n1-2-0001 OTHERS\n1-2-0002 MORE\n").unwrap();
    let elsewhere = dir.join("elsewhere.wav");
    vocable_audio::write_wav(&elsewhere, &[0.1; 20_000], 16_000).unwrap();
    symlink(&elsewhere, corpus.join("1-2-0000.flac")).unwrap();
    symlink("/etc/passwd", corpus.join("1-2-0001.flac")).unwrap();
    symlink(corpus.join("1-2-0002.flac"), corpus.join("1-2-0002.flac")).unwrap();
    let (from, to) = (dir.join("linked"), dir.join("linked-to"));
    let prepare = |skip_bad| {
        let lenience = Lenience { skip_bad, partial: true };
        vocable_data::readers::prepare("librispeech", &from, librispeech::list(&from, &[])?, &to, lenience, &())
    };
    let message = prepare(false).unwrap_err().to_string();
    assert!(message.contains("1-2-0002.flac: no such file"), "{message}");
    let prepared = prepare(true).unwrap();
    assert_eq!(prepared.manifest.utterances.len(), 1);
    let reasons: Vec<String> = prepared.skipped.iter().map(ToString::to_string).collect();
    assert!(reasons.iter().any(|reason| reason.contains("1-2-0001.flac: not readable as audio")), "{reasons:?}");

    for device in ["/dev/zero", "/dev/null"].map(Path::new) {
        assert_eq!(refused(|| Manifest::read(device)), format!("{}: is no regular file", device.display()));
        assert_eq!(refused(|| labels::read(device)), format!("{}: is no regular file", device.display()));
    }
    let transcript = corpus.join("1-2.trans.txt");
    fs::remove_file(&transcript).unwrap();
    symlink("/dev/zero", &transcript).unwrap();
    assert!(refused(|| librispeech::list(&from, &[])).ends_with("1-2.trans.txt: is no regular file"));
}

#[cfg(not(unix))]
fn links_and_devices(_dir: &Path) {}
