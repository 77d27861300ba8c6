//! The pre-training objective over a corpus and sentences: streams, batches, validation.

use std::sync::Arc;

use burn::tensor::Device;
use vocable_data::interleave::Interleave;
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_data::{crop, manifest::Split};
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_objectives::{Losses, MlmHead};
use vocable_random::Key;
use vocable_text::{CharVocabulary, Infilling};
use vocable_train::{Batch, Objective, ObjectiveError};

use super::{Modalities, PretrainConfig, Pretrainer, SpeechBatch, SpeechPart, TextBatch, TextPart};
use crate::batch::{SpeechTarget, Waveforms};
use crate::data::Dataset;
use crate::{ModelConfig, ModelError};

/// Labels per second of the masked prediction.
const LABEL_RATE: f64 = 50.0;

/// The pre-training objective over a corpus and sentences.
pub struct Pretraining {
    config: PretrainConfig,
    model: ModelConfig,
    dataset: Arc<Dataset>,
    speech: Option<SpeechStream>,
    text: Option<TextStream>,
    interleave: Interleave,
    key: Key,
    device: Device,
}

struct SpeechStream {
    part: SpeechPart,
    /// Utterances that are long enough.
    utterances: Vec<usize>,
    /// Units of each utterance of the corpus.
    units: Arc<Vec<Vec<u32>>>,
    batches: BatchSampler,
    validation: Vec<usize>,
}

struct TextStream {
    sentences: Vec<Vec<u32>>,
    noise: Infilling,
    batches: BatchSampler,
    validation: Vec<Vec<u32>>,
}

impl Pretraining {
    /// `units` holds the labels of every utterance of the corpus (empty where it has none); `sentences` are the text.
    ///
    /// # Errors
    /// A corpus without an utterance or sentence that fits the length limits.
    pub fn new(
        config: PretrainConfig,
        model: ModelConfig,
        dataset: Arc<Dataset>,
        units: Arc<Vec<Vec<u32>>>,
        sentences: &[String],
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let speech = match &config.speech {
            Some(part) => Some(SpeechStream::new(part, &dataset, units, key.fold("speech"))?),
            None => None,
        };
        let text = match &config.text {
            Some(part) => Some(TextStream::new(part, &dataset, sentences, key.fold("text"))?),
            None => None,
        };
        if speech.is_none() && text.is_none() {
            let message = "neither speech nor text is left; for a row without pre-training set pretrain=none".into();
            return Err(ModelError::Unsuitable { task: "pre-training", message });
        }
        let shares = [usize::from(speech.is_some()) * 8, usize::from(text.is_some()) * 8];
        let interleave = Interleave::new(&shares, key.fold("modalities"));
        Ok(Self { config, model, dataset, speech, text, interleave, key, device })
    }

    /// Micro-batches of a round.
    fn kinds(&self) -> usize {
        let both = self.speech.is_some() && self.text.is_some();
        if both && self.config.modalities == Modalities::Paired { 2 } else { 1 }
    }

    /// Which stream gives a micro-batch, and the position in it.
    fn draw(&self, update: usize, micro: usize) -> (bool, usize) {
        let (round, kind) = (update * self.config.accumulate + micro / self.kinds(), micro % self.kinds());
        match (&self.speech, &self.text) {
            (Some(_), None) => (true, round),
            (None, _) => (false, round),
            (Some(_), Some(_)) => match self.config.modalities {
                Modalities::Paired => (kind == 0, round),
                Modalities::Shuffled => {
                    let draw = self.interleave.at(round);
                    (draw.stream == 0, draw.position)
                }
            },
        }
    }

    fn speech_batch(
        &self,
        stream: &SpeechStream,
        indices: &[usize],
        key: Key,
        device: &Device,
    ) -> Result<SpeechBatch, ModelError> {
        let part = &stream.part;
        let audio = self.dataset.audio(indices)?;
        let shortest = audio.iter().map(|item| item.len()).min().expect("a batch has items");
        let size = shortest.min(part.longest());
        let starts: Vec<usize> =
            audio.iter().enumerate().map(|(n, item)| crop::start(item.len(), size, key.fold(n))).collect();
        let samples: Vec<&[f32]> = audio.iter().zip(&starts).map(|(item, &start)| &item[start..start + size]).collect();

        let mut classes = Vec::with_capacity(indices.len());
        let mut windows = Vec::with_capacity(indices.len());
        let mut full = Vec::with_capacity(indices.len());
        for ((&index, item), &start) in indices.iter().zip(&audio).zip(&starts) {
            let units = &stream.units[index];
            let labels = crop::label_window(start, size, vocable_data::corpus::RATE, LABEL_RATE, units.len());
            classes.push(units[labels].iter().map(|&unit| MlmHead::class(unit)).collect::<Vec<u32>>());
            let mel = self.dataset.mel(index)?;
            let frames = crop::mel_window(start, size, item.len(), mel.len());
            windows.push(&mel.data[frames.start * mel.width..frames.end * mel.width]);
            full.push(mel.len());
        }
        let frames = self.model.extractor().frames(size).min(classes.iter().map(Vec::len).min().unwrap_or(0));
        classes.iter_mut().for_each(|labels| labels.truncate(frames));
        let mask = SpanMask { probability: part.mask_probability, length: part.mask_length, minimum: 2 };
        let masked = compute_mask_indices(&vec![frames; indices.len()], frames, mask, key);
        let speakers = self.dataset.speaker_vectors(indices)?;
        let target = SpeechTarget::new(
            &windows,
            &full,
            self.model.mel,
            self.model.reduction,
            part.stop_labels,
            &speakers,
            device,
        );
        Ok(SpeechBatch { waveforms: Waveforms::new(&samples, device), masked, classes, target })
    }

    /// `keys` draw the noise of each sentence.
    fn text_batch(&self, stream: &TextStream, sentences: &[&Vec<u32>], keys: &[Key], device: &Device) -> TextBatch {
        let vocabulary = &self.dataset.vocabulary;
        let noised: Vec<Vec<u32>> =
            sentences.iter().zip(keys).map(|(tokens, &key)| stream.noise.infill(tokens, key)).collect();
        let shifted: Vec<Vec<u32>> = sentences
            .iter()
            .map(|tokens| {
                let (&last, rest) = tokens.split_last().expect("a sentence has its marks");
                std::iter::once(last).chain(rest.iter().copied()).collect()
            })
            .collect();
        TextBatch {
            noised: Tokens::new(&noised, vocabulary.pad(), device),
            input: Tokens::new(&shifted, vocabulary.pad(), device),
            target: sentences.iter().map(|tokens| tokens.to_vec()).collect(),
        }
    }

    fn indices(&self, update: usize, micro: usize) -> (bool, Vec<usize>) {
        let (is_speech, position) = self.draw(update, micro);
        let batch = if is_speech {
            let stream = self.speech.as_ref().expect("a speech draw has a stream");
            stream.batches.at(position).into_iter().map(|n| stream.utterances[n]).collect()
        } else {
            self.text.as_ref().expect("a text draw has a stream").batches.at(position)
        };
        (is_speech, batch)
    }
}

impl SpeechStream {
    fn new(part: &SpeechPart, dataset: &Dataset, units: Arc<Vec<Vec<u32>>>, key: Key) -> Result<Self, ModelError> {
        let long_enough = |&index: &usize| dataset.declared_samples(index) >= part.min_samples;
        let utterances: Vec<usize> = dataset.split(Split::Train).into_iter().filter(long_enough).collect();
        if utterances.is_empty() {
            let message = format!(
                "no training utterance has {} samples or more: lower pretrain.speech.min_samples",
                part.min_samples
            );
            return Err(ModelError::Unsuitable { task: "speech pre-training", message });
        }
        let longest = part.longest();
        let length = |&index: &usize| [dataset.declared_samples(index).min(longest)];
        let lengths: Vec<[usize; 1]> = utterances.iter().map(length).collect();
        let limits = Limits { max_tokens: part.batch_samples, max_items: part.batch_items };
        let batches = BatchSampler::new(&lengths, limits, key)?;
        let mut validation: Vec<usize> = dataset.split(Split::Valid).into_iter().filter(long_enough).collect();
        // One batch, whatever its crops come to.
        validation.truncate((part.batch_samples / longest).clamp(1, part.batch_items));
        Ok(Self { part: part.clone(), utterances, units, batches, validation })
    }
}

impl TextStream {
    fn new(part: &TextPart, dataset: &Dataset, sentences: &[String], key: Key) -> Result<Self, ModelError> {
        let vocabulary = &dataset.vocabulary;
        let marked = |text: &str| marked(vocabulary, text);
        let limit = part.max_tokens.min(part.batch_tokens);
        let sentences: Vec<Vec<u32>> =
            sentences.iter().map(|text| marked(text)).filter(|tokens| tokens.len() <= limit).collect();
        if sentences.is_empty() {
            let message = format!("no sentence has {limit} tokens or fewer");
            return Err(ModelError::Unsuitable { task: "text pre-training", message });
        }
        let lengths: Vec<[usize; 1]> = sentences.iter().map(|tokens| [tokens.len()]).collect();
        let limits = Limits { max_tokens: part.batch_tokens, max_items: part.batch_items };
        let noise = Infilling {
            mask_ratio: part.mask_ratio,
            poisson_lambda: part.poisson_lambda,
            mask_random: part.mask_random,
            vocabulary: vocabulary.len() as u32,
            mask: vocabulary.mask(),
        };
        let mut validation: Vec<Vec<u32>> =
            dataset.split(Split::Valid).iter().map(|&index| marked(&dataset.utterance(index).text)).collect();
        validation.truncate(part.batch_items);
        Ok(Self { batches: BatchSampler::new(&lengths, limits, key)?, sentences, noise, validation })
    }
}

/// `<s> x </s>` (spec section 5.3).
fn marked(vocabulary: &CharVocabulary, text: &str) -> Vec<u32> {
    let tokens = vocabulary.encode(text);
    std::iter::once(vocabulary.bos()).chain(tokens).chain([vocabulary.eos()]).collect()
}

impl Objective<Pretrainer> for Pretraining {
    fn micro_batches(&self) -> usize {
        self.kinds() * self.config.accumulate
    }

    fn loss(&self, model: &Pretrainer, update: usize, micro: usize) -> Result<Losses, ObjectiveError> {
        let key = self.key.fold("update").fold(update).fold(micro);
        let mode = Mode::Train(key.fold("model"));
        let (is_speech, indices) = self.indices(update, micro);
        let losses = if is_speech {
            let stream = self.speech.as_ref().expect("a speech draw has a stream");
            let batch = self.speech_batch(stream, &indices, key.fold("batch"), &self.device)?;
            model.speech(&self.config, &stream.part, &batch, update, mode, None).0
        } else {
            let stream = self.text.as_ref().expect("a text draw has a stream");
            let sentences: Vec<&Vec<u32>> = indices.iter().map(|&n| &stream.sentences[n]).collect();
            // A sentence's noise belongs to it and the epoch, not to the batch it is in (spec section 5.3).
            let epoch = self.draw(update, micro).1 / stream.batches.batches_per_epoch();
            let noise = self.key.fold("noise").fold(epoch);
            let keys: Vec<Key> = indices.iter().map(|&n| noise.fold(n)).collect();
            let batch = self.text_batch(stream, &sentences, &keys, &self.device);
            model.text(&self.config, &batch, update, mode, None).0
        };
        Ok(losses)
    }

    fn batch(&self, update: usize, micro: usize) -> Batch {
        let (is_speech, indices) = self.indices(update, micro);
        if is_speech {
            let frames = indices.iter().map(|&index| self.dataset.declared_samples(index)).sum();
            Batch { utterances: self.dataset.names(&indices), frames }
        } else {
            let stream = self.text.as_ref().expect("a text draw has a stream");
            let frames = indices.iter().map(|&n| stream.sentences[n].len()).sum();
            Batch { utterances: indices.iter().map(|n| format!("sentence {n}")).collect(), frames }
        }
    }

    fn validate(&self, model: &Pretrainer) -> Result<Vec<(String, f64)>, ObjectiveError> {
        let key = self.key.fold("validation");
        let device = self.device.clone().inner();
        let mut numbers = Vec::new();
        if let Some(stream) = self.speech.as_ref().filter(|stream| !stream.validation.is_empty()) {
            let batch = self.speech_batch(stream, &stream.validation, key, &device)?;
            numbers.extend(model.speech(&self.config, &stream.part, &batch, 0, Mode::Eval, None).0.terms);
        }
        if let Some(stream) = self.text.as_ref().filter(|stream| !stream.validation.is_empty()) {
            let sentences: Vec<&Vec<u32>> = stream.validation.iter().collect();
            let keys: Vec<Key> = (0..sentences.len()).map(|n| key.fold(n)).collect();
            let batch = self.text_batch(stream, &sentences, &keys, &device);
            numbers.extend(model.text(&self.config, &batch, 0, Mode::Eval, None).0.terms);
        }
        Ok(numbers)
    }
}

impl std::fmt::Debug for Pretraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pretraining").field("config", &self.config).finish_non_exhaustive()
    }
}
