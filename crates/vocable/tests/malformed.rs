//! Files that are damaged or made to do harm: thousands of mutations of every kind of file that is read, of which none
//! panics, none takes long, and none allocates more than its size warrants.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use burn::tensor::Device;
use rand::RngExt;
use vocable_lm::LanguageModel;
use vocable_random::Key;
use vocable_text::Tokenizer;
use vocable_weights::{Weights, read_array};

#[path = "../../vocable-audio/tests/memory/mod.rs"]
mod memory;

/// Mutations of each file.
const ROUNDS: usize = 600;
/// Bytes that reading may hold at once for each byte of the file (a character of one byte becomes a piece with its
/// number and score), and beside them: buffers of fixed size, of which the audio reader's is the largest.
const PER_BYTE: usize = 200;
const BUFFERS: usize = 40 << 20;
/// Far above what any of these small files takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// A damaged copy: one to four changes, each of a kind that readers trip over.
fn mutated(bytes: &[u8], key: Key) -> Vec<u8> {
    let (mut bytes, mut rng) = (bytes.to_vec(), key.rng());
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        // Beginnings hold what decides on the rest.
        let end = if rng.random_bool(0.5) { bytes.len().min(256) } else { bytes.len() };
        let at = rng.random_range(0..end);
        let until = (at + rng.random_range(1..=64)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => {
                let extremes = [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, u64::MAX, i64::MAX as u64, 1 << 40];
                let number = extremes[rng.random_range(0..extremes.len())].to_le_bytes();
                let length = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&number[..length]);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..until)),
            5 => {
                let again = bytes[at..until].to_vec();
                let to = rng.random_range(0..=bytes.len());
                drop(bytes.splice(to..to, again));
            }
            _ => bytes[at..until].fill_with(|| rng.random()),
        }
    }
    bytes
}

/// Reads mutations of some files, and says how many of them were read all the same.
#[track_caller]
fn survives(names: &[&str], into: &str, read: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(into);
    let mut refused = 0;
    for name in names {
        let whole = fs::read(fixture(name)).unwrap();
        fs::write(&path, &whole).unwrap();
        if let Ok(dictionary) = fs::read(fixture(name).with_file_name("dict.txt")) {
            fs::write(path.with_file_name("dict.txt"), dictionary).unwrap();
        }
        assert!(read(&path), "{name} itself is not read");
        for round in 0..ROUNDS {
            let bytes = mutated(&whole, Key::new(11).fold(*name).fold(round));
            fs::write(&path, &bytes).unwrap();
            let (good, most, took) = memory::cost(|| catch_unwind(AssertUnwindSafe(|| read(&path))));
            let good = good.unwrap_or_else(|_| panic!("round {round} of {name} panics"));
            refused += usize::from(!good);
            let limit = BUFFERS + PER_BYTE * bytes.len();
            assert!(most <= limit, "round {round} of {name}: {most} bytes for a file of {}", bytes.len());
            assert!(took < PATIENCE, "round {round} of {name} took {took:?}");
        }
    }
    // Mutations that change a value alone are still files; most are not.
    let all = ROUNDS * names.len();
    assert!(refused > all / 10 && refused < all, "{refused} of {all} were refused");
}

/// One test, for what is allocated is counted for the whole program.
#[test]
fn damaged_files_are_refused_with_an_error() {
    survives(&["weights/tensors.safetensors", "vocoders/expected.safetensors"], "file", weights);
    let pickles = ["weights/tensors.pt", "weights/protocol4.pt", "weights/old.pt", "weights/checkpoint.pt"];
    survives(&pickles, "file", weights);
    survives(&["weights/single.npy", "weights/fortran.npy", "weights/double.npy"], "file.npy", |path| {
        read_array(path).is_ok()
    });
    survives(&["lm/pre/model.pt", "lm/post/model.pt"], "file", |path| {
        LanguageModel::open(path, &Device::flex()).is_ok_and(|lm| lm.model.tokens() == 10)
    });
    survives(&["sentencepiece/odd.model"], "spm_char.model", |path| {
        let tokenizer = Tokenizer::open(path.parent().expect("it lies in a folder"));
        tokenizer.is_ok_and(|tokenizer| {
            let ids = tokenizer.encode("The quick (brown) fox, 3½ ﬁelds").ids;
            tokenizer.decode(&ids).len() < 1000
        })
    });
    survives(&["audio/tone.decoded.wav", "audio/tone.flac", "audio/tone.ogg"], "file", |path| {
        vocable_audio::read(path).is_ok()
    });
}

/// Whether a file of weights and all of its values are read.
fn weights(path: &Path) -> bool {
    Weights::open(path).is_ok_and(|weights| {
        weights.tensors().for_each(|tensor| drop(tensor.to_f32()));
        true
    })
}
