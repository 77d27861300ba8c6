//! From host memory to batches of tensors: padding, and what the speech decoder reads and must say.

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};
use vocable_audio::Frames;
use vocable_nets::SpeechOutput;
use vocable_nn::Mode;
use vocable_objectives::StopLabels;

use crate::SpeechT5;

/// Padded waveforms.
#[derive(Clone, Debug)]
pub struct Waveforms {
    /// `[batch, samples]`, zero behind each item's length.
    pub samples: Tensor<2>,
    /// Valid samples of each item.
    pub lengths: Vec<usize>,
}

impl Waveforms {
    /// Pads to the longest item.
    pub fn new(items: &[impl AsRef<[f32]>], device: &Device) -> Self {
        let items: Vec<&[f32]> = items.iter().map(AsRef::as_ref).collect();
        let time = items.iter().map(|item| item.len()).max().unwrap_or(0);
        let mut values = Vec::with_capacity(items.len() * time);
        for item in &items {
            values.extend_from_slice(item);
            values.resize(values.len() + time - item.len(), 0.0);
        }
        Self {
            samples: Tensor::from_data(TensorData::new(values, [items.len(), time]), device),
            lengths: items.iter().map(|item| item.len()).collect(),
        }
    }
}

/// Log-mel targets and everything that follows from them (spec sections 5.2 and 6.2).
#[derive(Clone, Debug)]
pub struct SpeechTarget {
    /// Log-mel, `[batch, frames, mel]`, frames a multiple of the reduction factor, zero behind each item's length.
    pub frames: Tensor<3>,
    /// Valid frames of each item, cut to whole decoder steps.
    pub lengths: Vec<usize>,
    /// Decoder input, `[batch, steps, mel]`: a zero frame, then the last frame of each earlier step.
    pub input: Tensor<3>,
    /// Valid decoder steps of each item.
    pub steps: Vec<usize>,
    /// 1 where speech has ended, `[batch, frames]`.
    pub stop: Tensor<2>,
    /// Speaker vectors, `[batch, speaker]`.
    pub speaker: Tensor<2>,
    /// What predicted frames are relative to; none where they are the log-mel itself.
    pub guide: Option<Guide>,
}

/// What the decoder's frames mean in enhancement (`se_predict`, spec section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The log-mel itself; the decoder reads its own earlier frames.
    Target,
    /// Logits of a mask over the noisy log-mel, which the decoder reads too.
    Masking,
    /// A difference to the noisy log-mel, which the decoder reads too.
    Delta,
}

/// A log-mel that predicted frames are relative to, and that the decoder reads instead of earlier frames.
#[derive(Clone, Debug)]
pub struct Guide {
    prediction: Prediction,
    frames: Tensor<3>,
}

impl Guide {
    /// Of log-mels `[batch, frames, mel]`, frames a multiple of the reduction factor; none for
    /// [`Prediction::Target`].
    pub fn new(prediction: Prediction, frames: Tensor<3>) -> Option<Self> {
        (prediction != Prediction::Target).then_some(Self { prediction, frames })
    }

    /// Decoder input, `[batch, steps, mel]`: the last frame of each step.
    pub fn input(&self, reduction: usize) -> Tensor<3> {
        let [batch, frames, mel] = self.frames.dims();
        let steps = self.frames.clone().reshape([batch, frames / reduction, reduction, mel]);
        steps.narrow(2, reduction - 1, 1).squeeze_dim(2)
    }

    /// Log-mels that the decoder's frames (`[batch, frames, mel]`) mean.
    pub fn apply(&self, predicted: Tensor<3>) -> Tensor<3> {
        match self.prediction {
            Prediction::Target => predicted,
            Prediction::Masking => activation::sigmoid(predicted) * self.frames.clone(),
            Prediction::Delta => predicted + self.frames.clone(),
        }
    }
}

impl SpeechTarget {
    /// Pads windows of log-mels (row-major, `mel` bins a frame).
    ///
    /// `full` holds the frames of the whole utterances, which decide where the stop labels begin.
    pub fn new(
        windows: &[impl AsRef<[f32]>],
        full: &[usize],
        mel: usize,
        reduction: usize,
        labels: StopLabels,
        speakers: &[Vec<f32>],
        device: &Device,
    ) -> Self {
        let windows: Vec<&[f32]> = windows.iter().map(AsRef::as_ref).collect();
        let steps: Vec<usize> = windows.iter().map(|window| window.len() / mel / reduction).collect();
        let lengths: Vec<usize> = steps.iter().map(|steps| steps * reduction).collect();
        let longest = steps.iter().copied().max().unwrap_or(0);
        let mut frames = Vec::with_capacity(windows.len() * longest * reduction * mel);
        let mut input = Vec::with_capacity(windows.len() * longest * mel);
        for (window, &steps) in windows.iter().zip(&steps) {
            frames.extend_from_slice(&window[..steps * reduction * mel]);
            frames.resize(frames.len() + (longest - steps) * reduction * mel, 0.0);
            let begin = input.len();
            for step in 0..steps {
                match step * reduction {
                    0 => input.resize(begin + mel, 0.0),
                    next => input.extend_from_slice(&window[(next - 1) * mel..next * mel]),
                }
            }
            input.resize(begin + longest * mel, 0.0);
        }
        let count = windows.len();
        let width = speakers.first().map_or(0, Vec::len);
        Self {
            frames: Tensor::from_data(TensorData::new(frames, [count, longest * reduction, mel]), device),
            stop: labels.labels(full, &lengths, longest * reduction, device),
            lengths,
            input: Tensor::from_data(TensorData::new(input, [count, longest, mel]), device),
            steps,
            speaker: Tensor::from_data(TensorData::new(speakers.concat(), [count, width]), device),
            guide: None,
        }
    }

    /// The same target, predicted relative to a log-mel.
    #[must_use]
    pub fn guided(self, guide: Option<Guide>) -> Self {
        match guide {
            Some(guide) => {
                let reduction = self.frames.dims()[1] / self.input.dims()[1].max(1);
                Self { input: guide.input(reduction), guide: Some(guide), ..self }
            }
            None => self,
        }
    }

    /// Predicted speech of decoder states `[batch, steps, width]`.
    pub(crate) fn output(&self, model: &SpeechT5, states: Tensor<3>, mode: Mode) -> SpeechOutput {
        let (before, stop) = self.unrefined(model, states);
        SpeechOutput { after: model.speech_decoder_postnet.refine(before.clone(), mode), before, stop }
    }

    /// Log-mels before the post-net refines them, `[batch, frames, mel]`, and the stop logits, of decoder states
    /// `[batch, steps, width]`.
    pub(crate) fn unrefined(&self, model: &SpeechT5, states: Tensor<3>) -> (Tensor<3>, Tensor<2>) {
        let (frames, stop) = model.speech_decoder_postnet.step(states);
        let before = match &self.guide {
            Some(guide) => guide.apply(frames),
            None => frames,
        };
        (before, stop)
    }

    /// Whole utterances.
    pub fn whole(
        mels: &[impl Borrow<Frames>],
        reduction: usize,
        labels: StopLabels,
        speakers: &[Vec<f32>],
        device: &Device,
    ) -> Self {
        let mels: Vec<&Frames> = mels.iter().map(Borrow::borrow).collect();
        let windows: Vec<&[f32]> = mels.iter().map(|mel| mel.data.as_slice()).collect();
        let full: Vec<usize> = mels.iter().map(|mel| mel.len()).collect();
        let width = mels.first().map_or(0, |mel| mel.width);
        Self::new(&windows, &full, width, reduction, labels, speakers, device)
    }
}
