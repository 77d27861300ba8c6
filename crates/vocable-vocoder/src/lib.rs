#![doc = include_str!("../README.md")]

mod chunks;
mod error;
mod folder;
mod hifi_gan;
mod layers;
mod parallel_wavegan;
mod vocoder;

pub use error::VocoderError;
pub use hifi_gan::{HifiGan, HifiGanConfig};
pub use parallel_wavegan::{ParallelWaveGan, ParallelWaveGanConfig};
pub use vocoder::Vocoder;
