//! What the tasks that end in speech train on: spectrogram distances, stop prediction, guided attention (spec section
//! 6.2).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocable_nets::SpeechOutput;
use vocable_nn::Mode;
use vocable_objectives::{Losses, SpectrogramDistance, StopLabels, guided_attention_loss, spectrogram_loss, stop_loss};
use vocable_random::Key;

use crate::batch::SpeechTarget;
use crate::{Preset, SpeechT5};

/// Weights and forms of the terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechLoss {
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
}

/// Losses of a batch, with the states that parity tests look at.
#[derive(Clone, Debug)]
pub struct SpeechPass {
    /// `TASK/spectrogram_before`, `TASK/spectrogram_after`, `TASK/stop`, `TASK/guided_attention`.
    pub losses: Losses,
    /// Encoder states, `[batch, time, width]`.
    pub memory: Tensor<3>,
    /// Decoder states, `[batch, steps, width]`.
    pub states: Tensor<3>,
    /// Predicted speech.
    pub output: SpeechOutput,
}

impl SpeechLoss {
    /// The same for all tasks (spec section 6.2) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let hf = preset == Preset::Hf;
        Self {
            distance: SpectrogramDistance::L1,
            stop: 1.0,
            stop_positive: 5.0,
            stop_labels: if hf { StopLabels::Last } else { StopLabels::Tail },
            guided_attention: if hf { 10.0 } else { 1.0 },
            guided_heads: 2,
        }
    }

    /// Decodes the target of a `task` over a memory (`[batch, time, width]`, valid up to `lengths`), of which guided attention
    /// counts `positions`; `noise` drives the pre-net's always-on dropout (off without a key).
    pub(crate) fn pass(
        &self,
        task: &str,
        model: &SpeechT5,
        memory: Tensor<3>,
        lengths: &[usize],
        positions: &[usize],
        target: &SpeechTarget,
        noise: Option<Key>,
        mode: Mode,
    ) -> SpeechPass {
        let guided = self.guided_attention != 0.0;
        let decoded = model.decode_speech(
            target.input.clone(),
            &target.steps,
            Some(target.speaker.clone()),
            memory.clone(),
            lengths,
            noise,
            guided,
            mode.fold("decode"),
        );
        let output = target.output(model, decoded.states.clone(), mode.fold("postnet"));
        let distance = |predicted: &Tensor<3>| {
            spectrogram_loss(predicted.clone(), target.frames.clone(), &target.lengths, self.distance)
        };
        let stop = stop_loss(output.stop.clone(), target.stop.clone(), &target.lengths, self.stop_positive);
        let name = |term: &str| format!("{task}/{term}");
        let mut losses = Losses::new(&stop.device())
            .add(&name("spectrogram_before"), 1.0, distance(&output.before))
            .add(&name("spectrogram_after"), 1.0, distance(&output.after))
            .add(&name("stop"), self.stop, stop);
        // Layer drop may have skipped every layer.
        if guided && !decoded.cross_weights.is_empty() {
            let guide = guided_attention_loss(&decoded.cross_weights, &target.steps, positions, self.guided_heads);
            losses = losses.add(&name("guided_attention"), self.guided_attention, guide);
        }
        SpeechPass { losses, memory, states: decoded.states, output }
    }
}
