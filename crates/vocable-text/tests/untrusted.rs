//! Vocabularies that claim more than they hold, are of any size or never end: refused at once, by name.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use vocable_text::{CharModel, CharVocabulary, TextError, UnigramModel};

#[path = "../../vocable-audio/tests/memory/mod.rs"]
mod memory;

/// Bytes that refusing a small file may take.
const BUFFERS: usize = 1 << 20;
/// Refusing takes milliseconds; machines are busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a file, and forgets what it holds.
type Reader<'a> = &'a dyn Fn(&Path) -> Result<(), TextError>;

/// The message of what is refused for little.
#[track_caller]
fn refused<T>(read: impl FnOnce() -> Result<T, TextError>) -> String {
    let (answer, held, took) = memory::cost(|| read().map(drop));
    assert!(held < BUFFERS && took < PATIENCE, "{held} bytes were held, for {took:?}");
    answer.unwrap_err().to_string()
}

/// One test, for what is held is counted for the whole program.
#[test]
fn vocabularies_are_read_within_limits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = at("spm_char.model");

    // A piece, the settings of training or a table of characters longer than the file; a number without end.
    let charsmap = b"\x12\x00\x1a\x08\x12\x06\xff\xff\xff\xffab".to_vec();
    let pieces = b"\x0a\x05\x0a\x03abc".to_vec();
    let cases = [
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x0a".to_vec(),
        b"\x12\xff\xff\xff\xff\x0fabc".to_vec(),
        vec![0xff; 64],
        [pieces, charsmap].concat(),
    ];
    for bytes in cases {
        fs::write(&path, &bytes).unwrap();
        for message in [refused(|| CharModel::read(&path)), refused(|| UnigramModel::read(&path))] {
            assert!(message.starts_with(&format!("{}: it", path.display())), "{message}");
        }
    }
    // JSON nested without end.
    let json = at("vocabulary.json");
    fs::write(&json, "[".repeat(100_000)).unwrap();
    assert!(refused(|| CharVocabulary::load(&json)).starts_with(&json.display().to_string()));

    // Files of any size: 200 MB of zeros on a disk that need not have them.
    let limit = "has more than the 67108864 bytes that such a file may have";
    let huge = at("dict.txt");
    File::create(&huge).unwrap().set_len(200_000_000).unwrap();
    let readers: [(&str, Reader); 4] = [
        ("char model", &|path| CharModel::read(path).map(drop)),
        ("unigram model", &|path| UnigramModel::read(path).map(drop)),
        ("list", &|path| CharVocabulary::read_list(path).map(drop)),
        ("JSON", &|path| CharVocabulary::load(path).map(drop)),
    ];
    for (kind, read) in readers {
        let message = read(&huge).unwrap_err().to_string();
        assert_eq!(message, format!("{}: {limit}", huge.display()), "{kind}");
        #[cfg(unix)]
        assert_eq!(refused(|| read(Path::new("/dev/zero"))), "/dev/zero: is no regular file", "{kind}");
    }

    // An identifier that a table of all before it would be made for.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/sentencepiece/odd.model");
    fs::copy(source, &path).unwrap();
    for id in [4_294_967_295_u32, 4_294_967_294] {
        fs::write(at("added_tokens.json"), format!("{{\"<mask>\": {id}}}")).unwrap();
        let message = refused(|| CharVocabulary::open(folder.path()).map(drop));
        assert!(message.contains("far behind spm_char.model"), "{message}");
    }
}
