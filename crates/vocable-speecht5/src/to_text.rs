//! The tasks that turn speech into text, by attention and, for transcripts, CTC together: one recipe and one objective
//! for whatever text it is (spec sections 6.1 and 6.3).

mod hearing;
mod objective;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocable_data::manifest::{Split, Utterance};
use vocable_data::mask::SpanMask;
use vocable_decode::ctc_greedy;
use vocable_metrics::{EditCounts, align};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_objectives::{Losses, cross_entropy, ctc_loss};
use vocable_text::Vocabulary;

use crate::batch::Waveforms;
use crate::data::Dataset;
use crate::{EncodedSpeech, Regularisation, SpeechT5};

pub use hearing::{Heard, Written, prefix_scorers};
pub use objective::{TextData, ToText};

/// The text that the decoder writes.
pub trait TextOutput: Clone + Debug + Send + Sync + 'static {
    /// What keys, stages and the terms of the loss call the task.
    const TASK: &'static str;
    /// What sentences call the task.
    const NAME: &'static str;
    /// Samples of the recordings that are trained on (spec section 6).
    const SAMPLES: RangeInclusive<usize> = 0..=usize::MAX;

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
    /// Samples of a micro-batch (`max_tokens`); a longer utterance is one by itself.
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
    /// `TASK/cross_entropy` and `TASK/ctc`, the decoder's accuracy, and in evaluation what CTC alone gets wrong: `TASK/ctc_errors`, its
    /// edits as a share of the labels.
    pub losses: Losses,
    /// The encoder's part.
    pub encoded: EncodedSpeech,
    /// `[batch, tokens, vocabulary]`.
    pub logits: Tensor<3>,
    /// `[batch, frames, vocabulary]`; none where CTC has no weight.
    pub ctc_logits: Option<Tensor<3>>,
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
        let mut ctc_logits = None;
        if self.ctc != 0.0 {
            let heard = model.ctc_logits(encoded.states.clone(), mode.fold("ctc"));
            let labels: Vec<Vec<u32>> = batch
                .target
                .iter()
                .map(|target| target.iter().copied().filter(|&token| token != eos).collect())
                .collect();
            let ctc = ctc_loss(heard.clone(), &encoded.lengths, &labels, blank, self.zero_infinity);
            losses =
                losses.add(&name("ctc"), self.ctc, ctc.sum / count).log(&name("ctc_infeasible"), ctc.infeasible as f64);
            if !mode.is_train() {
                let found = ctc_greedy(heard.clone(), &encoded.lengths, blank);
                let edits: EditCounts =
                    labels.iter().zip(&found).map(|(said, found)| align(said, found).counts()).sum();
                losses = losses.log(&name("ctc_errors"), edits.errors() as f64 / edits.reference().max(1) as f64);
            }
            ctc_logits = Some(heard);
        }
        TextPass { losses, encoded, logits, ctc_logits }
    }
}
