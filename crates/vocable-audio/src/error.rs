//! What can be wrong with an audio file.

use std::path::PathBuf;

/// Why an audio file cannot be used; every message names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// There is no file of that name.
    #[error("{}: no such file; check the path (in a manifest it is relative to the manifest)", path.display())]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The operating system refused to read the file.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file has no bytes, or a header that is followed by no sample.
    #[error("{}: holds no samples; record it again or drop it from the list", path.display())]
    Empty {
        /// The empty file.
        path: PathBuf,
    },
    /// The file is not WAV, FLAC or Ogg Vorbis, or uses a part of these formats that is not read here.
    #[error("{}: not readable as audio: {reason}; WAV, FLAC and Ogg Vorbis are read", path.display())]
    NotAudio {
        /// The file that is something else.
        path: PathBuf,
        /// What the format reader found.
        reason: String,
    },
    /// The stream ends before the length its header declares, or in the middle of a packet.
    #[error(
        "{}: truncated: {found} samples can be read{}; copy or encode it again",
        path.display(),
        declared.map_or(String::new(), |n| format!(" of the {n} it declares")),
    )]
    Truncated {
        /// The file that was cut.
        path: PathBuf,
        /// Samples per channel the header declares, where it declares any.
        declared: Option<u64>,
        /// Samples per channel that could be decoded.
        found: u64,
    },
    /// The stream is complete but its content is damaged (a packet that doesn't decode, a wrong checksum).
    #[error("{}: damaged: {reason}; copy or encode it again", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What the decoder found.
        reason: String,
    },
    /// The sample rate is not the expected one.
    #[error("{}: sampled at {found} Hz where {expected} Hz is expected; resample it first", path.display())]
    Rate {
        /// The file with the other rate.
        path: PathBuf,
        /// Its rate in Hz.
        found: u32,
        /// The rate in Hz the caller needs.
        expected: u32,
    },
    /// A floating-point file holds an infinity or a NaN.
    #[error("{}: sample {index} is not a finite number; encode it again", path.display())]
    NonFinite {
        /// The file that holds it.
        path: PathBuf,
        /// Zero-based index of the first such sample after averaging the channels.
        index: usize,
    },
    /// A floating-point file holds a sample that no recording has.
    #[error("{}: sample {index} is more than a million times full scale; encode it again", path.display())]
    Loud {
        /// The file that holds it.
        path: PathBuf,
        /// Zero-based index of the first such sample after averaging the channels.
        index: usize,
    },
    /// The file could not be written; nothing is left under its name that was not there before.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}
