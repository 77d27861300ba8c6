//! Recordings from WAV, FLAC and Ogg Vorbis files.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::AudioError;

/// A recording: its channels averaged into one, full scale at ±1.
///
/// Integer samples of `b` bits are divided by 2^(b−1); floating-point samples are taken as they are and may lie outside [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// One value per sample.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub rate: u32,
    /// The file it was read from, for messages.
    pub path: PathBuf,
}

impl Audio {
    /// The recording itself where its rate is `rate` Hz, else [`AudioError::Rate`]: nothing is resampled unasked.
    pub fn expect_rate(self, rate: u32) -> Result<Self, AudioError> {
        if self.rate == rate {
            Ok(self)
        } else {
            Err(AudioError::Rate {
                path: self.path,
                found: self.rate,
                expected: rate,
            })
        }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Samples per channel.
    pub samples: u64,
    /// Samples per second.
    pub rate: u32,
}

impl Header {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(self.rate)
    }
}

/// Reads a whole file: WAV (8- to 32-bit integers, 32- and 64-bit floats), FLAC or Ogg Vorbis, any rate, any number of
/// channels (averaged). The content decides on the format, not the file's name.
///
/// Errors: see [`AudioError`]. A file that is shorter than it declares, has no end-of-stream page (Ogg) or fails its
/// checksum (FLAC) is refused rather than read in part.
pub fn read(path: impl AsRef<Path>) -> Result<Audio, AudioError> {
    let path = path.as_ref();
    let mut stream = Stream::open(path)?;
    let mut samples = Vec::with_capacity(stream.declared.unwrap_or(0).min(1 << 26) as usize);
    stream.decode_into(&mut samples)?;
    if samples.is_empty() {
        return Err(AudioError::Empty { path: path.into() });
    }
    if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(AudioError::NonFinite {
            path: path.into(),
            index,
        });
    }
    Ok(Audio {
        samples,
        rate: stream.rate,
        path: path.into(),
    })
}

/// Rate and length of a file without decoding it, except where the header leaves the length open.
///
/// Errors: as [`read`], as far as they show in the header: a cut WAV does, a cut FLAC or Ogg does not.
pub fn probe(path: impl AsRef<Path>) -> Result<Header, AudioError> {
    let path = path.as_ref();
    let stream = Stream::open(path)?;
    match stream.declared {
        Some(0) => Err(AudioError::Empty { path: path.into() }),
        Some(samples) => Ok(Header {
            samples,
            rate: stream.rate,
        }),
        None => read(path).map(|audio| Header {
            samples: audio.samples.len() as u64,
            rate: audio.rate,
        }),
    }
}

/// An opened file with the decoder of its only audio track.
struct Stream {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    rate: u32,
    /// Samples per channel by the header.
    declared: Option<u64>,
}

impl Stream {
    fn open(path: &Path) -> Result<Self, AudioError> {
        let not_audio = |reason: String| AudioError::NotAudio {
            path: path.into(),
            reason,
        };
        let file = open_checked(path)?;
        let bytes = file
            .metadata()
            .map_err(|source| AudioError::Io {
                path: path.into(),
                source,
            })?
            .len();
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let format = symphonia::default::get_probe()
            .probe(
                &Hint::new(),
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(|error| match error {
                Error::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => AudioError::Truncated {
                    path: path.into(),
                    declared: None,
                    found: 0,
                },
                other => not_audio(other.to_string()),
            })?;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| not_audio("it has no audio track".into()))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|parameters| parameters.audio())
            .ok_or_else(|| not_audio("its codec is unknown".into()))?;
        let rate = parameters
            .sample_rate
            .filter(|&rate| rate > 0)
            .ok_or_else(|| not_audio("it declares no sample rate".into()))?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true))
            .map_err(|error| not_audio(error.to_string()))?;
        let (track, declared) = (track.id, track.num_frames);
        let stream = Self {
            path: path.into(),
            format,
            decoder,
            track,
            rate,
            declared,
        };
        stream.check_size(bytes)?;
        Ok(stream)
    }

    /// Uncompressed samples need their bytes: a cut WAV is recognised without reading it.
    fn check_size(&self, bytes: u64) -> Result<(), AudioError> {
        let parameters = self.decoder.codec_params();
        let width = match (
            self.format.format_info().short_name,
            parameters.bits_per_coded_sample,
            &parameters.channels,
        ) {
            ("wave", Some(bits), Some(channels)) => u64::from(bits.div_ceil(8)) * channels.count() as u64,
            _ => return Ok(()),
        };
        match self.declared {
            Some(declared) if declared * width > bytes => Err(AudioError::Truncated {
                path: self.path.clone(),
                declared: Some(declared),
                found: bytes / width,
            }),
            _ => Ok(()),
        }
    }

    /// Appends the mono average of all packets to `samples`.
    fn decode_into(&mut self, samples: &mut Vec<f32>) -> Result<(), AudioError> {
        let mut interleaved = Vec::new();
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(error) => return Err(self.decode_error(error, samples.len())),
            };
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(error) => return Err(self.decode_error(error, samples.len())),
            };
            let (channels, rate) = (decoded.spec().channels().count(), decoded.spec().rate());
            if rate != self.rate {
                let reason = format!("its rate changes from {} to {rate} Hz", self.rate);
                return Err(AudioError::NotAudio {
                    path: self.path.clone(),
                    reason,
                });
            }
            decoded.copy_to_vec_interleaved(&mut interleaved);
            samples.extend(
                interleaved
                    .chunks_exact(channels)
                    .map(|frame| frame.iter().sum::<f32>() / channels as f32),
            );
        }
        let found = samples.len() as u64;
        if self.declared.is_some_and(|declared| found < declared) {
            return Err(AudioError::Truncated {
                path: self.path.clone(),
                declared: self.declared,
                found,
            });
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            let reason = "the samples do not match the file's own checksum".into();
            return Err(AudioError::Damaged {
                path: self.path.clone(),
                reason,
            });
        }
        Ok(())
    }

    fn decode_error(&self, error: Error, found: usize) -> AudioError {
        let path = self.path.clone();
        match error {
            Error::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => AudioError::Truncated {
                path,
                declared: self.declared,
                found: found as u64,
            },
            Error::IoError(source) => AudioError::Io { path, source },
            Error::ResetRequired => AudioError::NotAudio {
                path,
                reason: "several streams are chained in one file".into(),
            },
            other => AudioError::Damaged {
                path,
                reason: format!("{other} after {found} samples"),
            },
        }
    }
}

/// Opens a file that begins like one of the three containers.
///
/// The format library would search a megabyte for such a beginning and could find one inside a file of another kind.
fn open_checked(path: &Path) -> Result<File, AudioError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => AudioError::Missing { path: path.into() },
        _ => AudioError::Io {
            path: path.into(),
            source,
        },
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(12).read_to_end(&mut start).map_err(failed)?;
    if start.is_empty() {
        return Err(AudioError::Empty { path: path.into() });
    }
    if ![b"RIFF", b"fLaC", b"OggS"].iter().any(|mark| start.starts_with(*mark)) {
        return Err(AudioError::NotAudio { path: path.into(), reason: "it begins like none of these".into() });
    }
    if start.len() < 12 {
        return Err(AudioError::Truncated { path: path.into(), declared: None, found: 0 });
    }
    file.seek(SeekFrom::Start(0)).map(|_| file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hound::{SampleFormat, WavSpec, WavWriter};
    use tempfile::TempDir;

    use super::*;
    use crate::write_wav;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/audio")
            .join(name)
    }

    /// A file of `bytes` in a folder of its own, and what reading it says.
    fn refused(bytes: &[u8]) -> AudioError {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("spoilt.wav");
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            error.to_string().contains("spoilt.wav: "),
            "{error} does not name the file"
        );
        error
    }

    fn wav(values: &[i32], bits: u16, channels: u16) -> Audio {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let spec = WavSpec {
            channels,
            sample_rate: 12_345,
            bits_per_sample: bits,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(&path, spec).unwrap();
        values.iter().for_each(|&value| writer.write_sample(value).unwrap());
        writer.finalize().unwrap();
        read(&path).unwrap()
    }

    /// A WAV file of floats: format tag 3.
    fn float_wav(bits: u16, samples: &[f64]) -> Vec<u8> {
        let width = u32::from(bits / 8);
        let data: Vec<u8> = match bits {
            32 => samples
                .iter()
                .flat_map(|&sample| (sample as f32).to_le_bytes())
                .collect(),
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
                assert!(
                    (f64::from(*found) - expected).abs() <= step,
                    "{bits} bits: {found} for {expected}"
                );
            }
        }
    }

    #[test]
    fn channels_are_averaged() {
        let audio = wav(&[16384, 0, -16384, 16384, 8192, 8192], 16, 2);
        assert_eq!(audio.samples, [0.25, 0.0, 0.25]);
        assert_eq!(wav(&[300, 0, 0, 600, 600, 600], 16, 3).samples.len(), 2);
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
        assert_eq!(
            probe(fixture("tone.flac")).unwrap(),
            Header {
                samples: 5000,
                rate: 22_050
            }
        );
    }

    #[test]
    fn vorbis_is_what_libsndfile_decodes() {
        let (ours, theirs) = (
            read(fixture("tone.ogg")).unwrap(),
            read(fixture("tone.decoded.wav")).unwrap(),
        );
        assert_eq!((ours.rate, ours.samples.len()), (16_000, 4000));
        let worst = ours
            .samples
            .iter()
            .zip(&theirs.samples)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // Two decoders' single-precision transforms.
        assert!(worst < 1e-5, "{worst} off libsndfile");
        assert_eq!(
            probe(fixture("tone.ogg")).unwrap(),
            Header {
                samples: 4000,
                rate: 16_000
            }
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let folder = TempDir::new().unwrap();
        let whole_wav = folder.path().join("whole.wav");
        write_wav(&whole_wav, &vec![0.1; 5000], 16_000).unwrap();
        for path in [whole_wav, fixture("tone.flac"), fixture("tone.ogg")] {
            let whole = fs::read(&path).unwrap();
            for cut in (4..whole.len()).step_by(whole.len() / 61).chain([whole.len() - 1]) {
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
        assert!(
            matches!(
                error,
                AudioError::Truncated {
                    declared: Some(3000),
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("truncated: 1000 samples can be read of the 3000 it declares"),
            "{error}"
        );
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
        assert!(matches!(
            refused(&float_wav(64, &[f64::INFINITY])),
            AudioError::NonFinite { index: 0, .. }
        ));
        let missing = read("/nowhere/a.wav").unwrap_err();
        assert!(matches!(missing, AudioError::Missing { .. }) && missing.to_string().starts_with("/nowhere/a.wav: "));
        assert!(matches!(probe("/nowhere/a.wav"), Err(AudioError::Missing { .. })));
        assert!(matches!(read("/"), Err(AudioError::Io { .. })));
    }

    #[test]
    fn another_rate_is_an_error() {
        let error = read(fixture("tone.flac")).unwrap().expect_rate(16_000).unwrap_err();
        assert!(
            matches!(
                error,
                AudioError::Rate {
                    found: 22_050,
                    expected: 16_000,
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("tone.flac: sampled at 22050 Hz where 16000 Hz is expected")
        );
        assert_eq!(
            read(fixture("tone.ogg"))
                .unwrap()
                .expect_rate(16_000)
                .unwrap()
                .seconds(),
            0.25
        );
    }
}
