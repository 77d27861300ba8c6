//! From host memory to batches of tensors: padding, and what the speech decoder reads and must say.

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor, TensorData};
use vocable_audio::Frames;
use vocable_objectives::StopLabels;

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
        }
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
