use serde::Deserialize;
use vocable_nn::{
    ConvExtractorConfig, ConvLayer, EncoderConfig, ExtractorNorm, Init, LayerNorm, Linear, NormPlacement,
    PositionalConv, TransformerConfig,
};

use crate::HubertEncoder;

/// Sizes of a HuBERT model: what is used of transformers' `config.json`, with its defaults, which are the base model's.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct HubertConfig {
    /// Must be `hubert`.
    pub model_type: String,
    /// Model width.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward sub-layer.
    pub intermediate_size: usize,
    /// Channels of the extractor's convolutions.
    pub conv_dim: Vec<usize>,
    /// Their taps.
    pub conv_kernel: Vec<usize>,
    /// Their steps.
    pub conv_stride: Vec<usize>,
    /// Taps of the positional convolution.
    pub num_conv_pos_embeddings: usize,
    /// Its groups.
    pub num_conv_pos_embedding_groups: usize,
    /// `gelu`, as is the extractor's.
    pub hidden_act: String,
    /// The extractor's.
    pub feat_extract_activation: String,
    /// `group`: the base model normalises its first convolution alone. (Large models normalise all of them.)
    pub feat_extract_norm: String,
    /// Whether the convolutions have biases, as those of large models do.
    pub conv_bias: bool,
    /// Whether layers normalise first, as those of large models do.
    pub do_stable_layer_norm: bool,
    /// Whether the features are normalised.
    pub feat_proj_layer_norm: bool,
    /// Whether the positional convolution has a batch norm in place of its weight norm.
    pub conv_pos_batch_norm: bool,
    /// Added to variances.
    pub layer_norm_eps: f64,
}

impl Default for HubertConfig {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            conv_dim: vec![512; 7],
            conv_kernel: vec![10, 3, 3, 3, 3, 2, 2],
            conv_stride: vec![5, 2, 2, 2, 2, 2, 2],
            num_conv_pos_embeddings: 128,
            num_conv_pos_embedding_groups: 16,
            hidden_act: "gelu".into(),
            feat_extract_activation: "gelu".into(),
            feat_extract_norm: "group".into(),
            conv_bias: false,
            do_stable_layer_norm: false,
            feat_proj_layer_norm: true,
            conv_pos_batch_norm: false,
            layer_norm_eps: 1e-5,
        }
    }
}

/// No size of any model is larger.
const LARGEST: usize = 1 << 16;

impl HubertConfig {
    /// What keeps a model from being computed here, if anything.
    ///
    /// # Errors
    /// The setting, its value and what is expected.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |name: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(format!("{name} is {value}, where {expected} is supported"))
        };
        if self.model_type != "hubert" {
            return wrong("model_type", &self.model_type, "hubert");
        }
        for (name, value) in
            [("hidden_act", &self.hidden_act), ("feat_extract_activation", &self.feat_extract_activation)]
        {
            if value != "gelu" {
                return wrong(name, value, "gelu");
            }
        }
        if self.feat_extract_norm != "group" {
            return wrong("feat_extract_norm", &self.feat_extract_norm, "group, as of the base model,");
        }
        for (name, value, expected) in [
            ("conv_bias", self.conv_bias, false),
            ("do_stable_layer_norm", self.do_stable_layer_norm, false),
            ("feat_proj_layer_norm", self.feat_proj_layer_norm, true),
            ("conv_pos_batch_norm", self.conv_pos_batch_norm, false),
        ] {
            if value != expected {
                return wrong(name, &value, &expected.to_string());
            }
        }
        if (self.layer_norm_eps - 1e-5).abs() > 1e-12 {
            return wrong("layer_norm_eps", &self.layer_norm_eps, "1e-5");
        }
        let convolutions = self.conv_dim.len();
        if convolutions == 0 || self.conv_kernel.len() != convolutions || self.conv_stride.len() != convolutions {
            return Err("conv_dim, conv_kernel and conv_stride are not equally long lists".into());
        }
        let sizes = [
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size,
            self.num_conv_pos_embeddings,
            self.num_conv_pos_embedding_groups,
        ];
        let lists = [&self.conv_dim, &self.conv_kernel, &self.conv_stride];
        if let Some(size) = sizes.iter().chain(lists.into_iter().flatten()).find(|size| !(1..=LARGEST).contains(*size))
        {
            return Err(format!("a size is {size}, where 1 to {LARGEST} is expected"));
        }
        for (name, part) in [
            ("num_attention_heads", self.num_attention_heads),
            ("num_conv_pos_embedding_groups", self.num_conv_pos_embedding_groups),
        ] {
            if !self.hidden_size.is_multiple_of(part) {
                return Err(format!("{name} is {part}, which does not divide the hidden_size {}", self.hidden_size));
            }
        }
        Ok(())
    }

    /// The extractor's convolutions.
    pub fn extractor(&self) -> ConvExtractorConfig {
        let sizes = self.conv_dim.iter().zip(&self.conv_kernel).zip(&self.conv_stride);
        let layers = sizes.map(|((&channels, &kernel), &stride)| ConvLayer { channels, kernel, stride }).collect();
        ConvExtractorConfig { layers, norm: ExtractorNorm::FirstBlock }
    }

    /// Weights of a model, about; sizes may be any numbers, so the count is a floating-point one.
    pub(crate) fn weights(&self) -> f64 {
        let [width, layers, inner] =
            [self.hidden_size, self.num_hidden_layers, self.intermediate_size].map(|size| size as f64);
        let inputs = std::iter::once(1).chain(self.conv_dim.iter().copied());
        let convolutions = self.conv_dim.iter().zip(&self.conv_kernel).zip(inputs);
        let convolutions: f64 = convolutions.map(|((&out, &taps), input)| (out * taps * input) as f64).sum();
        let positional =
            width * width * self.num_conv_pos_embeddings as f64 / self.num_conv_pos_embedding_groups as f64;
        convolutions + positional + layers * width * (4.0 * width + 2.0 * inner)
    }

    /// Draws the weights; [`check`](Self::check) has passed.
    pub(crate) fn init(&self, init: &Init) -> HubertEncoder {
        let (extractor, width) = (self.extractor(), self.hidden_size);
        let (kernel, groups) = (self.num_conv_pos_embeddings, self.num_conv_pos_embedding_groups);
        let stack = TransformerConfig {
            layers: self.num_hidden_layers,
            width,
            feed_forward: self.intermediate_size,
            heads: self.num_attention_heads,
            norm: NormPlacement::Post,
            dropout: 0.0,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            layer_drop: 0.0,
            recompute: false,
        };
        HubertEncoder {
            norm: LayerNorm::new(extractor.width(), init.device()),
            projection: Linear::new(extractor.width(), width, &init.fold("projection")),
            extractor: extractor.init(&init.fold("extractor")),
            positional: PositionalConv::new(width, kernel, groups, &init.fold("positional")),
            encoder: EncoderConfig { stack, max_relative_position: None }.init(&init.fold("encoder")),
        }
    }
}
