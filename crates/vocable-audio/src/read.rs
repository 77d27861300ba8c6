//! Recordings from WAV, FLAC and Ogg Vorbis files.

use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::AudioError;

/// A recording: its channels averaged into one, full scale at ±1.
///
/// Integer samples of `b` bits are divided by 2^(b−1); floating-point samples are taken as they are and may lie outside [-1, 1],
/// up to a million.
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
            Err(AudioError::Rate { path: self.path, found: self.rate, expected: rate })
        }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// Samples that a file may hold (9 hours at 16 kHz): a few bytes of a compressed format can stand for any silence.
const LONGEST: usize = 1 << 29;
/// Rates that a file may have, in Hz: the lower it is, the more another rate makes of each sample.
const RATES: RangeInclusive<u32> = 4_000..=1_000_000;
/// The largest sample, full scale being 1: what is computed of far larger ones is no longer finite.
const LOUDEST: f32 = 1e6;
/// Samples for which there is room before any was decoded.
const ROOM: u64 = 1 << 20;

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
/// checksum (FLAC) is refused rather than read in part, but for a WAV file whose header leaves the length open, as one from a
/// pipe does: it is read to its end. A sample that is not finite or more than a million is, too. So is one of more than 2²⁹ samples (9 hours at 16 kHz), of a rate
/// below 4 kHz or above 1 MHz, and what is no regular file.
pub fn read(path: impl AsRef<Path>) -> Result<Audio, AudioError> {
    Stream::open(path.as_ref())?.read()
}

/// The same of a file's content that is in memory already; `path` is its name in messages.
///
/// Errors: as [`read`], but for those of the file system.
pub fn read_bytes(bytes: Vec<u8>, path: impl AsRef<Path>) -> Result<Audio, AudioError> {
    Stream::new(Cursor::new(bytes), path.as_ref())?.read()
}

/// Reads a whole file as [`read`], but takes the first channel alone instead of the average.
///
/// Errors: as [`read`].
pub fn read_first_channel(path: impl AsRef<Path>) -> Result<Audio, AudioError> {
    let stream = Stream::open(path.as_ref())?;
    Stream { mix: |frame| frame[0], ..stream }.read()
}

/// Rate and length of a file without decoding it, except where the header leaves the length open.
///
/// Errors: as [`read`], as far as they show in the header; a recording that is cut short does not, only reading it does.
pub fn probe(path: impl AsRef<Path>) -> Result<Header, AudioError> {
    let path = path.as_ref();
    let stream = Stream::open(path)?;
    match stream.declared {
        Some(0) => Err(AudioError::Empty { path: path.into() }),
        Some(samples) => Ok(Header { samples, rate: stream.rate }),
        None => read(path).map(|audio| Header { samples: audio.samples.len() as u64, rate: audio.rate }),
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
    /// From the channels of a sample to one.
    mix: fn(&[f32]) -> f32,
}

fn mean(frame: &[f32]) -> f32 {
    frame.iter().sum::<f32>() / frame.len() as f32
}

impl Stream {
    fn open(path: &Path) -> Result<Self, AudioError> {
        Self::new(vocable_files::open(path).map_err(failed(path))?, path)
    }

    fn new(mut source: impl MediaSource + 'static, path: &Path) -> Result<Self, AudioError> {
        let not_audio = |reason: String| AudioError::NotAudio { path: path.into(), reason };
        check_beginning(&mut source, path)?;
        let open_end = wav::open_end(&mut source).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => not_audio(error.to_string()),
            _ => failed(path)(error),
        })?;
        source.seek(SeekFrom::Start(0)).map_err(failed(path))?;
        let source: Box<dyn MediaSource> = match open_end {
            Some(end) => {
                let mut file = Vec::new();
                source.take(end.bytes()).read_to_end(&mut file).map_err(failed(path))?;
                end.close(&mut file);
                Box::new(Cursor::new(file))
            }
            None => Box::new(source),
        };
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| match error {
                Error::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
                    AudioError::Truncated { path: path.into(), declared: None, found: 0 }
                }
                other => not_audio(other.to_string()),
            })?;
        let track = format.default_track(TrackType::Audio).ok_or_else(|| not_audio("it has no audio track".into()))?;
        let parameters = track
            .codec_params
            .as_ref()
            .and_then(|parameters| parameters.audio())
            .ok_or_else(|| not_audio("its codec is unknown".into()))?;
        let rate = parameters
            .sample_rate
            .filter(|&rate| rate > 0)
            .ok_or_else(|| not_audio("it declares no sample rate".into()))?;
        if !RATES.contains(&rate) {
            let (least, most) = (RATES.start(), RATES.end());
            return Err(not_audio(format!("it declares {rate} Hz, beyond the {least} to {most} Hz that are read")));
        }
        if track.num_frames.is_some_and(|declared| declared > LONGEST as u64) {
            return Err(too_long(path));
        }
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true))
            .map_err(|error| not_audio(error.to_string()))?;
        let (track, declared) = (track.id, track.num_frames);
        Ok(Self { path: path.into(), format, decoder, track, rate, declared, mix: mean })
    }

    fn read(mut self) -> Result<Audio, AudioError> {
        let mut samples = Vec::with_capacity(self.declared.unwrap_or(0).min(ROOM) as usize);
        self.decode_into(&mut samples)?;
        if samples.is_empty() {
            return Err(AudioError::Empty { path: self.path });
        }
        if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(AudioError::NonFinite { path: self.path, index });
        }
        if let Some(index) = samples.iter().position(|sample| sample.abs() > LOUDEST) {
            return Err(AudioError::Loud { path: self.path, index });
        }
        Ok(Audio { samples, rate: self.rate, path: self.path })
    }

    /// Appends all packets, mixed to mono, to `samples`.
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
                return Err(AudioError::NotAudio { path: self.path.clone(), reason });
            }
            decoded.copy_to_vec_interleaved(&mut interleaved);
            if samples.len() + decoded.frames() > LONGEST {
                return Err(too_long(&self.path));
            }
            samples.extend(interleaved.chunks_exact(channels).map(self.mix));
        }
        let found = samples.len() as u64;
        if self.declared.is_some_and(|declared| found < declared) {
            return Err(AudioError::Truncated { path: self.path.clone(), declared: self.declared, found });
        }
        if self.decoder.finalize().verify_ok == Some(false) {
            let reason = "the samples do not match the file's own checksum".into();
            return Err(AudioError::Damaged { path: self.path.clone(), reason });
        }
        Ok(())
    }

    fn decode_error(&self, error: Error, found: usize) -> AudioError {
        let path = self.path.clone();
        match error {
            Error::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
                AudioError::Truncated { path, declared: self.declared, found: found as u64 }
            }
            Error::IoError(source) => AudioError::Io { path, source },
            Error::ResetRequired => {
                AudioError::NotAudio { path, reason: "several streams are chained in one file".into() }
            }
            other => AudioError::Damaged { path, reason: format!("{other} after {found} samples") },
        }
    }
}

fn too_long(path: &Path) -> AudioError {
    let reason = format!("it is longer than the {LONGEST} samples that are read; cut it into parts");
    AudioError::NotAudio { path: path.into(), reason }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> AudioError {
    |source| match source.kind() {
        ErrorKind::NotFound => AudioError::Missing { path: path.into() },
        _ => AudioError::Io { path: path.into(), source },
    }
}

/// Refuses what does not begin like one of the three containers.
///
/// The format library would search a megabyte for such a beginning and could find one inside a file of another kind.
fn check_beginning(source: &mut (impl Read + Seek), path: &Path) -> Result<(), AudioError> {
    let mut start = Vec::new();
    Read::by_ref(source).take(12).read_to_end(&mut start).map_err(failed(path))?;
    if start.is_empty() {
        return Err(AudioError::Empty { path: path.into() });
    }
    if ![b"RIFF", b"fLaC", b"OggS"].iter().any(|mark| start.starts_with(*mark)) {
        return Err(AudioError::NotAudio { path: path.into(), reason: "it begins like none of these".into() });
    }
    if start.len() < 12 {
        return Err(AudioError::Truncated { path: path.into(), declared: None, found: 0 });
    }
    Ok(())
}

mod wav;

#[cfg(test)]
mod tests;
