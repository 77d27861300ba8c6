#![doc = include_str!("../README.md")]

mod band;
mod cepstrum;
mod error;
mod fbank;
mod frames;
mod griffin_lim;
mod mel;
mod mfcc;
mod noise;
mod read;
mod resample;
mod standardise;
mod stft;
mod write;

pub use cepstrum::{DISTANCE_CEPSTRUM, distance_cepstrum, drop_quiet_frames, mel_cepstrum};
pub use error::AudioError;
pub use fbank::Fbank;
pub use frames::Frames;
pub use griffin_lim::GriffinLim;
pub use mel::{LogMel, LogMelConfig};
pub use mfcc::{Mfcc, deltas};
pub use noise::{add_white_noise, mix_at_snr, white_noise};
pub use read::{Audio, Header, probe, read, read_bytes, read_first_channel};
pub use resample::resample;
pub use standardise::standardise;
pub use stft::{Padding, Stft, Taper};
pub use write::write_wav;
