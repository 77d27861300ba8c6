//! A language model over characters, or any tokens: a causal Transformer on the layers of this workspace.
//!
//! [`TransformerLm`] is the model, [`LanguageModel`] one with its vocabulary, read from a folder of this project or from
//! fairseq's files; [`Fusion`] sets it beside a decoder whose tokens are spelled alike; [`LanguageModelling`] trains it.

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
