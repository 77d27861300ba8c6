use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_nets::{
    PaddingRule, PrenetNoise, SpeechDecoderPostnetConfig, SpeechDecoderPrenetConfig, SpeechEncoderPrenetConfig,
    TextEncoderPrenet, TokenMatrix,
};
use vocable_nn::{
    ConvExtractorConfig, DecoderConfig, EncoderConfig, ExtractorNorm, Init, Linear, NormPlacement, TransformerConfig,
};
use vocable_random::Key;

use crate::{Preset, SpeechT5};

/// Sizes and architectural switches of a [`SpeechT5`]; what is trained how is in [`Regularisation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Model width d.
    pub width: usize,
    /// Width inside the feed-forward sub-layers.
    pub feed_forward: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers of the shared encoder.
    pub encoder_layers: usize,
    /// Layers of the shared decoder.
    pub decoder_layers: usize,
    /// Where both stacks normalise.
    pub norm: NormPlacement,
    /// Reach of the encoder's relative positions; none switches them off.
    pub encoder_relative_position: Option<usize>,
    /// Reach of the decoder's relative positions; none in every published model (table D1).
    pub decoder_relative_position: Option<usize>,
    /// Channels of the convolutional extractor.
    pub extractor_channels: usize,
    /// Normalisation of the extractor's blocks.
    pub extractor_norm: ExtractorNorm,
    /// Taps of the positional convolution.
    pub positional_kernel: usize,
    /// Groups of the positional convolution.
    pub positional_groups: usize,
    /// How padding samples become padding frames (table D4).
    pub padding_rule: PaddingRule,
    /// Width of the speech-decoder pre-net's bottleneck.
    pub prenet_units: usize,
    /// Its dropout, always on.
    pub prenet_dropout: f64,
    /// Whose mask that dropout shares (table D5).
    pub prenet_noise: PrenetNoise,
    /// Whether its third layer ends in a ReLU (table D5).
    pub prenet_last_relu: bool,
    /// Dropout after positions in the text pre-nets and the speech-decoder pre-net, in training; the same in every recipe
    /// (spec section 4.12).
    pub positional_dropout: f64,
    /// Channels of the post-net's residual stack.
    pub postnet_channels: usize,
    /// Convolutions of the post-net's residual stack.
    pub postnet_layers: usize,
    /// Dropout of the post-net, in training.
    pub postnet_dropout: f64,
    /// Standard deviation of initial linear weights and embeddings: 0.02 in the official code (`--bert-init`), whose
    /// width of 768 it suits; narrow models start with signals that positions drown unless it is larger.
    pub deviation: f64,
    /// Mel bins.
    pub mel: usize,
    /// Mel frames per decoder step (`reduction_factor`).
    pub reduction: usize,
    /// Width of a speaker vector.
    pub speaker: usize,
}

/// Dropouts and gradient scaling of one recipe (spec section 4.12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regularisation {
    /// Dropout of sub-layer outputs and of the encoder input.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention: f64,
    /// Dropout after the feed-forward activation.
    pub activation: f64,
    /// Dropout after the speech-encoder pre-net's projection (table D3).
    pub projection: f64,
    /// Probability of skipping an encoder layer.
    pub encoder_layer_drop: f64,
    /// Probability of skipping a decoder layer.
    pub decoder_layer_drop: f64,
    /// Factor on the extractor's gradient (table D29).
    pub extractor_gradient: f64,
}

impl Regularisation {
    /// One dropout for states, attention weights and projection; `activation`, layer drops and gradient factor apart.
    pub fn new(dropout: f64, activation: f64, layer_drop: [f64; 2], extractor_gradient: f64) -> Self {
        Self {
            dropout,
            attention: dropout,
            activation,
            projection: dropout,
            encoder_layer_drop: layer_drop[0],
            decoder_layer_drop: layer_drop[1],
            extractor_gradient,
        }
    }

    /// Nothing is dropped or scaled: inference.
    pub fn none() -> Self {
        Self::new(0.0, 0.0, [0.0, 0.0], 1.0)
    }

    /// The recipe with the switches of a preset: transformers has no projection dropout (table D3).
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        if preset == Preset::Hf {
            self.projection = 0.0;
        }
        self
    }
}

impl ModelConfig {
    /// The paper's base model (spec section 2) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        Self {
            width: 768,
            feed_forward: 3072,
            heads: 12,
            encoder_layers: 12,
            decoder_layers: 6,
            norm: NormPlacement::Post,
            encoder_relative_position: Some(160),
            decoder_relative_position: None,
            extractor_channels: 512,
            extractor_norm: ExtractorNorm::FirstBlock,
            positional_kernel: 128,
            positional_groups: 16,
            padding_rule: match preset {
                Preset::Official => PaddingRule::Chunk,
                Preset::Paper | Preset::Hf => PaddingRule::ConvLength,
            },
            prenet_units: 256,
            prenet_dropout: 0.5,
            prenet_noise: match preset {
                Preset::Hf => PrenetNoise::Consistent,
                Preset::Paper | Preset::Official => PrenetNoise::Independent,
            },
            prenet_last_relu: preset == Preset::Paper,
            positional_dropout: 0.1,
            postnet_channels: 256,
            postnet_layers: 5,
            postnet_dropout: 0.5,
            deviation: 0.02,
            mel: 80,
            reduction: 2,
            speaker: 512,
        }
    }

    /// The paper's large model (spec section 2): wider, pre-LN, layer norm in every extractor block.
    pub fn large(preset: Preset) -> Self {
        Self {
            width: 1024,
            feed_forward: 4096,
            heads: 16,
            encoder_layers: 24,
            norm: NormPlacement::Pre,
            extractor_norm: ExtractorNorm::EveryBlock,
            ..Self::base(preset)
        }
    }

    /// A model of the paper's shape with about a million parameters; its initial weights are larger, as they must be where
    /// the width is small.
    pub fn mini(preset: Preset) -> Self {
        Self {
            width: 128,
            feed_forward: 512,
            heads: 4,
            encoder_layers: 3,
            decoder_layers: 2,
            extractor_channels: 64,
            positional_kernel: 32,
            positional_groups: 8,
            prenet_units: 64,
            postnet_channels: 64,
            deviation: 0.06,
            speaker: 160,
            ..Self::base(preset)
        }
    }

    /// The convolutional extractor.
    pub fn extractor(&self) -> ConvExtractorConfig {
        ConvExtractorConfig::wav2vec2(self.extractor_channels, self.extractor_norm)
    }

    /// What this model's initial weights, and those of heads on it, are drawn from.
    pub fn initial(&self, key: Key, device: &Device) -> Init {
        Init::new(key, device).with_deviation(self.deviation)
    }

    fn speech_encoder_prenet(&self, regularisation: &Regularisation) -> SpeechEncoderPrenetConfig {
        SpeechEncoderPrenetConfig {
            extractor: self.extractor(),
            positional_kernel: self.positional_kernel,
            positional_groups: self.positional_groups,
            projection_dropout: regularisation.projection,
            gradient_multiplier: regularisation.extractor_gradient,
        }
    }

    /// Draws a model with `vocabulary` tokens, of which `pad` is padding (initial values: spec section 4.11).
    pub fn init(
        &self,
        vocabulary: usize,
        pad: u32,
        regularisation: &Regularisation,
        key: Key,
        device: &Device,
    ) -> SpeechT5 {
        let stack = |layers, layer_drop| TransformerConfig {
            layers,
            width: self.width,
            feed_forward: self.feed_forward,
            heads: self.heads,
            norm: self.norm,
            dropout: regularisation.dropout,
            attention_dropout: regularisation.attention,
            activation_dropout: regularisation.activation,
            layer_drop,
        };
        let encoder = EncoderConfig {
            stack: stack(self.encoder_layers, regularisation.encoder_layer_drop),
            max_relative_position: self.encoder_relative_position,
        };
        let decoder = DecoderConfig {
            stack: stack(self.decoder_layers, regularisation.decoder_layer_drop),
            max_relative_position: self.decoder_relative_position,
        };
        let speech_decoder_prenet = SpeechDecoderPrenetConfig {
            units: self.prenet_units,
            dropout: self.prenet_dropout,
            noise: self.prenet_noise,
            last_relu: self.prenet_last_relu,
            positional_dropout: self.positional_dropout,
        };
        let speech_decoder_postnet = SpeechDecoderPostnetConfig {
            channels: self.postnet_channels,
            layers: self.postnet_layers,
            kernel: 5,
            dropout: self.postnet_dropout,
        };
        let speech_encoder_prenet = self.speech_encoder_prenet(regularisation);
        let init = self.initial(key, device);
        let width = self.width;
        SpeechT5 {
            speech_encoder_prenet: speech_encoder_prenet.init(width, &init.fold("speech_encoder_prenet")),
            text_encoder_prenet: TextEncoderPrenet::new(self.positional_dropout, device),
            tokens: TokenMatrix::new(vocabulary, width, pad, &init.fold("tokens")),
            encoder: encoder.init(&init.fold("encoder")),
            ctc: Linear::new(width, vocabulary, &init.fold("ctc")),
            decoder: decoder.init(&init.fold("decoder")),
            speech_decoder_prenet: speech_decoder_prenet.init(
                self.mel,
                self.speaker,
                width,
                &init.fold("speech_decoder_prenet"),
            ),
            speech_decoder_postnet: speech_decoder_postnet.init(
                width,
                self.mel,
                self.reduction,
                &init.fold("speech_decoder_postnet"),
            ),
            ctc_dropout: regularisation.dropout,
            positional_dropout: self.positional_dropout,
            padding_rule: self.padding_rule,
            extractor: self.extractor(),
        }
    }
}
