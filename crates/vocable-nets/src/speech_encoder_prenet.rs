use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};
use vocable_nn::{
    ConvExtractor, ConvExtractorConfig, Dropout, Init, LayerNorm, Linear, Mode, PositionalConv, constant_beside,
    sinusoid,
};

/// How the padding of samples becomes padding of frames (spec table D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingRule {
    /// The frames that the convolutions make from the valid samples alone.
    ConvLength,
    /// Samples split into as many equal chunks as there are frames; a frame is padding if its whole chunk is
    /// (the official code).
    Chunk,
}

impl PaddingRule {
    /// Valid frames of items with `lengths` valid samples, in a batch of `samples` samples that makes `frames` frames.
    pub fn frame_lengths(
        self,
        extractor: &ConvExtractorConfig,
        lengths: &[usize],
        samples: usize,
        frames: usize,
    ) -> Vec<usize> {
        let chunk = samples / frames.max(1);
        let valid = |&length: &usize| match self {
            Self::ConvLength => extractor.frames(length),
            Self::Chunk => length.div_ceil(chunk),
        };
        lengths.iter().map(|length| valid(length).min(frames)).collect()
    }
}

/// Shape of a [`SpeechEncoderPrenet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechEncoderPrenetConfig {
    /// The convolutional extractor.
    pub extractor: ConvExtractorConfig,
    /// Taps of the positional convolution.
    pub positional_kernel: usize,
    /// Groups of the positional convolution.
    pub positional_groups: usize,
    /// Dropout after the projection to the model width (spec table D3).
    pub projection_dropout: f64,
    /// Factor on the gradient that reaches the extractor; 0 runs it without gradients (spec table D29).
    pub gradient_multiplier: f64,
}

impl SpeechEncoderPrenetConfig {
    /// Draws the weights for a model of the given width (spec section 4.11).
    pub fn init(&self, width: usize, init: &Init) -> SpeechEncoderPrenet {
        let features = self.extractor.width();
        SpeechEncoderPrenet {
            extractor: self.extractor.init(&init.fold("extractor")),
            norm: LayerNorm::new(features, init.device()),
            projection: Linear::new(features, width, &init.fold("projection")),
            mask: init.fold("mask").parameter([width], |init, shape| init.uniform(shape, 0.0, 1.0)),
            positional: PositionalConv::new(
                width,
                self.positional_kernel,
                self.positional_groups,
                &init.fold("positional"),
            ),
            projection_dropout: self.projection_dropout,
            gradient_multiplier: self.gradient_multiplier,
        }
    }
}

/// Waveform into the encoder: extractor → norm → projection → masking → convolutional and sinusoidal positions
/// (spec section 4.1).
#[derive(Module, Debug)]
pub struct SpeechEncoderPrenet {
    /// `feature_extractor`.
    pub extractor: ConvExtractor,
    /// `layer_norm`.
    pub norm: LayerNorm,
    /// `post_extract_proj`.
    pub projection: Linear,
    /// Replaces masked frames (`mask_emb`), `[width]`.
    pub mask: Param<Tensor<1>>,
    /// `pos_conv`.
    pub positional: PositionalConv,
    projection_dropout: f64,
    gradient_multiplier: f64,
}

/// Which frames and channels to hide from the encoder.
#[derive(Clone, Debug, Default)]
pub struct SpeechMasks {
    /// `[batch, frames]`, true = replaced by the mask embedding.
    pub time: Option<Tensor<2, Bool>>,
    /// `[batch, width]`, true = zero in every frame.
    pub channel: Option<Tensor<2, Bool>>,
}

impl SpeechMasks {
    /// The masks without autodiff, for a model without.
    #[must_use]
    pub fn inner(self) -> Self {
        Self { time: self.time.map(Tensor::inner), channel: self.channel.map(Tensor::inner) }
    }
}

/// Output of the extractor.
#[derive(Clone, Debug)]
pub struct SpeechFeatures(
    /// `[batch, frames, channels]`, before any norm: what the feature penalty is taken of.
    pub Tensor<3>,
);

impl SpeechEncoderPrenet {
    /// Waveforms `[batch, samples]` → features, cut to at most `max_frames` frames (as many as have targets).
    pub fn features(&self, samples: Tensor<2>, max_frames: Option<usize>) -> SpeechFeatures {
        let features = match self.gradient_multiplier {
            1.0 => self.extractor.forward(samples),
            0.0 => constant_beside(self.extractor.valid().forward(samples.clone().inner()), &samples),
            share => {
                let features = self.extractor.forward(samples);
                features.clone() * share + features.detach() * (1.0 - share)
            }
        };
        let frames = features.dims()[1];
        let kept = max_frames.unwrap_or(frames).min(frames);
        SpeechFeatures(features.narrow(1, 0, kept))
    }

    /// Features of which `lengths` frames are valid → encoder input `[batch, frames, width]`.
    pub fn forward(&self, features: SpeechFeatures, lengths: &[usize], masks: &SpeechMasks, mode: Mode) -> Tensor<3> {
        let x = self.projection.forward(self.norm.forward(features.0));
        let mut x = Dropout(self.projection_dropout).forward(x, mode.fold("projection"));
        let [batch, time, width] = x.dims();
        if let Some(mask) = &masks.time {
            let mask = mask.clone().unsqueeze_dim::<3>(2).expand([batch, time, width]);
            x = x.mask_where(mask, self.mask.val().reshape([1, 1, width]).expand([batch, time, width]));
        }
        if let Some(mask) = &masks.channel {
            x = x.mask_fill(mask.clone().unsqueeze_dim::<3>(1).expand([batch, time, width]), 0.0);
        }
        let x = x.clone() + self.positional.forward(x);
        let positions = sinusoid::halves(lengths, time, width, 2, &x.device());
        x + positions
    }
}
