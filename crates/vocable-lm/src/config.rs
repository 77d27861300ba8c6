use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_nets::TokenMatrix;
use vocable_nn::{CausalStack, Init, NormPlacement, TransformerConfig};
use vocable_random::Key;

use crate::TransformerLm;

/// Sizes and switches of a [`TransformerLm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmConfig {
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
    /// Whether the embedding is the output matrix, too (`share_decoder_input_output_embed`).
    pub tied: bool,
    /// Whether embeddings are multiplied by the root of the width (not `no_scale_embedding`).
    pub scale_embedding: bool,
    /// Dropout of the input and of every sub-layer's output.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout after the feed-forward activation.
    pub activation_dropout: f64,
    /// Standard deviation of initial linear weights.
    pub deviation: f64,
    /// Whether layers keep only their inputs in training and run again in the backward pass. No part of what a model is,
    /// so it is not written with it.
    #[serde(skip)]
    pub recompute: bool,
}

impl LmConfig {
    /// The language model of SpeechT5's recognition: 20 layers, 1280/6144/16, pre-LN, untied, 446 million weights beside
    /// the embeddings. Source: official `t5_transformer_lm.py`; what it leaves open is fairseq's `base_lm_architecture`.
    pub fn official() -> Self {
        Self {
            layers: 20,
            width: 1280,
            feed_forward: 6144,
            heads: 16,
            norm: NormPlacement::Pre,
            tied: false,
            scale_embedding: true,
            dropout: 0.1,
            attention_dropout: 0.1,
            activation_dropout: 0.0,
            deviation: 0.02,
            recompute: false,
        }
    }

    /// A small one of 0.8 million weights, tied, with the rest as in [`Self::official`].
    pub fn mini() -> Self {
        let small = Self { layers: 4, width: 128, feed_forward: 512, heads: 4, ..Self::official() };
        Self { tied: true, deviation: 0.06, ..small }
    }

    /// What no model can have, if anything.
    ///
    /// # Errors
    /// The field, its value and what is expected.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("layers", self.layers), ("width", self.width), ("feed_forward", self.feed_forward)] {
            if value == 0 {
                return Err(format!("{name} is 0, where 1 or more is expected"));
            }
        }
        let dropouts = [
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
        ];
        for (name, value) in dropouts {
            if !(0.0..1.0).contains(&value) {
                return Err(format!("{name} is {value}, where at least 0 and less than 1 is expected"));
            }
        }
        if !(self.deviation.is_finite() && self.deviation >= 0.0) {
            return Err(format!("deviation is {}, which is no deviation", self.deviation));
        }
        match self.heads > 0 && self.width.is_multiple_of(self.heads) {
            true => Ok(()),
            false => Err(format!("the width {} does not divide into {} heads", self.width, self.heads)),
        }
    }

    /// Weights of a model over so many tokens, about; sizes may be any numbers, so the count is a floating-point one.
    pub fn weights(&self, tokens: usize) -> f64 {
        let [layers, width, inner, tokens] =
            [self.layers, self.width, self.feed_forward, tokens].map(|size| size as f64);
        let matrices = if self.tied { 1.0 } else { 2.0 };
        layers * width * (4.0 * width + 2.0 * inner) + matrices * tokens * width
    }

    /// Draws the weights of a model over `tokens` tokens, of which `pad` is the padding: linear ones from
    /// N(0, deviation²), the embeddings from N(0, 1/width) where they are scaled.
    ///
    /// # Panics
    /// If [`Self::check`] fails.
    pub fn init(&self, tokens: usize, pad: u32, key: Key, device: &Device) -> TransformerLm {
        let init = Init::new(key, device).with_deviation(self.deviation);
        let stack = TransformerConfig {
            layers: self.layers,
            width: self.width,
            feed_forward: self.feed_forward,
            heads: self.heads,
            norm: self.norm,
            dropout: self.dropout,
            attention_dropout: self.attention_dropout,
            activation_dropout: self.activation_dropout,
            layer_drop: 0.0,
            recompute: self.recompute,
        };
        let root = (self.width as f64).sqrt();
        let matrix = |name: &str| {
            let deviation = if self.scale_embedding { 1.0 / root } else { self.deviation };
            TokenMatrix::new(tokens, self.width, pad, &init.fold(name).with_deviation(deviation))
        };
        TransformerLm {
            embedding: matrix("embedding"),
            stack: CausalStack::new(&stack, &init.fold("stack")),
            output: (!self.tied).then(|| matrix("output")),
            scale: if self.scale_embedding { root } else { 1.0 },
        }
    }
}
