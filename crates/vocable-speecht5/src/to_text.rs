//! The tasks that turn speech into text, by attention and, for transcripts, CTC together: one recipe and one objective
//! for whatever text it is (spec sections 6.1 and 6.3).

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use vocable_audio::resample;
use vocable_data::corpus::RATE;
use vocable_data::manifest::{Split, Utterance};
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_data::sampler::Limits;
use vocable_decode::{
    BeamConfig, Companions, CtcPrefixScorer, TextLimits, TextStepper, beam_search, ctc_greedy, greedy,
};
use vocable_lm::Fusion;
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_objectives::{Losses, cross_entropy, ctc_loss};
use vocable_random::Key;
use vocable_text::Vocabulary;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use crate::batch::Waveforms;
use crate::data::{Dataset, bad_file, in_order, sample};
use crate::decode::TextDecoding;
use crate::pretrain::mask_tensor;
use crate::{EncodedSpeech, ModelConfig, ModelError, Regularisation, SpeechT5};

/// The text that the decoder writes.
pub trait TextOutput: Clone + Debug + Send + Sync + 'static {
    /// What keys, stages and the terms of the loss call the task.
    const TASK: &'static str;
    /// What sentences call the task.
    const NAME: &'static str;

    /// The text of an utterance, if the corpus has it.
    fn text<'a>(&self, utterance: &'a Utterance) -> Option<&'a str>;

    /// Utterances of a split that have it.
    fn utterances(&self, dataset: &Dataset, split: Split) -> Vec<usize> {
        let mut utterances = dataset.split(split);
        utterances.retain(|&index| self.text(dataset.utterance(index)).is_some());
        utterances
    }
}

/// The recipe of a task, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTaskConfig<O> {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Samples of a micro-batch (`max_tokens`); longer utterances are left out.
    pub batch_samples: usize,
    /// Utterances of a micro-batch at most.
    pub batch_items: usize,
    /// Micro-batches of an update (`update_freq`).
    pub micro_batches: usize,
    /// Longer texts are left out of training, in tokens.
    pub max_tokens: usize,
    /// Weight of the attention decoder's cross-entropy.
    pub cross_entropy: f64,
    /// Weight of the CTC loss; zero removes it.
    pub ctc: f64,
    /// What the summed losses are divided by (table D32).
    pub normalise: Normalise,
    /// Whether an utterance that CTC cannot align counts nothing instead of infinity (table D33).
    pub zero_infinity: bool,
    /// Label smoothing of the cross-entropy.
    pub label_smoothing: f64,
    /// Factors of tempo and pitch, of which every utterance of a training batch draws one: 1 plays as recorded (Ko et al.
    /// 2015, "Audio augmentation for speech recognition"). Empty, as in the paper, plays everything as recorded.
    pub speeds: Vec<f64>,
    /// Share of the decoder's input characters that are hidden behind `<mask>` in training, so that it cannot say by heart
    /// what it should hear (Bowman et al. 2016, "word dropout"); zero in the paper.
    pub token_dropout: f64,
    /// Masked spans over time; none switches them off.
    pub time_mask: Option<MaskConfig>,
    /// Masked spans of channels; none switches them off.
    pub channel_mask: Option<MaskConfig>,
    /// Updates at the beginning in which pre-net and encoder stay as they are.
    pub freeze_encoder_updates: usize,
    /// Whether padding, blank and mask are never generated (table D15).
    pub suppress_special: bool,
    /// What the decoder writes.
    pub output: O,
}

/// Masked spans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    /// Share of masked positions before overlaps.
    pub probability: f64,
    /// Positions of a span.
    pub length: usize,
}

impl MaskConfig {
    pub(crate) fn spans(self, minimum: usize) -> SpanMask {
        SpanMask { probability: self.probability, length: self.length, minimum }
    }
}

/// What summed losses are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// The number of utterances (`sentence_avg`).
    Sentence,
    /// The number of target tokens.
    Token,
}

/// A batch of utterances with their texts.
#[derive(Clone, Debug)]
pub struct TextBatch {
    /// Waveforms.
    pub waveforms: Waveforms,
    /// Frames and channels hidden from the encoder.
    pub masks: SpeechMasks,
    /// `</s> x`, the decoder's input.
    pub input: Tokens,
    /// `x </s>` per utterance.
    pub target: Vec<Vec<u32>>,
}

/// Loss of a batch, with what decoding needs beside it.
#[derive(Clone, Debug)]
pub struct TextPass {
    /// `TASK/cross_entropy` and `TASK/ctc`, accuracy.
    pub losses: Losses,
    /// The encoder's part.
    pub encoded: EncodedSpeech,
    /// `[batch, tokens, vocabulary]`.
    pub logits: Tensor<3>,
    /// `[batch, frames, vocabulary]`.
    pub ctc_logits: Tensor<3>,
}

impl<O: TextOutput> TextTaskConfig<O> {
    /// Tokens that are never generated.
    pub fn suppressed(&self, vocabulary: &dyn Vocabulary) -> Vec<u32> {
        match self.suppress_special {
            true => vec![vocabulary.pad(), vocabulary.mask(), vocabulary.blank()],
            false => Vec::new(),
        }
    }

    /// The losses of one batch. `frozen` keeps gradients from pre-net and encoder; the CTC head trains all the same.
    pub fn pass(
        &self,
        model: &SpeechT5,
        batch: &TextBatch,
        eos: u32,
        blank: u32,
        frozen: bool,
        mode: Mode,
    ) -> TextPass {
        let waveforms = &batch.waveforms;
        let encode = |model: &SpeechT5, samples, masks: &SpeechMasks| {
            model.encode_speech(samples, &waveforms.lengths, None, masks, mode)
        };
        let samples = waveforms.samples.clone();
        let encoded = match frozen {
            // Without a graph from the start: what a detached one holds would stay in memory.
            true => {
                let encoded = encode(&model.valid(), samples.clone().inner(), &batch.masks.clone().inner());
                encoded.constant_beside(&samples)
            }
            false => encode(model, samples, &batch.masks),
        };
        let memory = encoded.states.clone();
        let logits = model.decode_text(&batch.input, memory, &encoded.lengths, mode.fold("decode"));
        let attention = cross_entropy(logits.clone(), &batch.target, self.label_smoothing);
        let count = match self.normalise {
            Normalise::Sentence => attention.sentences,
            Normalise::Token => attention.tokens,
        } as f64;
        let name = |term: &str| format!("{}/{term}", O::TASK);
        let mut losses = Losses::new(&logits.device())
            .add(&name("cross_entropy"), self.cross_entropy, attention.sum.clone() / count)
            .log(&name("accuracy"), attention.accuracy());
        let ctc_logits = model.ctc_logits(encoded.states.clone(), mode.fold("ctc"));
        if self.ctc != 0.0 {
            let labels: Vec<Vec<u32>> = batch
                .target
                .iter()
                .map(|target| target.iter().copied().filter(|&token| token != eos).collect())
                .collect();
            let ctc = ctc_loss(ctc_logits.clone(), &encoded.lengths, &labels, blank, self.zero_infinity);
            losses =
                losses.add(&name("ctc"), self.ctc, ctc.sum / count).log(&name("ctc_infeasible"), ctc.infeasible as f64);
        }
        TextPass { losses, encoded, logits, ctc_logits }
    }
}

/// The objective over a corpus.
#[derive(Debug)]
pub struct ToText<O> {
    config: TextTaskConfig<O>,
    model: ModelConfig,
    dataset: Arc<Dataset>,
    vocabulary: Arc<dyn Vocabulary>,
    utterances: Items<usize>,
    notes: Vec<String>,
    key: Key,
    device: Device,
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

/// What was said and what was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Utterance.
    pub id: String,
    /// Its text in the manifest.
    pub reference: String,
    /// What was heard.
    #[serde(flatten)]
    pub heard: Heard,
}

/// What was heard in a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Beam search by the attention decoder and CTC together, and by a language model where there was one.
    pub joint: String,
    /// Greedy decoding by the attention decoder alone.
    pub attention: String,
    /// Greedy decoding by CTC alone.
    pub ctc: String,
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
        let (task, samples, most) = (O::TASK, config.batch_samples, config.max_tokens);
        let usable = |index: &usize| frames(*index) > 0 && tokens(*index) > 0;
        let aligns = |index: &usize| config.ctc == 0.0 || frames(*index) >= texts[index][1];
        type Fits<'a> = &'a dyn Fn(&usize) -> bool;
        let limits: [(String, Fits); 4] = [
            (format!("longer than {task}.task.batch_samples = {samples} samples"), &|&index| {
                dataset.declared_samples(index) <= samples
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
            let message = format!("no training utterance fits {task}.task.batch_samples and {task}.task.max_tokens");
            return Err(ModelError::Unsuitable { task: O::NAME, message });
        }
        valid.retain(usable);
        let valid = sample(&valid, validation);
        let length = |index: usize| [dataset.declared_samples(index), tokens(index) + 1];
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

    /// Decodes utterances, `batch` at a time, as [`Self::hear`] does; `progress` hears how many are done, and may stop it.
    ///
    /// # Errors
    /// An unusable recording, by name; what `progress` says.
    pub fn write<E: From<ModelError>>(
        &self,
        model: &SpeechT5,
        indices: &[usize],
        batch: usize,
        search: &BeamConfig,
        lm: Option<&Fusion>,
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Written>, E> {
        let mut written = Vec::with_capacity(indices.len());
        // Utterances of one length pad each other least; the first block's norm hears padding.
        let order = self.dataset.by_length(indices, |&index| index);
        for rows in order.chunks(batch) {
            let indices: &Vec<usize> = &rows.iter().map(|&row| indices[row]).collect();
            let heard = self.hear(model, &self.dataset.audio(indices)?, search, lm);
            written.extend(indices.iter().zip(heard).map(|(&index, heard)| {
                let utterance = self.dataset.utterance(index);
                let reference = self.config.output.text(utterance).unwrap_or_default().to_owned();
                Written { id: utterance.id.clone(), reference, heard }
            }));
            progress(written.len())?;
        }
        Ok(in_order(written, &order))
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

    /// Decodes recordings (16 kHz) together: by beam search, with a language model if there is one, and, for comparison,
    /// greedily by each head alone. The search writes as many tokens at most as the longest of the recordings has frames; the
    /// attention decoder alone no more than its own recording has. In recordings too short for a frame nothing is heard.
    pub fn hear(
        &self,
        model: &SpeechT5,
        audio: &[impl AsRef<[f32]>],
        search: &BeamConfig,
        lm: Option<&Fusion>,
    ) -> Vec<Heard> {
        let extractor = self.model.extractor();
        let audible = |audio: &&[f32]| extractor.frames(audio.len()) > 0;
        let audio: Vec<&[f32]> = audio.iter().map(AsRef::as_ref).collect();
        let long: Vec<&[f32]> = audio.iter().copied().filter(audible).collect();
        if long.is_empty() {
            return vec![Heard::default(); audio.len()];
        }
        let mut heard = self.hear_audible(model, &long, search, lm).into_iter();
        let one = |audio: &&[f32]| match audible(audio) {
            true => heard.next().expect("one for each that is heard"),
            false => Heard::default(),
        };
        audio.iter().map(one).collect()
    }

    fn hear_audible(&self, model: &SpeechT5, audio: &[&[f32]], search: &BeamConfig, lm: Option<&Fusion>) -> Vec<Heard> {
        let vocabulary = &self.vocabulary;
        let suppressed = self.config.suppressed(&**vocabulary);
        let waveforms = Waveforms::new(audio, &self.device.clone().inner());
        let encoded =
            model.encode_speech(waveforms.samples, &waveforms.lengths, None, &SpeechMasks::default(), Mode::Eval);
        let ctc_logits = model.ctc_logits(encoded.states.clone(), Mode::Eval);
        let ctc = ctc_greedy(ctc_logits.clone(), &encoded.lengths, vocabulary.blank());
        // A head that did not learn has nothing to say in the search.
        let ctc_weight = if self.config.ctc == 0.0 { 0.0 } else { search.ctc_weight };
        let scorers = match ctc_weight != 0.0 {
            true => prefix_scorers(ctc_logits, &encoded.lengths, vocabulary.blank(), vocabulary.eos()),
            false => Vec::new(),
        };
        let limits = TextLimits {
            start: vocabulary.eos(),
            end: vocabulary.eos(),
            min_length: 1,
            // No language spells more than one character per 20 ms frame, here of the longest recording.
            max_length: encoded.states.dims()[1].min(self.config.max_tokens),
        };
        let mut stepper = TextDecoding::new(model, &encoded.states, &encoded.lengths);
        let found = greedy(&mut stepper, audio.len(), &limits, &suppressed);
        let mut stepper = TextDecoding::new(model, &encoded.states, &encoded.lengths);
        let mut lm = lm.map(|lm| lm.stepper(audio.len()));
        let language_model = lm.as_mut().map(|lm| lm as &mut dyn TextStepper);
        let companions = Companions { ctc: &scorers, language_model };
        let search = BeamConfig { ctc_weight, ..*search };
        let joint = beam_search(&mut stepper, companions, audio.len(), &limits, &suppressed, &search);
        let together = found.into_iter().zip(ctc).zip(joint).zip(&encoded.lengths);
        together
            .map(|(((mut attention, ctc), joint), &length)| {
                // Its own limit, whatever its neighbours allow; the beam has searched up to theirs.
                attention.tokens.truncate(length);
                Heard {
                    joint: joint.first().map_or_else(String::new, |best| vocabulary.decode(&best.tokens)),
                    attention: vocabulary.decode(&attention.tokens),
                    ctc: vocabulary.decode(&ctc),
                }
            })
            .collect()
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

/// CTC's view of every utterance of a batch, from logits `[batch, frames, vocabulary]`.
pub fn prefix_scorers(logits: Tensor<3>, lengths: &[usize], blank: u32, end: u32) -> Vec<CtcPrefixScorer> {
    let [_, frames, classes] = logits.dims();
    let host = activation::log_softmax(logits, 2).try_into_vec_as::<f32>().expect("log-probabilities are floats");
    let items = host.chunks_exact((frames * classes).max(1)).zip(lengths);
    items.map(|(item, &length)| CtcPrefixScorer::new(&item[..length * classes], classes, blank, end)).collect()
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
        let (frozen, mode, device) = match id {
            BatchId::Train { update, micro } => (
                update < self.config.freeze_encoder_updates,
                Mode::Train(update_key(self.key, update, micro).fold("model")),
                self.device.clone(),
            ),
            BatchId::Valid(_) => (false, Mode::Eval, self.device.clone().inner()),
        };
        let batch = self.on_device(data, &device);
        Ok(self.config.pass(model, &batch, vocabulary.eos(), vocabulary.blank(), frozen, mode).losses)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
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
