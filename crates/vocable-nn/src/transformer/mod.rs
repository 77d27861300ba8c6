//! Transformer stacks: the encoder and the decoder, and the decoder without a memory.

mod causal;
mod decoder;
mod encoder;
mod feed_forward;
mod past;

pub use causal::CausalStack;
pub use decoder::{Decoded, Decoder, DecoderCache, DecoderConfig, DecoderLayer};
pub use encoder::{Encoder, EncoderConfig, EncoderLayer};
pub use feed_forward::FeedForward;
pub use past::PastCache;

use burn::module::Param;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::Init;

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// After each residual sum; an encoder also normalises its input (base models).
    Post,
    /// Before each sub-layer; a stack also normalises its output (large models).
    Pre,
}

/// What all stacks share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Number of layers.
    pub layers: usize,
    /// Model width.
    pub width: usize,
    /// Width inside the feed-forward sub-layer.
    pub feed_forward: usize,
    /// Attention heads.
    pub heads: usize,
    /// Where layers normalise.
    pub norm: NormPlacement,
    /// Dropout of every sub-layer's output.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout after the feed-forward activation.
    pub activation_dropout: f64,
    /// Probability of skipping a whole layer in training.
    pub layer_drop: f64,
    /// Whether a layer keeps only its inputs in training and runs again in the backward pass: less memory, more time, the
    /// same numbers.
    pub recompute: bool,
}

impl TransformerConfig {
    /// Draws a table of relative positions, `[2 · reach, width / heads]`.
    fn relative_table(&self, reach: usize, init: &Init) -> Param<Tensor<2>> {
        let Self { width, heads, .. } = *self;
        assert!(heads > 0 && width.is_multiple_of(heads), "the width {width} does not divide into {heads} heads");
        assert!(reach > 0, "relative positions that reach nowhere: leave them out instead");
        init.fold("relative").parameter([2 * reach, width / heads], Init::weights)
    }
}
