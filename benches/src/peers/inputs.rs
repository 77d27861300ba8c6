//! The inputs of a job: drawn here, written as safetensors, read by both workers.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use vocable_audio::{LogMel, white_noise};
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_random::Key;
use vocable_text::Infilling;

use crate::job::{Job, Program, SOUNDS, Work};

/// Tokens of the character vocabulary.
pub const VOCABULARY: usize = 81;
/// Begin of a sentence.
pub const BOS: u32 = 0;
/// Padding.
pub const PAD: u32 = 1;
/// End of a sentence.
pub const EOS: u32 = 2;
/// The mask of infilled text.
const MASK: u32 = 79;
/// CTC's blank.
pub const BLANK: u32 = 80;
/// Clusters of the masked prediction.
pub const CLUSTERS: usize = 500;
/// Samples a second.
const RATE: usize = 16_000;
/// Characters that are said in a second.
const CHARACTERS_A_SECOND: usize = 15;

/// Tensors by name.
#[derive(Debug, Default)]
pub struct Inputs(BTreeMap<String, Values>);

#[derive(Debug)]
struct Values {
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl Inputs {
    /// Draws what a job needs.
    pub fn draw(job: &Job) -> Self {
        let mut inputs = Self::default();
        match &job.work {
            Work::Pretraining { config, items, seconds, sentences, characters, .. } => {
                let part = config.speech.as_ref().expect("pre-training has a speech part");
                let sounds = inputs.sounds(*items, *seconds);
                let frames = job.model.extractor().frames(seconds * RATE);
                let spans = SpanMask { probability: part.mask_probability, length: part.mask_length, minimum: 2 };
                let masked = compute_mask_indices(&vec![frames; *items], frames, spans, Key::new(2));
                let masked: Vec<i64> = masked.concat().into_iter().map(i64::from).collect();
                inputs.integers("masked", &[*items, frames], masked);
                let classes = (0..items * frames).map(|n| 4 + (n as i64 * 7919 / 5) % CLUSTERS as i64).collect();
                inputs.integers("classes", &[*items, frames], classes);
                let log_mel = LogMel::default();
                let mels: Vec<_> = sounds.iter().map(|sound| log_mel.log_mel(sound)).collect();
                let kept = mels[0].len() / job.model.reduction * job.model.reduction;
                let width = mels[0].width;
                let mel = mels.iter().flat_map(|mel| mel.data[..kept * width].to_vec()).collect();
                inputs.floats("mel", &[*items, kept, width], mel);
                inputs.speakers(*items, job.model.speaker);
                inputs.sentences(config.text.as_ref().map(|text| text.mask_ratio), *sentences, *characters);
            }
            Work::Recognition { items, seconds, .. } => {
                inputs.sounds(*items, *seconds);
                let length = seconds * CHARACTERS_A_SECOND;
                let target = (0..*items).flat_map(|n| characters(n, length).chain([EOS])).map(i64::from).collect();
                inputs.integers("target", &[*items, length + 1], target);
            }
            Work::Encoding { items, seconds } | Work::Text { items, seconds, .. } => {
                inputs.sounds(*items, *seconds);
            }
            Work::Transcription { seconds, .. } | Work::Program(Program::Transcribe { seconds, .. }) => {
                inputs.sounds(1, *seconds);
            }
            Work::Program(Program::Speak { .. }) => inputs.speakers(1, job.model.speaker),
            Work::Vocoding { seconds } => {
                let frames = seconds * RATE / LogMel::default().config().hop;
                let mel = white_noise(frames * job.model.mel, Key::new(7));
                inputs.floats("mel", &[1, frames, job.model.mel], mel);
            }
            Work::Speech { items, characters: length, .. } => {
                let text = (0..*items).flat_map(|n| characters(n, *length)).map(i64::from).collect();
                inputs.integers("characters", &[*items, *length], text);
                inputs.speakers(*items, job.model.speaker);
            }
            Work::LogMel { .. } => {
                inputs.sounds(SOUNDS.0, SOUNDS.1);
            }
        }
        inputs
    }

    fn sounds(&mut self, items: usize, seconds: usize) -> Vec<Vec<f32>> {
        let samples = seconds * RATE;
        let sound = |n| white_noise(samples, Key::new(1).fold(n)).iter().map(|x| x * 0.1).collect();
        let sounds: Vec<Vec<f32>> = (0..items).map(sound).collect();
        self.floats("waveforms", &[items, samples], sounds.concat());
        sounds
    }

    fn speakers(&mut self, items: usize, width: usize) {
        self.floats("speaker", &[items, width], white_noise(items * width, Key::new(3)));
    }

    /// Sentences under noise and clean, as pre-training has them (spec section 5.3).
    fn sentences(&mut self, mask_ratio: Option<f32>, sentences: usize, length: usize) {
        let noise = Infilling {
            mask_ratio: mask_ratio.expect("pre-training has a text part"),
            poisson_lambda: 3.5,
            mask_random: 0.1,
            vocabulary: VOCABULARY as u32,
            mask: MASK,
        };
        let clean: Vec<Vec<u32>> =
            (0..sentences).map(|n| std::iter::once(BOS).chain(characters(n, length)).chain([EOS]).collect()).collect();
        let noised: Vec<Vec<u32>> =
            clean.iter().enumerate().map(|(n, sentence)| noise.infill(sentence, Key::new(4).fold(n))).collect();
        let longest = noised.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |sentence: &Vec<u32>| {
            sentence.iter().copied().chain(std::iter::repeat(PAD)).take(longest).map(i64::from).collect::<Vec<_>>()
        };
        let valid = |sentence: &Vec<u32>| (0..longest).map(|n| i64::from(n < sentence.len())).collect::<Vec<_>>();
        self.integers("noised", &[sentences, longest], noised.iter().flat_map(padded).collect());
        self.integers("valid", &[sentences, longest], noised.iter().flat_map(valid).collect());
        let shifted = |sentence: &Vec<u32>| [&[EOS], &sentence[..=length]].concat();
        let numbers = |tokens: Vec<u32>| tokens.into_iter().map(i64::from).collect::<Vec<_>>();
        self.integers("shifted", &[sentences, length + 2], numbers(clean.iter().flat_map(shifted).collect()));
        self.integers("target", &[sentences, length + 2], numbers(clean.concat()));
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.insert(name.into(), Values { shape: shape.to_vec(), dtype: Dtype::F32, bytes });
    }

    fn integers(&mut self, name: &str, shape: &[usize], values: Vec<i64>) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.insert(name.into(), Values { shape: shape.to_vec(), dtype: Dtype::I64, bytes });
    }

    /// Writes a safetensors file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let views = self.0.iter().map(|(name, values)| {
            let view = TensorView::new(values.dtype, values.shape.clone(), &values.bytes).expect("shape fits bytes");
            (name.as_str(), view)
        });
        std::fs::write(path, safetensors::serialize(views, None)?).with_context(|| path.display().to_string())
    }

    /// Reads a safetensors file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let file = SafeTensors::deserialize(&bytes)?;
        let values = |view: TensorView| Values {
            shape: view.shape().to_vec(),
            dtype: view.dtype(),
            bytes: view.data().to_vec(),
        };
        Ok(Self(file.tensors().into_iter().map(|(name, view)| (name, values(view))).collect()))
    }

    fn values(&self, name: &str) -> &Values {
        self.0.get(name).unwrap_or_else(|| panic!("the inputs have no {name}"))
    }

    /// Rows of floats: everything behind the first dimension is one row.
    pub fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let values = self.values(name);
        let floats: Vec<f32> =
            values.bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
        floats.chunks_exact(floats.len() / values.shape[0]).map(<[f32]>::to_vec).collect()
    }

    /// A tensor of floats.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape: [usize; D] = self.values(name).shape.clone().try_into().expect("the rank is known");
        Tensor::from_data(TensorData::new(self.rows(name).concat(), shape), device)
    }

    /// Rows of whole numbers.
    pub fn tokens(&self, name: &str) -> Vec<Vec<u32>> {
        let values = self.values(name);
        let numbers =
            values.bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")) as u32);
        numbers.collect::<Vec<_>>().chunks_exact(values.shape[1]).map(<[u32]>::to_vec).collect()
    }

    /// Rows of true and false.
    pub fn flags(&self, name: &str) -> Vec<Vec<bool>> {
        self.tokens(name).iter().map(|row| row.iter().map(|&number| number != 0).collect()).collect()
    }
}

/// Flags as a tensor.
pub fn mask_tensor(mask: &[Vec<bool>], device: &Device) -> Tensor<2, Bool> {
    Tensor::from_data(TensorData::new(mask.concat(), [mask.len(), mask[0].len()]), device)
}

/// A sentence of letters that differs from its neighbours.
fn characters(n: usize, length: usize) -> impl Iterator<Item = u32> {
    (0..length).map(move |t| 5 + ((n * 5 + t * 11) % 26) as u32)
}
