//! Joint pre-training: masked prediction and reconstruction of speech, infilling of text, a quantizer between them
//! (paper section 2.3, spec section 5).

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocable_data::interleave::Interleave;
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_data::{crop, manifest::Split};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_objectives::quantizer::{Choices, Quantized, Quantizer, QuantizerConfig};
use vocable_objectives::{
    Losses, MlmHead, SpectrogramDistance, StopLabels, cross_entropy, feature_penalty, spectrogram_loss, stop_loss,
};
use vocable_random::Key;
use vocable_text::{CharVocabulary, Infilling};
use vocable_train::{Batch, Objective, ObjectiveError};

use crate::batch::{SpeechTarget, Waveforms};
use crate::data::Dataset;
use crate::{ModelConfig, ModelError, Regularisation, SpeechT5};

/// Labels per second of the masked prediction.
const LABEL_RATE: f64 = 50.0;

/// What is pre-trained on, and how the parts weigh; a part that is none is absent from the loss and from its report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Speech batches; none trains on text alone.
    pub speech: Option<SpeechPart>,
    /// Text batches; none trains on speech alone.
    pub text: Option<TextPart>,
    /// The cross-modal quantizer; none trains both modalities without it ("w/o joint PT").
    pub quantizer: Option<QuantizerConfig>,
    /// Weight γ of the quantizer's diversity loss, in both modalities.
    pub diversity: f64,
    /// Weight of the loss that pulls codes and states together, where the quantizer computes it.
    pub codebook: f64,
    /// How micro-batches of the two modalities follow each other (table D21).
    pub modalities: Modalities,
    /// Rounds of micro-batches per update (`update_freq`): a round is one of each modality if paired, else one.
    pub accumulate: usize,
    /// Dropouts.
    pub regularisation: Regularisation,
}

/// Order of the two modalities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modalities {
    /// Every update has one micro-batch of each; the gradient is their mean.
    Paired,
    /// Every update has one micro-batch; both kinds follow each other in random order, equally often.
    Shuffled,
}

/// The speech part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechPart {
    /// Shorter utterances are left out, in samples.
    pub min_samples: usize,
    /// Longer utterances are cropped, in samples.
    pub max_samples: usize,
    /// Samples of a micro-batch (`max_tokens`).
    pub batch_samples: usize,
    /// Utterances of a micro-batch at most.
    pub batch_items: usize,
    /// Share of masked frames before overlaps (`mask_prob`).
    pub mask_probability: f64,
    /// Frames of a masked span (`mask_length`).
    pub mask_length: usize,
    /// Width of the label embeddings (`final_dim`).
    pub label_width: usize,
    /// Weight of the masked prediction L_mlm.
    pub mlm: f64,
    /// Weight of the same prediction at the frames that are not masked (`pred_nomask_weight`): 0 in every published
    /// run; short runs learn to hear faster with it. Scaled by `mlm`, so that a weight of zero there removes both.
    pub mlm_unmasked: f64,
    /// Weight of the mean square of the convolutional features (table D25).
    pub feature_penalty: f64,
    /// Weight of each of the two spectrogram distances.
    pub spectrogram: f64,
    /// Distance of predicted and true log-mels.
    pub distance: SpectrogramDistance,
    /// Weight of the stop prediction.
    pub stop: f64,
    /// Weight of a positive stop label.
    pub stop_positive: f64,
    /// Which frames carry a stop label (table D42).
    pub stop_labels: StopLabels,
}

/// The text part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextPart {
    /// Tokens of a micro-batch.
    pub batch_tokens: usize,
    /// Sentences of a micro-batch at most.
    pub batch_items: usize,
    /// Longer sentences are left out, in tokens.
    pub max_tokens: usize,
    /// Share of the tokens that are removed or replaced.
    pub mask_ratio: f32,
    /// Mean span length λ, in tokens.
    pub poisson_lambda: f64,
    /// Share of the spans that become a random token.
    pub mask_random: f64,
}

impl SpeechPart {
    /// Samples of the longest crop: one utterance never exceeds a batch.
    fn longest(&self) -> usize {
        self.max_samples.min(self.batch_samples)
    }
}

/// A [`SpeechT5`] with what only pre-training needs.
#[derive(Module, Debug)]
pub struct Pretrainer {
    /// The model that fine-tuning starts from.
    pub core: SpeechT5,
    /// Masked prediction of units.
    pub mlm: MlmHead,
    /// The cross-modal quantizer.
    pub quantizer: Option<Quantizer>,
}

/// A speech micro-batch.
#[derive(Clone, Debug)]
pub struct SpeechBatch {
    /// Clean waveforms.
    pub waveforms: Waveforms,
    /// Frames hidden from the encoder, true = masked: `[batch][frames]`.
    pub masked: Vec<Vec<bool>>,
    /// Class of each frame, `[batch][frames]` (see [`MlmHead::class`]).
    pub classes: Vec<Vec<u32>>,
    /// What the decoder must reconstruct.
    pub target: SpeechTarget,
}

/// A text micro-batch.
#[derive(Clone, Debug)]
pub struct TextBatch {
    /// Noised sentences.
    pub noised: Tokens,
    /// Clean sentences moved right behind their last token.
    pub input: Tokens,
    /// Clean sentences.
    pub target: Vec<Vec<u32>>,
}

/// Inner states of a pass, for parity tests.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Named tensors in the order of computation.
    pub states: Vec<(&'static str, Tensor<3>)>,
}

/// Random choices of a pass that a parity test replaces by another implementation's.
#[derive(Clone, Debug)]
pub struct Forced {
    /// Mixed indices and Gumbel noise.
    pub choices: Choices,
    /// Temperature of the Gumbel-softmax.
    pub temperature: f64,
    /// Whether the always-on dropout is off.
    pub quiet: bool,
}

impl Pretrainer {
    /// Draws everything.
    pub fn new(
        model: &ModelConfig,
        config: &PretrainConfig,
        vocabulary: usize,
        pad: u32,
        clusters: usize,
        key: Key,
        device: &Device,
    ) -> Self {
        let init = model.initial(key, device);
        let label_width = config.speech.as_ref().map_or(1, |speech| speech.label_width);
        Self {
            core: model.init(vocabulary, pad, &config.regularisation, key, device),
            mlm: MlmHead::new(model.width, label_width, clusters, &init.fold("mlm")),
            quantizer: config
                .quantizer
                .map(|quantizer| Quantizer::new(quantizer, model.width, &init.fold("quantizer"))),
        }
    }

    /// Losses of a speech micro-batch (spec section 5.2).
    pub fn speech(
        &self,
        config: &PretrainConfig,
        part: &SpeechPart,
        batch: &SpeechBatch,
        update: usize,
        mode: Mode,
        forced: Option<&Forced>,
    ) -> (Losses, Trace) {
        let device = batch.waveforms.samples.device();
        let max_frames = batch.classes.iter().map(Vec::len).min();
        let masks = SpeechMasks { time: Some(mask_tensor(&batch.masked, &device)), channel: None };
        let encoded = self.core.encode_speech(
            batch.waveforms.samples.clone(),
            &batch.waveforms.lengths,
            max_frames,
            &masks,
            mode,
        );
        let mut losses = Losses::new(&device);
        if part.mlm != 0.0 {
            let prediction = self.mlm.forward(encoded.states.clone(), &encoded.lengths, &batch.masked, &batch.classes);
            losses = losses
                .add("speech/mlm", part.mlm, prediction.loss.clone())
                .log("speech/mlm_accuracy", prediction.accuracy());
            if part.mlm_unmasked != 0.0 {
                let heard: Vec<Vec<bool>> =
                    batch.masked.iter().map(|mask| mask.iter().map(|masked| !masked).collect()).collect();
                let prediction = self.mlm.forward(encoded.states.clone(), &encoded.lengths, &heard, &batch.classes);
                losses = losses
                    .add("speech/mlm_unmasked", part.mlm * part.mlm_unmasked, prediction.loss.clone())
                    .log("speech/mlm_unmasked_accuracy", prediction.accuracy());
            }
        }
        losses = losses.add("speech/feature_penalty", part.feature_penalty, feature_penalty(encoded.features.0));
        let (memory, losses) =
            self.mix(config, "speech", encoded.states.clone(), &encoded.lengths, update, mode, forced, losses);
        // The always-on dropout of the pre-net needs a key in evaluation too; any fixed one makes it reproducible.
        let noise = mode.key().unwrap_or(Key::new(0)).fold("prenet_noise");
        let noise = (!forced.is_some_and(|forced| forced.quiet)).then_some(noise);
        let target = &batch.target;
        let decoded = self.core.decode_speech(
            target.input.clone(),
            &target.steps,
            Some(target.speaker.clone()),
            memory.clone(),
            &encoded.lengths,
            noise,
            false,
            mode.fold("decode"),
        );
        let output = self.core.speech_decoder_postnet.forward(decoded.states.clone(), mode.fold("postnet"));
        let distance = |predicted: &Tensor<3>| {
            spectrogram_loss(predicted.clone(), target.frames.clone(), &target.lengths, part.distance)
        };
        let stop = stop_loss(output.stop.clone(), target.stop.clone(), &target.lengths, part.stop_positive);
        let losses = losses
            .add("speech/spectrogram_before", part.spectrogram, distance(&output.before))
            .add("speech/spectrogram_after", part.spectrogram, distance(&output.after))
            .add("speech/stop", part.stop, stop);
        let states = vec![
            ("encoder_in", encoded.input),
            ("encoder_out", encoded.states),
            ("decoder_memory", memory),
            ("decoder_out", decoded.states),
            ("mel_before", output.before),
            ("mel_after", output.after),
            ("stop_logits", output.stop.unsqueeze_dim(2)),
        ];
        (losses, Trace { states })
    }

    /// Losses of a text micro-batch (spec section 5.3).
    pub fn text(
        &self,
        config: &PretrainConfig,
        batch: &TextBatch,
        update: usize,
        mode: Mode,
        forced: Option<&Forced>,
    ) -> (Losses, Trace) {
        let states = self.core.encode_text(&batch.noised, mode);
        let losses = Losses::new(&states.device());
        let lengths = &batch.noised.lengths;
        let (memory, losses) = self.mix(config, "text", states.clone(), lengths, update, mode, forced, losses);
        let logits = self.core.decode_text(&batch.input, memory.clone(), lengths, mode.fold("decode"));
        let prediction = cross_entropy(logits.clone(), &batch.target, 0.0);
        let losses =
            losses.add("text/cross_entropy", 1.0, prediction.per_token()).log("text/accuracy", prediction.accuracy());
        (losses, Trace { states: vec![("encoder_out", states), ("decoder_memory", memory), ("logits", logits)] })
    }

    /// Mixes codes into encoder states; adds the quantizer's losses and perplexities.
    fn mix(
        &self,
        config: &PretrainConfig,
        modality: &str,
        states: Tensor<3>,
        lengths: &[usize],
        update: usize,
        mode: Mode,
        forced: Option<&Forced>,
        losses: Losses,
    ) -> (Tensor<3>, Losses) {
        let Some(quantizer) = &self.quantizer else { return (states, losses) };
        let Quantized { states, diversity, codebook_loss, code_perplexity, soft_perplexity, .. } = match forced {
            Some(forced) => quantizer.forward_with(states, lengths, &forced.choices, forced.temperature),
            None => quantizer.forward(states, lengths, mode.fold("quantizer"), update),
        };
        let mut losses = losses.add(&format!("{modality}/diversity"), config.diversity, diversity);
        if let Some(pull) = codebook_loss {
            losses = losses.add(&format!("{modality}/codebook"), config.codebook, pull);
        }
        let losses = losses
            .log(&format!("{modality}/code_perplexity"), code_perplexity)
            .log(&format!("{modality}/soft_perplexity"), soft_perplexity);
        (states, losses)
    }
}

/// A host mask as a tensor, `[batch, time]`.
pub(crate) fn mask_tensor(mask: &[Vec<bool>], device: &Device) -> Tensor<2, Bool> {
    let shape = [mask.len(), mask.first().map_or(0, Vec::len)];
    Tensor::from_data(TensorData::new(mask.concat(), shape), device)
}

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
        let lengths: Vec<usize> =
            utterances.iter().map(|&index| dataset.declared_samples(index).min(longest)).collect();
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
        let lengths: Vec<usize> = sentences.iter().map(Vec::len).collect();
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
