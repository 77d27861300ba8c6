//! Folders of Hugging Face transformers.

mod config;

pub use config::HfConfig;
