use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocable_kernels::Window;
use vocable_nn::{BatchNorm, Dropout, Init, Linear, Mode};

/// Shape of a [`SpeechDecoderPostnet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechDecoderPostnetConfig {
    /// Channels inside the residual stack.
    pub channels: usize,
    /// Convolutions of the residual stack.
    pub layers: usize,
    /// Taps of each convolution (odd).
    pub kernel: usize,
    /// Dropout after each convolution, in training.
    pub dropout: f64,
}

impl SpeechDecoderPostnetConfig {
    /// Draws the weights: states of `width` into `reduction` frames of `mel` bins a step.
    pub fn init(&self, width: usize, mel: usize, reduction: usize, init: &Init) -> SpeechDecoderPostnet {
        assert!(self.kernel % 2 == 1, "an even kernel of {} taps would shift the frames", self.kernel);
        assert!(self.layers > 0, "a post-net has at least one convolution");
        let widths: Vec<usize> =
            std::iter::once(mel).chain(vec![self.channels; self.layers - 1]).chain([mel]).collect();
        let blocks = widths.windows(2).enumerate().map(|(n, pair)| {
            // PyTorch's default for convolutions: U(±1/√fan_in).
            let bound = 1.0 / ((pair[0] * self.kernel) as f64).sqrt();
            let shape = [self.kernel * pair[0], pair[1]];
            let draw = move |init: &Init, shape| init.uniform(shape, -bound, bound);
            PostnetBlock {
                weight: init.fold("block").fold(n).parameter(shape, draw),
                norm: BatchNorm::new(pair[1], init.device()),
            }
        });
        SpeechDecoderPostnet {
            frames: Linear::new(width, mel * reduction, &init.fold("frames")),
            stop: Linear::new(width, reduction, &init.fold("stop")),
            blocks: blocks.collect(),
            kernel: self.kernel,
            dropout: self.dropout,
        }
    }
}

/// Decoder states into mel frames and stop logits, with a residual convolution stack over the frames (spec 4.7).
#[derive(Module, Debug)]
pub struct SpeechDecoderPostnet {
    /// `feat_out`.
    pub frames: Linear,
    /// `prob_out`.
    pub stop: Linear,
    /// `postnet.postnet`.
    pub blocks: Vec<PostnetBlock>,
    kernel: usize,
    dropout: f64,
}

/// Convolution without bias, then batch norm.
#[derive(Module, Debug)]
pub struct PostnetBlock {
    /// `[kernel · input, output]`, row `tap · input + channel`.
    pub weight: Param<Tensor<2>>,
    /// Batch norm of the output channels.
    pub norm: BatchNorm,
}

/// Predicted speech.
#[derive(Clone, Debug)]
pub struct SpeechOutput {
    /// Log-mel before the residual stack, `[batch, frames, mel]`.
    pub before: Tensor<3>,
    /// Log-mel after it, the same shape.
    pub after: Tensor<3>,
    /// Logits of "speech ends here", `[batch, frames]`.
    pub stop: Tensor<2>,
}

impl SpeechDecoderPostnet {
    /// States `[batch, steps, width]` → `reduction` frames a step.
    pub fn forward(&self, states: Tensor<3>, mode: Mode) -> SpeechOutput {
        let (before, stop) = self.step(states);
        SpeechOutput { after: self.refine(before.clone(), mode), before, stop }
    }

    /// Frames `[batch, steps · reduction, mel]` and stop logits `[batch, steps · reduction]` without the residual
    /// stack: what generation needs of each step.
    pub fn step(&self, states: Tensor<3>) -> (Tensor<3>, Tensor<2>) {
        let [batch, steps, _] = states.dims();
        let stop = self.stop.forward(states.clone());
        let frames = steps * stop.dims()[2];
        let before = self.frames.forward(states);
        let mel = before.dims()[2] * steps / frames;
        (before.reshape([batch, frames, mel]), stop.reshape([batch, frames]))
    }

    /// The residual stack over whole utterances: `[batch, frames, mel]` → the same shape.
    pub fn refine(&self, before: Tensor<3>, mode: Mode) -> Tensor<3> {
        let last = self.blocks.len() - 1;
        let window = Window { padding: self.kernel / 2, ..Window::new(self.kernel) };
        let mut x = before.clone();
        for (n, block) in self.blocks.iter().enumerate() {
            x = vocable_kernels::conv1d(x, block.weight.val(), None, window);
            x = block.norm.forward(x, mode);
            if n < last {
                x = vocable_kernels::tanh(x);
            }
            x = Dropout(self.dropout).forward(x, mode.fold("block").fold(n));
        }
        before + x
    }
}
