use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};
use vocable_nn::{Dropout, Init, Linear, Mode, sinusoid};
use vocable_random::Key;

/// Dropout of the first two layers, which stays on at generation (spec table D5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrenetNoise {
    /// Every item of a batch has its own mask.
    Independent,
    /// One mask for all items.
    Consistent,
    /// None at all; generated speech suffers.
    Off,
}

/// Shape of a [`SpeechDecoderPrenet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechDecoderPrenetConfig {
    /// Width of the first two layers.
    pub units: usize,
    /// Probability of the always-on dropout.
    pub dropout: f64,
    /// Whose mask the always-on dropout shares.
    pub noise: PrenetNoise,
    /// Whether the third layer, too, ends in a ReLU (the paper; the official code has none).
    pub last_relu: bool,
    /// Ordinary dropout after the positions.
    pub positional_dropout: f64,
}

impl SpeechDecoderPrenetConfig {
    /// Draws the weights: `mel` bins and a speaker vector of `speaker` numbers into states of `width`.
    pub fn init(&self, mel: usize, speaker: usize, width: usize, init: &Init) -> SpeechDecoderPrenet {
        let linear = |name: &str, input, output| Linear::new(input, output, &init.fold(name));
        SpeechDecoderPrenet {
            first: linear("first", mel, self.units),
            second: linear("second", self.units, self.units),
            third: linear("third", self.units, width),
            alpha: Param::from_tensor(Tensor::ones([1], init.device())),
            speaker: linear("speaker", width + speaker, width),
            dropout: self.dropout,
            noise: self.noise,
            last_relu: self.last_relu,
            positional_dropout: self.positional_dropout,
        }
    }
}

/// Mel frames into the decoder: a bottleneck with dropout that never rests, scaled positions, and the speaker vector
/// (spec section 4.5).
#[derive(Module, Debug)]
pub struct SpeechDecoderPrenet {
    /// `decoder_prenet.0.0.prenet.0`.
    pub first: Linear,
    /// `decoder_prenet.0.0.prenet.1`.
    pub second: Linear,
    /// `decoder_prenet.0.1`.
    pub third: Linear,
    /// Learned scale α of the positions, `[1]`.
    pub alpha: Param<Tensor<1>>,
    /// `spkembs_layer`.
    pub speaker: Linear,
    dropout: f64,
    #[module(skip)]
    noise: PrenetNoise,
    last_relu: bool,
    positional_dropout: f64,
}

impl SpeechDecoderPrenet {
    /// Previous mel frames `[batch, time, mel]`, the first of them at position `past`, and speaker vectors
    /// `[batch, speaker]` of any length (they are normalised here; a zero vector stays zero) → `[batch, time, width]`.
    ///
    /// `noise` drives the always-on dropout, in evaluation too; without a key it is off.
    pub fn forward(
        &self,
        frames: Tensor<3>,
        past: usize,
        speaker: Option<Tensor<2>>,
        noise: Option<Key>,
        mode: Mode,
    ) -> Tensor<3> {
        let drop = |x: Tensor<3>, name: &str| match noise {
            Some(key) => self.always_drop(x, key.fold(name)),
            None => x,
        };
        let x = drop(relu(self.first.forward(frames)), "first");
        let x = drop(relu(self.second.forward(x)), "second");
        let x = self.third.forward(x);
        let x = if self.last_relu { relu(x) } else { x };
        let [batch, time, width] = x.dims();
        let positions = sinusoid::interleaved(time, width, past, &x.device());
        let x = x + positions * self.alpha.val().reshape([1, 1, 1]);
        let x = Dropout(self.positional_dropout).forward(x, mode.fold("position"));
        let Some(speaker) = speaker else { return x };
        let length = speaker.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
        let size = speaker.dims()[1];
        let speaker = (speaker / length).unsqueeze_dim::<3>(1).expand([batch, time, size]);
        relu(self.speaker.forward(Tensor::cat(vec![x, speaker], 2)))
    }

    fn always_drop(&self, x: Tensor<3>, key: Key) -> Tensor<3> {
        match self.noise {
            PrenetNoise::Independent => vocable_kernels::dropout(x, self.dropout, key),
            PrenetNoise::Consistent => {
                let [_, time, width] = x.dims();
                let mask = vocable_kernels::dropout(Tensor::ones([1, time, width], &x.device()), self.dropout, key);
                x * mask
            }
            PrenetNoise::Off => x,
        }
    }
}
