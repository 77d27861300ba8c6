//! Recordings that claim more than they hold: refused at once, by name, without room for what they claim.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vocable_audio::{probe, read};

mod memory;

/// Bytes that refusing a small file may take: the decoders' buffers.
const BUFFERS: usize = 16 << 20;
/// Refusing takes milliseconds; machines are busy.
const PATIENCE: Duration = Duration::from_secs(1);

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name)).unwrap()
}

/// A WAV file of 16-bit samples whose header may say what it likes.
fn wav(channels: u16, rate: u32, claimed: u32, chunk: &[u8], samples: usize) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(claimed.saturating_add(36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(2 * u32::from(channels)).to_le_bytes());
    bytes.extend(channels.wrapping_mul(2).to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(chunk);
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(vec![1; 2 * samples]);
    bytes
}

/// The FLAC fixture with another number of samples in its header (36 bits).
fn flac_of(samples: u64) -> Vec<u8> {
    let mut bytes = fixture("tone.flac");
    bytes[21] = bytes[21] & 0xf0 | (samples >> 32) as u8;
    bytes[22..26].copy_from_slice(&(samples as u32).to_be_bytes());
    bytes
}

/// The Ogg fixture whose last page claims to end at another sample.
fn ogg_of(samples: u64) -> Vec<u8> {
    let mut bytes = fixture("tone.ogg");
    let page = bytes.windows(4).rposition(|bytes| bytes == b"OggS").unwrap();
    bytes[page + 6..page + 14].copy_from_slice(&samples.to_le_bytes());
    bytes[page + 22..page + 26].fill(0);
    let sum = bytes[page..].iter().fold(0_u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    bytes[page + 22..page + 26].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The FLAC fixture with a block of metadata of a kind behind its header.
fn flac_with(kind: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = fixture("tone.flac");
    let length = (block.len() as u32).to_be_bytes();
    let block = [&[kind][..], &length[1..], block].concat();
    // The header is not the last block any more, if it was.
    let last = bytes[4] & 0x80;
    bytes[4] &= 0x7f;
    let block = if last == 0 { block } else { [&[kind | 0x80][..], &block[1..]].concat() };
    drop(bytes.splice(42..42, block));
    bytes
}

/// What can be said of a file: its error, or how many samples it has.
fn said(path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).unwrap();
    let (answer, held, took) = memory::cost(|| (read(path), probe(path)));
    assert!(held < BUFFERS + 8 * bytes.len(), "{held} bytes were held for a file of {}", bytes.len());
    assert!(took < PATIENCE, "{took:?}");
    match answer {
        (Err(error), _) => error.to_string(),
        (Ok(audio), _) => format!("{} samples", audio.samples.len()),
    }
}

#[test]
fn claims_beyond_the_content_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("claims.wav");
    let refused = |bytes: Vec<u8>, expected: &str| {
        let message = said(&path, &bytes);
        assert!(message.starts_with(&format!("{}: ", path.display())), "{message} does not name the file");
        assert!(message.contains(expected), "{message}\nlacks {expected}");
    };
    let longer = "longer than the 536870912 samples that are read";
    let gigabytes = 0x7fff_0000;
    refused(wav(1, 16_000, gigabytes, b"", 100), longer);
    refused(wav(8, 16_000, gigabytes, b"", 800), "truncated: 100 samples can be read of the 134213632 it declares");
    // What a pipe declares claims nothing.
    assert_eq!(said(&path, &wav(8, 16_000, u32::MAX, b"", 800)), "100 samples");
    refused(wav(1, 16_000, 2 << 20, b"", 100), "truncated: 100 samples can be read of the 1048576 it declares");
    for rate in [1, 3_999, 1_000_001, u32::MAX] {
        refused(wav(1, rate, 200, b"", 100), &format!("declares {rate} Hz, beyond the 4000 to 1000000 Hz"));
    }
    // Texts beside the samples, of four gigabytes by what they say.
    refused(wav(1, 16_000, 200, b"LIST\xf0\xff\xff\xffINFOIART\xe0\xff\xff\xff", 100), "");
    refused(wav(1, 16_000, 200, b"LIST\x0c\0\0\0INFOIART\xe0\xff\xff\xff", 100), "");

    refused(flac_of((1 << 36) - 1), longer);
    // Nine hours, as many as are read.
    refused(flac_of(1 << 29), "truncated: 5000 samples can be read of the 536870912 it declares");
    // Tags: how long the vendor's name is, how many there are, how long the first is. A picture: of its kind, of its bytes.
    let huge = [0xff; 4];
    for block in [&huge[..], &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]] {
        said(&path, &flac_with(4, block));
    }
    said(&path, &flac_with(6, &[&[0, 0, 0, 3], &huge[..]].concat()));
    said(&path, &flac_with(6, &[&[0, 0, 0, 3][..], &[0; 24], &huge].concat()));

    refused(ogg_of(1 << 40), longer);
    refused(ogg_of(1 << 28), "truncated: 4");
    assert_eq!(said(&path, &ogg_of(4_000)), "4000 samples");
}

#[cfg(unix)]
#[test]
fn a_device_or_a_pipe_is_no_recording() {
    for path in ["/dev/zero", "/dev/null"] {
        let message = read(path).unwrap_err().to_string();
        assert_eq!(message, format!("{path}: cannot be read: is no regular file"));
        assert_eq!(probe(path).unwrap_err().to_string(), message);
    }
}
