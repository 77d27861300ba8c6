use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_nets::{
    PaddingRule, PrenetNoise, SpeechDecoderPostnetConfig, SpeechDecoderPrenetConfig, SpeechEncoderPrenetConfig,
    TextEncoderPrenet, TokenMatrix,
};
use vocable_nn::{
    ConvExtractorConfig, ConvLayer, DecoderConfig, EncoderConfig, ExtractorNorm, Init, Linear, NormPlacement,
    Precision, TransformerConfig,
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
    /// Dropout after positions in the text-encoder pre-net and the speech-decoder pre-net, in training; the same in every
    /// recipe (spec section 4.12).
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
    /// Width inside the decoder's feed-forward sub-layers where it is not the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_feed_forward: Option<usize>,
    /// Attention heads of the decoder where they are not as many as the encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_heads: Option<usize>,
    /// Convolutions of the extractor where they are not wav2vec 2.0's seven of `extractor_channels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extractor_layers: Option<Vec<ConvLayer>>,
    /// Taps of the post-net's convolutions where they are not five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postnet_kernel: Option<usize>,
    /// Whether Transformer layers keep only their inputs in training and run again in the backward pass: less memory, more
    /// time, the same numbers. No part of what a model is, so it is not written with it.
    #[serde(skip)]
    pub recompute: bool,
    /// What the products of linear layers are computed in while training.
    #[serde(default, skip_serializing_if = "Precision::is_f32")]
    pub precision: Precision,
}

/// Taps of the post-net's convolutions in every published model.
pub const POSTNET_KERNEL: usize = 5;

/// The largest size that is taken from a file.
const LARGEST: usize = 1 << 16;

/// Dropouts and gradient scaling of one recipe (spec section 4.12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regularisation {
    /// Dropout of sub-layer outputs, of the encoder input, after the text-decoder pre-net and before the CTC head.
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
            decoder_feed_forward: None,
            decoder_heads: None,
            extractor_layers: None,
            postnet_kernel: None,
            recompute: false,
            precision: Precision::F32,
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
        match &self.extractor_layers {
            Some(layers) => ConvExtractorConfig { layers: layers.clone(), norm: self.extractor_norm },
            None => ConvExtractorConfig::wav2vec2(self.extractor_channels, self.extractor_norm),
        }
    }

    /// Makes the extractor of these convolutions.
    pub(crate) fn set_extractor(&mut self, layers: Vec<ConvLayer>) {
        self.extractor_channels = layers.last().map_or(0, |layer| layer.channels);
        self.extractor_layers = None;
        if self.extractor().layers != layers {
            self.extractor_layers = Some(layers);
        }
    }

    /// Width inside the decoder's feed-forward sub-layers.
    pub fn decoder_feed_forward(&self) -> usize {
        self.decoder_feed_forward.unwrap_or(self.feed_forward)
    }

    /// Attention heads of the decoder.
    pub fn decoder_heads(&self) -> usize {
        self.decoder_heads.unwrap_or(self.heads)
    }

    /// Gives the decoder sizes of its own, if they are.
    pub(crate) fn set_decoder(&mut self, feed_forward: usize, heads: usize) {
        self.decoder_feed_forward = (feed_forward != self.feed_forward).then_some(feed_forward);
        self.decoder_heads = (heads != self.heads).then_some(heads);
    }

    /// Taps of the post-net's convolutions.
    pub fn postnet_kernel(&self) -> usize {
        self.postnet_kernel.unwrap_or(POSTNET_KERNEL)
    }

    pub(crate) fn set_postnet_kernel(&mut self, kernel: usize) {
        self.postnet_kernel = (kernel != POSTNET_KERNEL).then_some(kernel);
    }

    /// About how many weights a model with `vocabulary` tokens has.
    pub(crate) fn weights(&self, vocabulary: usize) -> f64 {
        let size = |size: usize| size as f64;
        let (width, mel, units, channels) =
            (size(self.width), size(self.mel), size(self.prenet_units), size(self.postnet_channels));
        let encoder = size(self.encoder_layers) * width * (4.0 * width + 2.0 * size(self.feed_forward));
        let decoder = size(self.decoder_layers) * width * (8.0 * width + 2.0 * size(self.decoder_feed_forward()));
        let mut inputs = 1.0;
        let mut extractor = 0.0;
        for layer in self.extractor().layers {
            extractor += inputs * size(layer.channels) * size(layer.kernel);
            inputs = size(layer.channels);
        }
        let positional = width * width / size(self.positional_groups) * size(self.positional_kernel);
        let relative = 2.0 * width * size(self.encoder_relative_position.unwrap_or(0));
        let prenet = mel * units + units * units + units * width + (width + size(self.speaker)) * width;
        let blocks = size(self.postnet_layers) * channels.max(mel).powi(2) * size(self.postnet_kernel());
        let postnet = width * (mel + 1.0) * size(self.reduction) + blocks;
        encoder
            + decoder
            + extractor
            + inputs * width
            + positional
            + relative
            + prenet
            + postnet
            + 2.0 * size(vocabulary) * width
    }

    /// Whether a model of these sizes can be made: sizes that come from a file or a user may be any numbers.
    ///
    /// # Errors
    /// Which size cannot be, and why.
    pub fn check(&self) -> Result<(), String> {
        let layers = self.extractor().layers;
        let sizes = [
            ("width", self.width),
            ("feed_forward", self.feed_forward),
            ("heads", self.heads),
            ("decoder_feed_forward", self.decoder_feed_forward()),
            ("decoder_heads", self.decoder_heads()),
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
            // A reach of 0 is a table of nothing: none is what switches relative positions off.
            ("encoder_relative_position", self.encoder_relative_position.unwrap_or(1)),
            ("decoder_relative_position", self.decoder_relative_position.unwrap_or(1)),
            ("extractor_layers", layers.len()),
            ("positional_kernel", self.positional_kernel),
            ("positional_groups", self.positional_groups),
            ("prenet_units", self.prenet_units),
            ("postnet_channels", self.postnet_channels),
            ("postnet_layers", self.postnet_layers),
            ("postnet_kernel", self.postnet_kernel()),
            ("mel", self.mel),
            ("reduction", self.reduction),
            ("speaker", self.speaker),
        ];
        let blocks = layers.iter().flat_map(|layer| [layer.channels, layer.kernel, layer.stride]);
        let sizes = sizes.into_iter().chain(blocks.map(|size| ("extractor_layers", size)));
        for (name, size) in sizes {
            if !(1..=LARGEST).contains(&size) {
                return Err(format!("{name} is {size}; sizes are from 1 to {LARGEST}"));
            }
        }
        for (name, share) in [
            ("heads", self.heads),
            ("heads of the decoder", self.decoder_heads()),
            ("positional groups", self.positional_groups),
        ] {
            if !self.width.is_multiple_of(share) {
                return Err(format!("a width of {} does not divide into {share} {name}", self.width));
            }
        }
        if self.postnet_kernel().is_multiple_of(2) {
            return Err(format!("an even post-net kernel of {} taps would shift the frames", self.postnet_kernel()));
        }
        Ok(())
    }

    /// What this model's initial weights, and those of heads on it, are drawn from.
    pub fn initial(&self, key: Key, device: &Device) -> Init {
        Init::new(key, device).with_deviation(self.deviation).with_precision(self.precision)
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
        let stack = |layers, feed_forward, heads, layer_drop| TransformerConfig {
            layers,
            width: self.width,
            feed_forward,
            heads,
            norm: self.norm,
            dropout: regularisation.dropout,
            attention_dropout: regularisation.attention,
            activation_dropout: regularisation.activation,
            layer_drop,
            recompute: self.recompute,
        };
        let encoder = EncoderConfig {
            stack: stack(self.encoder_layers, self.feed_forward, self.heads, regularisation.encoder_layer_drop),
            max_relative_position: self.encoder_relative_position,
        };
        let (feed_forward, heads) = (self.decoder_feed_forward(), self.decoder_heads());
        let decoder = DecoderConfig {
            stack: stack(self.decoder_layers, feed_forward, heads, regularisation.decoder_layer_drop),
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
            kernel: self.postnet_kernel(),
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
            dropout: regularisation.dropout,
            padding_rule: self.padding_rule,
            extractor: self.extractor(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_decoder_prenet_drops_by_the_recipe_and_not_by_the_positions() {
        let config = ModelConfig { positional_dropout: 0.0, ..ModelConfig::mini(Preset::Paper) };
        let regularisation = Regularisation::new(0.3, 0.0, [0.0, 0.0], 1.0);
        let model = config.init(16, 1, &regularisation, Key::new(1), &Device::flex());
        assert_eq!(model.text_decoder_prenet().dropout, 0.3);
    }
}
