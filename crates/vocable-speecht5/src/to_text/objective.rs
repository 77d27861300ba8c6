//! The objective over a corpus: what a batch hears and writes, and how it is altered in training.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::Device;
use rand::RngExt;
use rand::seq::IndexedRandom;
use vocable_audio::resample;
use vocable_data::corpus::RATE;
use vocable_data::manifest::Split;
use vocable_data::mask::compute_mask_indices;
use vocable_data::sampler::Limits;
use vocable_nets::{SpeechMasks, Tokens};
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_text::Vocabulary;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use super::{TextBatch, TextOutput, TextTaskConfig};
use crate::batch::Waveforms;
use crate::data::{Dataset, bad_file, sample};
use crate::pretrain::mask_tensor;
use crate::{ModelConfig, ModelError, SpeechT5};

/// The objective over a corpus.
#[derive(Debug)]
pub struct ToText<O> {
    pub(super) config: TextTaskConfig<O>,
    pub(super) model: ModelConfig,
    pub(super) dataset: Arc<Dataset>,
    pub(super) vocabulary: Arc<dyn Vocabulary>,
    utterances: Items<usize>,
    notes: Vec<String>,
    key: Key,
    pub(super) device: Device,
}

/// A batch of utterances in host memory.
#[derive(Debug)]
pub struct TextData {
    audio: Vec<Arc<[f32]>>,
    /// `[batch][frames]`, true = replaced by the mask embedding (table D43).
    pub time_mask: Option<Vec<Vec<bool>>>,
    /// `[batch][width]`, true = zero in every frame.
    pub channel_mask: Option<Vec<Vec<bool>>>,
    /// `</s> x` per utterance, some of it hidden.
    input: Vec<Vec<u32>>,
    /// `x </s>` per utterance.
    target: Vec<Vec<u32>>,
}

impl<O: TextOutput> ToText<O> {
    /// Trains on `train`, validates on at most `validation` utterances of `valid`; `vocabulary` is the text's.
    ///
    /// # Errors
    /// A corpus without a training utterance that has a text that fits.
    pub fn new(
        config: TextTaskConfig<O>,
        model: ModelConfig,
        dataset: Arc<Dataset>,
        vocabulary: Arc<dyn Vocabulary>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let mut notes = Vec::new();
        let name = |&index: &usize| dataset.utterance(index).id.clone();
        let [all, mut valid] = [Split::Train, Split::Valid].map(|split| config.output.utterances(&dataset, split));
        // Of every text its tokens, and the frames that CTC needs for them.
        let needs = |&index: &usize| {
            let encoded = config.output.text(dataset.utterance(index)).map(|text| vocabulary.encode(text));
            let encoded = encoded.unwrap_or_default();
            (index, [encoded.len(), ctc_frames(&encoded)])
        };
        let texts: HashMap<usize, [usize; 2]> = all.iter().chain(&valid).map(needs).collect();
        let tokens = |index: usize| texts[&index][0];
        let fastest = config.speeds.iter().copied().fold(1.0, f64::max);
        let extractor = model.extractor();
        let frames = |index: usize| extractor.frames((dataset.declared_samples(index) as f64 / fastest) as usize);
        let (task, most) = (O::TASK, config.max_tokens);
        let usable = |index: &usize| frames(*index) > 0 && tokens(*index) > 0;
        let aligns = |index: &usize| config.ctc == 0.0 || frames(*index) >= texts[index][1];
        type Fits<'a> = &'a dyn Fn(&usize) -> bool;
        let (least, longest) = O::SAMPLES.into_inner();
        let limits: [(String, Fits); 4] = [
            (format!("not of {least} to {longest} samples"), &|&index| {
                (least..=longest).contains(&dataset.declared_samples(index))
            }),
            (format!("a text of {task}.task.max_tokens = {most} tokens or more"), &|&index| tokens(index) < most),
            ("without a character, or shorter than the receptive field".into(), &usable),
            // Its loss would be infinite, and every update that meets it would be skipped.
            ("too few frames for CTC to align the text".into(), &|index| config.zero_infinity || aligns(index)),
        ];
        let train = limits
            .iter()
            .fold(all, |train, (why, fits)| keep(train, "training utterances", why, fits, name, &mut notes));
        let unaligned = train.iter().filter(|index| !aligns(index)).count();
        if unaligned > 0 {
            notes
                .push(format!("CTC counts nothing for {unaligned} training utterances: too few frames for their text"));
        }
        if train.is_empty() {
            let mut message = "no training utterance has a text that can be used".to_owned();
            notes.iter().for_each(|note| message += &format!("; {note}"));
            return Err(ModelError::Unsuitable { task: O::NAME, message });
        }
        valid.retain(usable);
        let valid = sample(&valid, validation);
        // What is longer than a batch counts as one, which it then has for itself.
        let length = |index: usize| [dataset.declared_samples(index).min(config.batch_samples), tokens(index) + 1];
        let limits = Limits { max_tokens: config.batch_samples, max_items: config.batch_items };
        let utterances = Items::new(train, &valid, length, limits, config.micro_batches, key.fold("order"))?;
        Ok(Self { config, model, dataset, vocabulary, utterances, notes, key, device })
    }

    /// Masks over time and channels for utterances of these lengths.
    fn masks(&self, lengths: &[usize], key: Key) -> [Option<Vec<Vec<bool>>>; 2] {
        let samples = lengths.iter().copied().max().unwrap_or(0);
        let extractor = self.model.extractor();
        let frames = extractor.frames(samples);
        let lengths = self.model.padding_rule.frame_lengths(&extractor, lengths, samples, frames);
        let width = self.model.width;
        let time =
            self.config.time_mask.map(|mask| compute_mask_indices(&lengths, frames, mask.spans(2), key.fold("time")));
        let channel = self
            .config
            .channel_mask
            .map(|mask| compute_mask_indices(&vec![width; lengths.len()], width, mask.spans(0), key.fold("channel")));
        [time, channel]
    }

    /// A batch of these utterances, all of which must be readable.
    fn batch(&self, indices: &[usize], id: BatchId) -> Result<Batch<TextData>, ModelError> {
        let mut audio = self.dataset.audio(indices)?;
        if let BatchId::Train { update, micro } = id {
            let key = update_key(self.key, update, micro).fold("speed");
            for (n, item) in audio.iter_mut().enumerate() {
                *item = at_speed(item, &self.config.speeds, key.fold(n));
            }
        }
        let lengths: Vec<usize> = audio.iter().map(|item| item.len()).collect();
        let eos = self.vocabulary.eos();
        let target: Vec<Vec<u32>> = indices.iter().map(|&index| self.target(index)).collect();
        let [time_mask, channel_mask] = match id {
            BatchId::Train { update, micro } => self.masks(&lengths, update_key(self.key, update, micro).fold("mask")),
            BatchId::Valid(_) => [None, None],
        };
        let mut input: Vec<Vec<u32>> =
            target.iter().map(|target| [&[eos], &target[..target.len() - 1]].concat()).collect();
        if let BatchId::Train { update, micro } = id {
            let key = update_key(self.key, update, micro).fold("tokens");
            for (n, tokens) in input.iter_mut().enumerate() {
                hide(&mut tokens[1..], self.config.token_dropout, self.vocabulary.mask(), key.fold(n));
            }
        }
        let sequences =
            vec![Sequences::new("audio", lengths), Sequences::new("text", target.iter().map(|tokens| tokens.len()))];
        Ok(Batch {
            utterances: self.dataset.names(indices),
            bytes: 4 * sequences.iter().map(|sequences| sequences.valid).sum::<usize>(),
            sequences,
            data: TextData { audio, time_mask, channel_mask, input, target },
            left_out: Vec::new(),
        })
    }

    fn on_device(&self, data: &TextData, device: &Device) -> TextBatch {
        let mask = |mask: &Option<Vec<Vec<bool>>>| mask.as_ref().map(|mask| mask_tensor(mask, device));
        TextBatch {
            waveforms: Waveforms::new(&data.audio, device),
            masks: SpeechMasks { time: mask(&data.time_mask), channel: mask(&data.channel_mask) },
            input: Tokens::new(&data.input, self.vocabulary.pad(), device),
            target: data.target.clone(),
        }
    }

    /// Utterances of a split that have a text.
    pub fn test(&self, split: Split) -> Vec<usize> {
        self.config.output.utterances(&self.dataset, split)
    }

    /// Target tokens of an utterance, `x </s>`.
    fn target(&self, index: usize) -> Vec<u32> {
        let text = self.config.output.text(self.dataset.utterance(index)).unwrap_or_default();
        self.vocabulary.encode(text).into_iter().chain([self.vocabulary.eos()]).collect()
    }
}

impl<O: TextOutput> Objective<SpeechT5> for ToText<O> {
    type Data = TextData;

    fn micro_batches(&self) -> usize {
        self.utterances.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.utterances.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<TextData>, ObjectiveError> {
        let name = |&index: &usize| self.dataset.utterance(index).id.clone();
        usable(&self.utterances.of(id), |indices| self.batch(indices, id), bad_file, name)
    }

    fn losses(&self, model: &SpeechT5, data: &TextData, id: BatchId) -> Result<Losses, ObjectiveError> {
        let vocabulary = &self.vocabulary;
        let (key, device) = id.pass(self.key, &self.device);
        let frozen = id.update().is_some_and(|update| update < self.config.freeze_encoder_updates);
        let batch = self.on_device(data, &device);
        Ok(self.config.pass(model, &batch, vocabulary.eos(), vocabulary.blank(), frozen, key.into()).losses)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// Frames that CTC needs at least to align a text: one for each token, and a blank between equal ones.
fn ctc_frames(tokens: &[u32]) -> usize {
    tokens.len() + tokens.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// The recording at one of the speeds, which the key draws.
fn at_speed(samples: &Arc<[f32]>, speeds: &[f64], key: Key) -> Arc<[f32]> {
    match speeds.choose(&mut key.rng()) {
        Some(&speed) if speed != 1.0 => {
            // To a multiple of 50 Hz, so that the resampler's blocks stay short.
            let rate = (f64::from(RATE / 50) * speed).round() as u32 * 50;
            resample(samples, rate, RATE).into()
        }
        _ => Arc::clone(samples),
    }
}

/// Puts `mask` in the place of a share of the tokens, which the key draws.
fn hide(tokens: &mut [u32], share: f64, mask: u32, key: Key) {
    let mut rng = key.rng();
    tokens.iter_mut().filter(|_| rng.random_bool(share)).for_each(|token| *token = mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_share_of_tokens_is_hidden() {
        let mut tokens = vec![5; 10_000];
        hide(&mut tokens, 0.3, 9, Key::new(1));
        let hidden = tokens.iter().filter(|&&token| token == 9).count();
        // Five deviations of a binomial.
        assert!(hidden.abs_diff(3_000) < 230, "{hidden}");
        let mut tokens = vec![5; 100];
        hide(&mut tokens, 0.0, 9, Key::new(1));
        assert_eq!(tokens, [5; 100]);
    }

    #[test]
    fn every_speed_is_drawn_and_changes_the_length_alone() {
        let samples: Arc<[f32]> = vocable_audio::white_noise(1_000, Key::new(1)).into();
        let lengths: Vec<usize> =
            (0..60_usize).map(|n| at_speed(&samples, &[0.8, 1.0, 1.25], Key::new(2).fold(n)).len()).collect();
        assert!([1_250, 1_000, 800].iter().all(|length| lengths.contains(length)), "{lengths:?}");
        assert!(lengths.iter().all(|length| [1_250, 1_000, 800].contains(length)), "{lengths:?}");
        assert!(Arc::ptr_eq(&at_speed(&samples, &[], Key::new(2)), &samples));
        assert!(Arc::ptr_eq(&at_speed(&samples, &[1.0], Key::new(2)), &samples));
    }
}
