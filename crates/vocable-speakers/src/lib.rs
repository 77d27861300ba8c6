#![doc = include_str!("../README.md")]

mod config;
mod encoder;
mod error;
mod model;
mod objective;

pub use config::{Tdnn, XVectorConfig};
pub use encoder::{RATE, SpeakerEncoder, features};
pub use error::SpeakerError;
pub use model::{SpeakerHead, TdnnBlock, XVector, XVectorClassifier};
pub use objective::{SpeakerTask, SpeakerTraining};
pub use vocable_data::speaker::unit;
