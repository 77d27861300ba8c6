//! From recordings on disk to batches of indices: everything a training run knows about its data before a tensor exists.
//!
//! | module | what it answers |
//! |---|---|
//! | [`manifest`] | which utterances are there, who speaks, what is said, in which split |
//! | [`verify`] | which audio files are unusable, and why |
//! | [`readers`] | how a public corpus or somebody's recordings become a prepared folder |
//! | [`corpus`] | the decoded audio of a manifest, loaded on demand |
//! | [`sampler`], [`interleave`] | which utterances form the n-th batch, and of which modality |
//! | [`crop`], [`mask`] | which stretch of an utterance is seen, and which frames of it are hidden |
//! | [`kmeans`], [`labels`] | discrete units: clustering of frames and files of labels |
//! | [`speaker`] | the vector that stands for a voice |
//!
//! Nothing here keeps a random generator: every draw is a function of a [`vocable_random::Key`].

pub mod corpus;
pub mod crop;
mod error;
pub mod files;
pub mod interleave;
pub mod kmeans;
pub mod labels;
pub mod manifest;
pub mod mask;
pub mod readers;
pub mod sampler;
pub mod speaker;
pub mod verify;

pub use corpus::Corpus;
pub use error::DataError;
pub use manifest::{Manifest, Split, Utterance};
