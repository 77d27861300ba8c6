#![doc = include_str!("../README.md")]

mod config;
mod error;
mod files;
mod model;

pub use config::HubertConfig;
pub use error::HubertError;
pub use files::{Hubert, RATE};
pub use model::HubertEncoder;
