//! SpeechT5 (Ao et al., ACL 2022): one Transformer encoder–decoder between speech and text.
//!
//! [`SpeechT5`] is the shared stack with its six pre- and post-nets; [`Pretrainer`] adds the masked-prediction head and
//! the cross-modal quantizer. Tasks turn batches into losses: [`pretrain`], [`asr`], [`tts`], [`vc`], [`se`], [`sid`]. Sizes and
//! switches are configuration ([`ModelConfig`], [`Preset`]); nothing small is another code path. [`recipe`] says how
//! long and how fast each task trains. [`checkpoint`] and
//! [`huggingface`] read and write published models.

pub mod asr;
pub mod batch;
pub mod checkpoint;
mod config;
pub mod data;
pub mod decode;
mod error;
pub mod huggingface;
mod model;
mod preset;
pub mod pretrain;
pub mod recipe;
pub mod se;
pub mod sid;
mod speech_loss;
pub mod st;
pub mod to_speech;
pub mod to_text;
pub mod tts;
pub mod vc;
mod vocabulary;

pub use config::{ModelConfig, Regularisation};
pub use error::ModelError;
pub use model::{EncodedSpeech, SpeakerClassifier, SpeechT5};
pub use preset::Preset;
pub use pretrain::Pretrainer;
pub use speech_loss::{SpeechLoss, SpeechPass};
