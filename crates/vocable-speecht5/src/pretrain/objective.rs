//! The pre-training objective over a corpus and sentences: streams, batches, validation.

use std::ops::Range;
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
use vocable_train::{Batch, BatchId, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use super::{Modalities, PretrainConfig, Pretrainer, SpeechBatch, SpeechPart, TextBatch, TextPart};
use crate::batch::{SpeechTarget, Waveforms};
use crate::data::{Dataset, bad_file};
use crate::{ModelConfig, ModelError};

/// Labels per second of the masked prediction.
pub const LABEL_RATE: f64 = 50.0;

/// The pre-training objective over a corpus and sentences.
pub struct Pretraining {
    config: PretrainConfig,
    model: ModelConfig,
    dataset: Arc<Dataset>,
    speech: Option<SpeechStream>,
    text: Option<TextStream>,
    interleave: Interleave,
    notes: Vec<String>,
    key: Key,
    device: Device,
}

/// A batch of either modality in host memory.
#[derive(Debug)]
pub enum PretrainData {
    /// Crops of utterances.
    Speech(SpeechData),
    /// Sentences.
    Text(TextData),
}

/// Crops of equal length, and what they are to be made into.
#[derive(Debug)]
pub struct SpeechData {
    crops: Vec<Vec<f32>>,
    masked: Vec<Vec<bool>>,
    classes: Vec<Vec<u32>>,
    /// The log-mels of the crops, row-major, and the frames of the whole utterances.
    windows: Vec<Vec<f32>>,
    full: Vec<usize>,
    speakers: Vec<Vec<f32>>,
}

/// Sentences with and without noise.
#[derive(Debug)]
pub struct TextData {
    noised: Vec<Vec<u32>>,
    clean: Vec<Vec<u32>>,
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
    /// Transcripts, and which of them make a batch.
    validation: Vec<Vec<u32>>,
    held_out: Vec<Range<usize>>,
}

/// What a batch is made of.
enum Draw<'a> {
    Speech(&'a SpeechStream, Vec<usize>),
    /// Names and tokens of the sentences, and what each one's noise is drawn from.
    Text(&'a TextStream, Vec<(String, &'a Vec<u32>, Key)>),
}

impl Pretraining {
    /// `units` holds the labels of every utterance of the corpus (empty where it has none); `sentences` are the text.
    /// Validation hears one batch, crops of the first utterances of `valid`, which in a corpus sorted by voice are of one, and
    /// reads as many of its transcripts as a batch of text may have sentences.
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
        let mut notes = Vec::new();
        let speech = match &config.speech {
            Some(part) => Some(SpeechStream::new(part, &dataset, units, key.fold("speech"), &mut notes)?),
            None => None,
        };
        let text = match &config.text {
            Some(part) => Some(TextStream::new(part, &dataset, sentences, key.fold("text"), &mut notes)?),
            None => None,
        };
        if speech.is_none() && text.is_none() {
            let message = "neither speech nor text is left; for a row without pre-training set pretrain=none".into();
            return Err(ModelError::Unsuitable { task: "pre-training", message });
        }
        let shares = [usize::from(speech.is_some()) * 8, usize::from(text.is_some()) * 8];
        let interleave = Interleave::new(&shares, key.fold("modalities"));
        Ok(Self { config, model, dataset, speech, text, interleave, notes, key, device })
    }

    /// Micro-batches of a round.
    fn kinds(&self) -> usize {
        let both = self.speech.is_some() && self.text.is_some();
        if both && self.config.modalities == Modalities::Paired { 2 } else { 1 }
    }

    /// What a batch is made of.
    fn draw(&self, id: BatchId) -> Draw<'_> {
        let held_out = || {
            let speech = self.speech.iter().filter(|stream| !stream.validation.is_empty());
            let speech = speech.map(|stream| Draw::Speech(stream, stream.validation.clone()));
            let text = self.text.iter().flat_map(|stream| stream.held_out.iter().map(move |batch| (stream, batch)));
            let noise = self.key.fold("validation");
            speech.chain(text.map(move |(stream, batch)| Draw::Text(stream, stream.held_out(batch.clone(), noise))))
        };
        let (update, micro) = match id {
            BatchId::Train { update, micro } => (update, micro),
            BatchId::Valid(index) => return held_out().nth(index).expect("validation batches are counted"),
        };
        let (round, kind) = (update * self.config.accumulate + micro / self.kinds(), micro % self.kinds());
        let (speech, position) = match (&self.speech, &self.text) {
            (Some(speech), None) => (Some(speech), round),
            (None, _) => (None, round),
            (Some(speech), Some(_)) => match self.config.modalities {
                Modalities::Paired => (Some(speech).filter(|_| kind == 0), round),
                Modalities::Shuffled => {
                    let draw = self.interleave.at(round);
                    (Some(speech).filter(|_| draw.stream == 0), draw.position)
                }
            },
        };
        match (speech, &self.text) {
            (Some(stream), _) => {
                let utterances = stream.batches.at(position).into_iter().map(|n| stream.utterances[n]).collect();
                Draw::Speech(stream, utterances)
            }
            (None, Some(stream)) => Draw::Text(stream, stream.at(position, self.key.fold("noise"))),
            (None, None) => unreachable!("an objective has a modality"),
        }
    }

    fn speech_data(&self, stream: &SpeechStream, indices: &[usize], key: Key) -> Result<SpeechData, ModelError> {
        let part = &stream.part;
        let audio = self.dataset.audio(indices)?;
        let shortest = audio.iter().map(|item| item.len()).min().expect("a batch has items");
        let size = shortest.min(part.longest());
        let count = indices.len();
        let mut data = SpeechData {
            crops: Vec::with_capacity(count),
            masked: Vec::new(),
            classes: Vec::with_capacity(count),
            windows: Vec::with_capacity(count),
            full: Vec::with_capacity(count),
            speakers: self.dataset.speaker_vectors(indices)?,
        };
        for (n, (&index, item)) in indices.iter().zip(&audio).enumerate() {
            let start = crop::start(item.len(), size, key.fold(n));
            data.crops.push(item[start..start + size].to_vec());
            let units = &stream.units[index];
            let labels = crop::label_window(start, size, vocable_data::corpus::RATE, LABEL_RATE, units.len());
            data.classes.push(units[labels].iter().map(|&unit| MlmHead::class(unit)).collect());
            let mel = self.dataset.mel(index)?;
            let frames = crop::mel_window(start, size, item.len(), mel.len());
            data.windows.push(mel.data[frames.start * mel.width..frames.end * mel.width].to_vec());
            data.full.push(mel.len());
        }
        let frames = self.model.extractor().frames(size).min(data.classes.iter().map(Vec::len).min().unwrap_or(0));
        data.classes.iter_mut().for_each(|labels| labels.truncate(frames));
        let mask = SpanMask { probability: part.mask_probability, length: part.mask_length, minimum: 2 };
        data.masked = compute_mask_indices(&vec![frames; count], frames, mask, key);
        Ok(data)
    }

    fn speech_batch(&self, part: &SpeechPart, data: &SpeechData, device: &Device) -> SpeechBatch {
        let ModelConfig { mel, reduction, .. } = self.model;
        let (windows, full, speakers) = (&data.windows, &data.full, &data.speakers);
        SpeechBatch {
            waveforms: Waveforms::new(&data.crops, device),
            masked: data.masked.clone(),
            classes: data.classes.clone(),
            target: SpeechTarget::new(windows, full, mel, reduction, part.stop_labels, speakers, device),
        }
    }

    fn text_batch(&self, data: &TextData, device: &Device) -> TextBatch {
        let pad = self.dataset.vocabulary.pad();
        let shifted = |tokens: &Vec<u32>| {
            let (&last, rest) = tokens.split_last().expect("a sentence has its marks");
            std::iter::once(last).chain(rest.iter().copied()).collect()
        };
        let input: Vec<Vec<u32>> = data.clean.iter().map(shifted).collect();
        TextBatch {
            noised: Tokens::new(&data.noised, pad, device),
            input: Tokens::new(&input, pad, device),
            target: data.clean.clone(),
        }
    }
}

impl SpeechStream {
    fn new(
        part: &SpeechPart,
        dataset: &Dataset,
        units: Arc<Vec<Vec<u32>>>,
        key: Key,
        notes: &mut Vec<String>,
    ) -> Result<Self, ModelError> {
        let long_enough = |&index: &usize| dataset.declared_samples(index) >= part.min_samples;
        let why = format!("shorter than pretrain.task.speech.min_samples = {} samples", part.min_samples);
        let name = |&index: &usize| dataset.utterance(index).id.clone();
        let utterances = keep(dataset.split(Split::Train), "training utterances", &why, long_enough, name, notes);
        if utterances.is_empty() {
            let message = format!(
                "no training utterance has {} samples or more: lower pretrain.task.speech.min_samples",
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
    fn new(
        part: &TextPart,
        dataset: &Dataset,
        sentences: &[String],
        key: Key,
        notes: &mut Vec<String>,
    ) -> Result<Self, ModelError> {
        let vocabulary = &dataset.vocabulary;
        let marked = |text: &str| marked(vocabulary, text);
        let limit = part.max_tokens.min(part.batch_tokens);
        let why = format!("longer than pretrain.task.text.max_tokens (or batch_tokens) = {limit} tokens");
        let numbered = sentences.iter().enumerate().map(|(n, text)| (n, marked(text))).collect();
        let fits = |(_, tokens): &(usize, Vec<u32>)| tokens.len() <= limit;
        let kept = keep(numbered, "sentences", &why, fits, |(n, _)| sentence_name(*n), notes);
        let sentences: Vec<Vec<u32>> = kept.into_iter().map(|(_, tokens)| tokens).collect();
        if sentences.is_empty() {
            let message = format!("no sentence has {limit} tokens or fewer");
            return Err(ModelError::Unsuitable { task: "text pre-training", message });
        }
        let lengths: Vec<[usize; 1]> = sentences.iter().map(|tokens| [tokens.len()]).collect();
        let limits = Limits { max_tokens: part.batch_tokens, max_items: part.batch_items };
        let noise = part.noise(vocabulary);
        let texts = dataset.split(Split::Valid).into_iter().map(|index| dataset.utterance(index).text.as_str());
        let mut validation: Vec<Vec<u32>> = texts.filter(|text| !text.is_empty()).map(marked).collect();
        validation.retain(|tokens| tokens.len() <= limit);
        validation.truncate(part.batch_items);
        // No less than the paper's batch, whatever training's is: use of the codes is counted batch by batch.
        let held_out = cut(&validation, part.batch_tokens.max(TextPart::base().batch_tokens));
        Ok(Self { batches: BatchSampler::new(&lengths, limits, key)?, sentences, noise, validation, held_out })
    }

    /// The sentences of a draw. A sentence's noise belongs to it and the epoch, not to the batch it is in (spec section
    /// 5.3).
    fn at(&self, position: usize, noise: Key) -> Vec<(String, &Vec<u32>, Key)> {
        let noise = noise.fold(position / self.batches.batches_per_epoch());
        let drawn = self.batches.at(position).into_iter();
        drawn.map(|n| (sentence_name(n), &self.sentences[n], noise.fold(n))).collect()
    }

    fn held_out(&self, batch: Range<usize>, noise: Key) -> Vec<(String, &Vec<u32>, Key)> {
        batch.map(|n| (sentence_name(n), &self.validation[n], noise.fold(n))).collect()
    }
}

/// Cuts sentences, in their order, into batches of so many tokens at most with their padding.
fn cut(sentences: &[Vec<u32>], tokens: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut longest) = (0, 0);
    for (n, sentence) in sentences.iter().enumerate() {
        longest = longest.max(sentence.len());
        if n > start && longest * (n + 1 - start) > tokens {
            batches.push(start..n);
            (start, longest) = (n, sentence.len());
        }
    }
    batches.extend((start < sentences.len()).then_some(start..sentences.len()));
    batches
}

fn sentence_name(n: usize) -> String {
    format!("sentence {n}")
}

/// `<s> x </s>` (spec section 5.3).
fn marked(vocabulary: &CharVocabulary, text: &str) -> Vec<u32> {
    let tokens = vocabulary.encode(text);
    std::iter::once(vocabulary.bos()).chain(tokens).chain([vocabulary.eos()]).collect()
}

impl Objective<Pretrainer> for Pretraining {
    type Data = PretrainData;

    fn micro_batches(&self) -> usize {
        self.kinds() * self.config.accumulate
    }

    fn validation_batches(&self) -> usize {
        let speech = self.speech.iter().filter(|stream| !stream.validation.is_empty()).count();
        speech + self.text.iter().map(|stream| stream.held_out.len()).sum::<usize>()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<PretrainData>, ObjectiveError> {
        Ok(match self.draw(id) {
            Draw::Speech(stream, indices) => {
                let key = match id {
                    BatchId::Train { update, micro } => update_key(self.key, update, micro).fold("batch"),
                    BatchId::Valid(_) => self.key.fold("validation"),
                };
                let batch = |indices: &[usize]| {
                    let data = self.speech_data(stream, indices, key)?;
                    let heard = Sequences::new("audio", data.crops.iter().map(Vec::len));
                    let bytes = 4 * (heard.valid + data.windows.iter().map(Vec::len).sum::<usize>());
                    let utterances = self.dataset.names(indices);
                    let (data, sequences) = (PretrainData::Speech(data), vec![heard]);
                    Ok(Batch { data, utterances, sequences, bytes, left_out: Vec::new() })
                };
                usable(&indices, batch, bad_file, |&index| self.dataset.utterance(index).id.clone())?
            }
            Draw::Text(stream, sentences) => {
                let noised: Vec<Vec<u32>> =
                    sentences.iter().map(|&(_, tokens, key)| stream.noise.infill(tokens, key)).collect();
                let read = Sequences::new("text", noised.iter().map(Vec::len));
                let clean: Vec<Vec<u32>> = sentences.iter().map(|&(_, tokens, _)| tokens.clone()).collect();
                let written = Sequences::new("target text", clean.iter().map(Vec::len));
                Batch {
                    data: PretrainData::Text(TextData { noised, clean }),
                    utterances: sentences.into_iter().map(|(name, ..)| name).collect(),
                    sequences: vec![read, written],
                    bytes: 4 * (read.valid + written.valid),
                    left_out: Vec::new(),
                }
            }
        })
    }

    fn losses(&self, model: &Pretrainer, data: &PretrainData, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (key, device) = id.pass(self.key, &self.device);
        let (update, mode) = (id.update().unwrap_or(0), Mode::from(key));
        Ok(match data {
            PretrainData::Speech(data) => {
                let part = &self.speech.as_ref().expect("a speech batch has a stream").part;
                let batch = self.speech_batch(part, data, &device);
                model.speech(&self.config, part, &batch, update, mode, None).0
            }
            PretrainData::Text(data) => model.text(&self.config, &self.text_batch(data, &device), update, mode, None).0,
        })
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl std::fmt::Debug for Pretraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pretraining").field("config", &self.config).finish_non_exhaustive()
    }
}
