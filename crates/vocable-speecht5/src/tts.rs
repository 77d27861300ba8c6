//! Synthesis: characters into speech (spec section 6.2).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocable_decode::{SpeechLimits, StopRule};
use vocable_nets::{SpeechOutput, Tokens};
use vocable_nn::Mode;
use vocable_objectives::{Losses, SpectrogramDistance, StopLabels};
use vocable_random::Key;

use crate::batch::SpeechTarget;
use crate::speech_loss::{SpeechLoss, SpeechPass};
use crate::{Preset, Regularisation, SpeechT5};

/// What a synthesis recipe says about losses and generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtsConfig {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Whether `</s>` follows the text (table D11).
    pub append_eos: bool,
    /// Distance of predicted and true log-mels.
    pub distance: SpectrogramDistance,
    /// Weight of the stop prediction.
    pub stop: f64,
    /// Weight of a positive stop label.
    pub stop_positive: f64,
    /// Which frames carry a stop label (table D42).
    pub stop_labels: StopLabels,
    /// Weight of the guided attention (table D30); zero removes it.
    pub guided_attention: f64,
    /// Heads of each layer that are guided (table D31).
    pub guided_heads: usize,
    /// When generation stops.
    pub limits: SpeechLimits,
}

impl TtsConfig {
    /// The recipe of LibriTTS (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let hf = preset == Preset::Hf;
        let rule = if hf { StopRule::Sum } else { StopRule::Any };
        Self {
            regularisation: Regularisation::new(0.15, 0.15, [0.0, 0.0], 1.0).preset(preset),
            append_eos: preset != Preset::Official,
            distance: SpectrogramDistance::L1,
            stop: 1.0,
            stop_positive: 5.0,
            stop_labels: if hf { StopLabels::Last } else { StopLabels::Tail },
            guided_attention: if hf { 10.0 } else { 1.0 },
            guided_heads: 2,
            limits: SpeechLimits { rule, ..SpeechLimits::up_to(20.0) },
        }
    }

    /// Tokens of a text as the encoder reads them.
    pub fn input(&self, mut tokens: Vec<u32>, eos: u32) -> Vec<u32> {
        if self.append_eos {
            tokens.push(eos);
        }
        tokens
    }
}

/// A batch of texts with what they sound like.
#[derive(Clone, Debug)]
pub struct TtsBatch {
    /// Texts.
    pub input: Tokens,
    /// Target log-mels and voices.
    pub target: SpeechTarget,
}

/// Loss of a batch, with the states that parity tests look at.
#[derive(Clone, Debug)]
pub struct TtsPass {
    /// `tts/spectrogram_before`, `tts/spectrogram_after`, `tts/stop`, `tts/guided_attention`.
    pub losses: Losses,
    /// Encoder states, `[batch, tokens, width]`.
    pub memory: Tensor<3>,
    /// Decoder states, `[batch, steps, width]`.
    pub states: Tensor<3>,
    /// Predicted speech.
    pub output: SpeechOutput,
}

impl TtsConfig {
    /// The losses of one batch; `noise` drives the pre-net's always-on dropout (off without a key).
    pub fn pass(&self, model: &SpeechT5, batch: &TtsBatch, noise: Option<Key>, mode: Mode) -> TtsPass {
        let TtsBatch { input, target } = batch;
        let memory = model.encode_text(input, mode);
        let loss = SpeechLoss {
            task: "tts",
            distance: self.distance,
            stop: self.stop,
            stop_positive: self.stop_positive,
            guided_attention: self.guided_attention,
            guided_heads: self.guided_heads,
        };
        let SpeechPass { losses, states, output } = loss.pass(model, &memory, &input.lengths, target, noise, mode);
        TtsPass { losses, memory, states, output }
    }
}
