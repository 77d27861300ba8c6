#![doc = include_str!("../README.md")]

mod config;
mod dictionary;
mod error;
mod files;
mod fusion;
mod model;
mod objective;

pub use config::LmConfig;
pub use dictionary::Dictionary;
pub use error::LmError;
pub use files::LanguageModel;
pub use fusion::{Fusion, LmStepper};
pub use model::TransformerLm;
pub use objective::{LanguageModelling, Learnt, LmTask, log_likelihood};
