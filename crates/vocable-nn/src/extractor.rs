use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocable_kernels::Window;

use crate::{ChannelNorm, Init, LayerNorm};

/// How the extractor's blocks are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractorNorm {
    /// Each channel over time, in the first block only (official extractor mode `default`).
    FirstBlock,
    /// Layer norm over channels in every block (official extractor mode `layer_norm`).
    EveryBlock,
}

/// One convolution over time of the extractor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvLayer {
    /// Output channels.
    pub channels: usize,
    /// Taps.
    pub kernel: usize,
    /// Step in input frames.
    pub stride: usize,
}

/// Shape of a [`ConvExtractor`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvExtractorConfig {
    /// The convolutions in order.
    pub layers: Vec<ConvLayer>,
    /// Normalisation of the blocks.
    pub norm: ExtractorNorm,
}

impl ConvExtractorConfig {
    /// wav2vec 2.0's seven blocks: 320 samples a frame, receptive field 400 (spec section 4.1).
    pub fn wav2vec2(channels: usize, norm: ExtractorNorm) -> Self {
        let blocks = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)];
        let layers = blocks.map(|(kernel, stride)| ConvLayer { channels, kernel, stride }).to_vec();
        Self { layers, norm }
    }

    /// Frames made from `samples` samples; 0 where the input is shorter than the receptive field.
    pub fn frames(&self, samples: usize) -> usize {
        self.layers.iter().fold(
            samples,
            |n, layer| {
                if n < layer.kernel { 0 } else { (n - layer.kernel) / layer.stride + 1 }
            },
        )
    }

    /// Samples from the start of one frame to the next.
    pub fn hop(&self) -> usize {
        self.layers.iter().map(|layer| layer.stride).product()
    }

    /// Output channels of the last block.
    pub fn width(&self) -> usize {
        self.layers.last().expect("an extractor has at least one layer").channels
    }

    /// Draws the weights: Kaiming normal, no biases (spec section 4.11).
    pub fn init(&self, init: &Init) -> ConvExtractor {
        let inputs = std::iter::once(1).chain(self.layers.iter().map(|layer| layer.channels));
        let blocks = self.layers.iter().zip(inputs).enumerate().map(|(n, (layer, input))| {
            let fan_in = layer.kernel * input;
            let deviation = (2.0 / fan_in as f64).sqrt();
            let draw = move |init: &Init, shape| init.normal(shape, deviation);
            ConvBlock {
                weight: init.fold(n).parameter([fan_in, layer.channels], draw),
                channel_norm: (self.norm == ExtractorNorm::FirstBlock && n == 0)
                    .then(|| ChannelNorm::new(layer.channels, init.device())),
                layer_norm: (self.norm == ExtractorNorm::EveryBlock)
                    .then(|| LayerNorm::new(layer.channels, init.device())),
                kernel: layer.kernel,
                stride: layer.stride,
            }
        });
        ConvExtractor { blocks: blocks.collect() }
    }
}

/// The convolutional waveform encoder of wav2vec 2.0 and HuBERT, channels-last.
#[derive(Module, Debug)]
pub struct ConvExtractor {
    /// The blocks in order.
    pub blocks: Vec<ConvBlock>,
}

/// Convolution without bias or padding → optional norm → GELU.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// `[kernel · input, output]`, row `tap · input + channel`.
    pub weight: Param<Tensor<2>>,
    /// Normalisation of each channel over time.
    pub channel_norm: Option<ChannelNorm>,
    /// Normalisation of each frame over channels.
    pub layer_norm: Option<LayerNorm>,
    kernel: usize,
    stride: usize,
}

impl ConvExtractor {
    /// Waveforms `[batch, samples]` → features `[batch, frames, channels]`.
    ///
    /// What the first block computes is larger than all the rest and costs next to nothing, having a single input
    /// channel: it is computed again in the backward pass.
    ///
    /// # Panics
    /// If the input is shorter than the receptive field.
    pub fn forward(&self, samples: Tensor<2>) -> Tensor<3> {
        let samples: Tensor<3> = samples.unsqueeze_dim(2);
        let Some((first, rest)) = self.blocks.split_first() else { return samples };
        let x = vocable_kernels::recompute(first, [samples.into_dispatch()], |first: &ConvBlock, [samples]| {
            first.forward(Tensor::from_dispatch(samples))
        });
        rest.iter().fold(x, |x, block| block.forward(x))
    }
}

impl ConvBlock {
    /// `[batch, time, input]` → `[batch, (time - kernel) / stride + 1, output]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let window = Window { stride: self.stride, ..Window::new(self.kernel) };
        let mut x = vocable_kernels::conv1d(x, self.weight.val(), None, window);
        if let Some(norm) = &self.channel_norm {
            x = norm.forward(x);
        }
        if let Some(norm) = &self.layer_norm {
            x = norm.forward(x);
        }
        vocable_kernels::gelu(x)
    }
}
