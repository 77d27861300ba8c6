//! What the tasks that end in speech train on: spectrogram distances, stop prediction, guided attention (spec section
//! 6.2).

use burn::tensor::Tensor;
use vocable_nets::SpeechOutput;
use vocable_nn::Mode;
use vocable_objectives::{Losses, SpectrogramDistance, guided_attention_loss, spectrogram_loss, stop_loss};
use vocable_random::Key;

use crate::SpeechT5;
use crate::batch::SpeechTarget;

/// Weights and forms of the terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpeechLoss {
    /// First part of the terms' names.
    pub task: &'static str,
    /// Distance of predicted and true log-mels.
    pub distance: SpectrogramDistance,
    /// Weight of the stop prediction.
    pub stop: f64,
    /// Weight of a positive stop label.
    pub stop_positive: f64,
    /// Weight of the guided attention; zero removes it.
    pub guided_attention: f64,
    /// Heads of each layer that are guided.
    pub guided_heads: usize,
}

/// Losses of a batch, with the states that parity tests look at.
pub(crate) struct SpeechPass {
    pub losses: Losses,
    /// Decoder states, `[batch, steps, width]`.
    pub states: Tensor<3>,
    pub output: SpeechOutput,
}

impl SpeechLoss {
    /// Decodes a target over a memory (`[batch, time, width]`, valid up to `lengths`); `noise` drives the pre-net's
    /// always-on dropout (off without a key).
    pub fn pass(
        &self,
        model: &SpeechT5,
        memory: &Tensor<3>,
        lengths: &[usize],
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
        let output = model.speech_decoder_postnet.forward(decoded.states.clone(), mode.fold("postnet"));
        let distance = |predicted: &Tensor<3>| {
            spectrogram_loss(predicted.clone(), target.frames.clone(), &target.lengths, self.distance)
        };
        let stop = stop_loss(output.stop.clone(), target.stop.clone(), &target.lengths, self.stop_positive);
        let name = |term: &str| format!("{}/{term}", self.task);
        let mut losses = Losses::new(&stop.device())
            .add(&name("spectrogram_before"), 1.0, distance(&output.before))
            .add(&name("spectrogram_after"), 1.0, distance(&output.after))
            .add(&name("stop"), self.stop, stop);
        // Layer drop may have skipped every layer.
        if guided && !decoded.cross_weights.is_empty() {
            let guide = guided_attention_loss(&decoded.cross_weights, &target.steps, lengths, self.guided_heads);
            losses = losses.add(&name("guided_attention"), self.guided_attention, guide);
        }
        SpeechPass { losses, states: decoded.states, output }
    }
}
