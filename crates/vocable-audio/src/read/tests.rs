//! What is read, and what is refused and why.

use std::fs;

use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempDir;

use super::*;
use crate::write_wav;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name)
}

/// A file of `bytes` in a folder of its own, and what reading it says.
fn refused(bytes: &[u8]) -> AudioError {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spoilt.wav");
    fs::write(&path, bytes).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("spoilt.wav: "), "{error} does not name the file");
    let in_memory = read_bytes(bytes.to_vec(), &path).unwrap_err();
    assert_eq!(in_memory.to_string(), error.to_string());
    error
}

fn wav(values: &[i32], bits: u16, channels: u16) -> Audio {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.wav");
    let spec = WavSpec { channels, sample_rate: 12_345, bits_per_sample: bits, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(&path, spec).unwrap();
    values.iter().for_each(|&value| writer.write_sample(value).unwrap());
    writer.finalize().unwrap();
    read(&path).unwrap()
}

/// A WAV file of floats: format tag 3.
fn float_wav(bits: u16, samples: &[f64]) -> Vec<u8> {
    let width = u32::from(bits / 8);
    let data: Vec<u8> = match bits {
        32 => samples.iter().flat_map(|&sample| (sample as f32).to_le_bytes()).collect(),
        _ => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
    };
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0\x01\0");
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend((8000 * width).to_le_bytes());
    bytes.extend((width as u16).to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn integers_of_every_width_reach_full_scale() {
    for bits in [8_u16, 16, 24, 32] {
        let top = ((1_i64 << (bits - 1)) - 1) as i32;
        let audio = wav(&[0, top, -top - 1, top / 2 + 1], bits, 1);
        assert_eq!((audio.rate, audio.samples.len()), (12_345, 4), "{bits} bits");
        let step = 1.0 / f64::from(top);
        for (found, expected) in audio.samples.iter().zip([0.0, 1.0, -1.0, 0.5]) {
            assert!((f64::from(*found) - expected).abs() <= step, "{bits} bits: {found} for {expected}");
        }
    }
}

#[test]
fn channels_are_averaged() {
    let audio = wav(&[16384, 0, -16384, 16384, 8192, 8192], 16, 2);
    assert_eq!(audio.samples, [0.25, 0.0, 0.25]);
    assert_eq!(wav(&[300, 0, 0, 600, 600, 600], 16, 3).samples.len(), 2);
    let path = fixture("tone.flac");
    let (mean, first) = (read(&path).unwrap(), read_first_channel(&path).unwrap());
    assert_eq!(first.samples.len(), mean.samples.len());
    assert!(first.samples.iter().enumerate().all(|(n, &left)| left == ((37 * n % 2001) as f32 - 1000.0) / 32_768.0));
}

#[test]
fn floats_are_taken_as_they_are() {
    let folder = TempDir::new().unwrap();
    for bits in [32, 64] {
        let path = folder.path().join("float.wav");
        fs::write(&path, float_wav(bits, &[0.25, -1.5, 1e-9])).unwrap();
        assert_eq!(read(&path).unwrap().samples, [0.25, -1.5, 1e-9], "{bits} bits");
        assert_eq!(probe(&path).unwrap(), Header { samples: 3, rate: 8000 });
    }
}

#[test]
fn flac_is_exact() {
    let audio = read(fixture("tone.flac")).unwrap();
    assert_eq!((audio.rate, audio.samples.len()), (22_050, 5000));
    for (n, &sample) in audio.samples.iter().enumerate() {
        let left = (37 * n % 2001) as f32 - 1000.0;
        assert_eq!(sample, (left + (n % 5) as f32) / 32768.0, "sample {n}");
    }
    assert_eq!(probe(fixture("tone.flac")).unwrap(), Header { samples: 5000, rate: 22_050 });
    let path = fixture("tone.flac");
    assert_eq!(read_bytes(fs::read(&path).unwrap(), &path).unwrap(), audio);
}

#[test]
fn vorbis_is_what_libsndfile_decodes() {
    let (ours, theirs) = (read(fixture("tone.ogg")).unwrap(), read(fixture("tone.decoded.wav")).unwrap());
    assert_eq!((ours.rate, ours.samples.len()), (16_000, 4000));
    let worst = ours.samples.iter().zip(&theirs.samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Two decoders' single-precision transforms.
    assert!(worst < 1e-5, "{worst} off libsndfile");
    assert_eq!(probe(fixture("tone.ogg")).unwrap(), Header { samples: 4000, rate: 16_000 });
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = TempDir::new().unwrap();
    let whole_wav = folder.path().join("whole.wav");
    write_wav(&whole_wav, &vec![0.1; 5000], 16_000).unwrap();
    for path in [whole_wav, fixture("tone.flac"), fixture("tone.ogg")] {
        let whole = fs::read(&path).unwrap();
        for cut in (4..whole.len()).step_by(whole.len() / 61).chain([44, 45, 46, whole.len() - 1]) {
            let error = refused(&whole[..cut]);
            assert!(
                matches!(error, AudioError::Truncated { .. } | AudioError::Damaged { .. }),
                "{} cut at {cut} of {}: {error}",
                path.display(),
                whole.len()
            );
        }
    }
}

#[test]
fn a_cut_wav_says_how_much_is_there() {
    let mut bytes = float_wav(32, &[0.1; 3000]);
    bytes.truncate(44 + 4 * 1000);
    let error = refused(&bytes);
    assert!(matches!(error, AudioError::Truncated { declared: Some(3000), .. }), "{error}");
    assert!(error.to_string().contains("truncated: 1000 samples can be read of the 3000 it declares"), "{error}");
}

#[test]
fn a_flipped_bit_in_flac_or_ogg_is_refused() {
    for name in ["tone.flac", "tone.ogg"] {
        let whole = fs::read(fixture(name)).unwrap();
        for at in (whole.len() / 2..whole.len()).step_by(whole.len() / 23) {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 0x10;
            refused(&spoilt);
        }
    }
}

#[test]
fn what_holds_no_audio_is_refused_by_reason() {
    assert!(matches!(refused(b""), AudioError::Empty { .. }));
    assert!(matches!(refused(&float_wav(32, &[])), AudioError::Empty { .. }));
    assert!(matches!(refused(b"one word"), AudioError::NotAudio { .. }));
    // A container's mark inside a file of another kind is not a recording.
    let mut text = b"see also: ".to_vec();
    text.extend(float_wav(32, &[0.1; 100]));
    assert!(matches!(refused(&text), AudioError::NotAudio { .. }));
    let error = refused(&float_wav(32, &[0.0, 0.5, f64::NAN]));
    assert!(matches!(error, AudioError::NonFinite { index: 2, .. }), "{error}");
    assert!(matches!(refused(&float_wav(64, &[f64::INFINITY])), AudioError::NonFinite { index: 0, .. }));
    let error = refused(&float_wav(32, &[1e6, 0.0, -1.1e6]));
    assert!(matches!(error, AudioError::Loud { index: 2, .. }), "{error}");
    let missing = read("/nowhere/a.wav").unwrap_err();
    assert!(matches!(missing, AudioError::Missing { .. }) && missing.to_string().starts_with("/nowhere/a.wav: "));
    assert!(matches!(probe("/nowhere/a.wav"), Err(AudioError::Missing { .. })));
    assert!(matches!(read("/"), Err(AudioError::Io { .. })));
}

#[test]
fn another_rate_is_an_error() {
    let error = read(fixture("tone.flac")).unwrap().expect_rate(16_000).unwrap_err();
    assert!(matches!(error, AudioError::Rate { found: 22_050, expected: 16_000, .. }), "{error}");
    assert!(error.to_string().contains("tone.flac: sampled at 22050 Hz where 16000 Hz is expected"));
    assert_eq!(read(fixture("tone.ogg")).unwrap().expect_rate(16_000).unwrap().seconds(), 0.25);
}

#[test]
fn a_wav_file_from_a_pipe_is_read_to_its_end() {
    let samples: Vec<f64> = (0..100).map(|n| f64::from(n) / 128.0).collect();
    let closed = float_wav(32, &samples);
    let place = closed.len() - 400 - 4;
    let read = |bytes: Vec<u8>| read_bytes(bytes, "pipe.wav").map(|audio| audio.samples);
    // Those of ffmpeg, of sox and of two recorders that were stopped.
    for (riff, data) in [(u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0, 0), (place as u32 - 4, 0)] {
        let mut open = closed.clone();
        open[4..8].copy_from_slice(&riff.to_le_bytes());
        open[place..place + 4].copy_from_slice(&data.to_le_bytes());
        assert_eq!(read(open.clone()).unwrap(), read(closed.clone()).unwrap(), "{data:#x}");
        // What is left of a sample is none.
        open.truncate(open.len() - 3);
        assert_eq!(read(open).unwrap().len(), 99, "{data:#x}");
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe.wav");
    let mut open = closed.clone();
    open[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(&path, &open).unwrap();
    assert_eq!(probe(&path).unwrap().samples, 100);
}

#[test]
fn the_length_of_the_samples_counts_more_than_that_of_the_form_around_them() {
    let right = float_wav(32, &[0.5; 100]);
    for length in [0, 400, right.len() as u32 - 9] {
        let mut bytes = right.clone();
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        let read = |bytes: Vec<u8>| read_bytes(bytes, "careless.wav").unwrap().samples;
        assert_eq!(read(bytes), read(right.clone()), "{length}");
    }
}

#[test]
fn plain_samples_in_larger_containers_are_refused() {
    let mut bytes = float_wav(32, &[0.5; 9]);
    // Integers of 24 bits, in four bytes each.
    bytes[20] = 1;
    bytes[34] = 24;
    let message = refused(&bytes).to_string();
    assert!(message.contains("4 bytes for a sample of 1 channels of 24 bits"), "{message}");
}
