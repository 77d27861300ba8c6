#![doc = include_str!("../README.md")]

pub mod cross_entropy;
pub mod ctc;
pub mod losses;
pub mod mlm;
pub mod quantizer;
pub mod sid;
pub mod speech;

#[cfg(test)]
mod official;

pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use ctc::{CtcLoss, ctc_loss};
pub use losses::Losses;
pub use mlm::{MaskedPrediction, MlmHead};
pub use quantizer::{Quantized, Quantizer, QuantizerConfig};
pub use sid::{Margin, speaker_loss};
pub use speech::{
    SpectrogramDistance, StopLabels, feature_penalty, guided_attention_loss, spectrogram_loss, stop_loss,
};
