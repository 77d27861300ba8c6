#![doc = include_str!("../README.md")]

mod bounded;
pub mod corpus;
pub mod crop;
mod error;
pub mod features;
pub mod files;
pub mod interleave;
pub mod kmeans;
pub mod labels;
pub mod manifest;
pub mod mask;
pub mod readers;
pub mod sampler;
pub mod speaker;
pub mod store;
pub mod verify;

pub use corpus::Corpus;
pub use error::DataError;
pub use manifest::{Language, Manifest, Split, Utterance};
