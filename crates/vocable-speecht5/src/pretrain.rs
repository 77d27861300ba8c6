//! Joint pre-training: masked prediction and reconstruction of speech, infilling of text, a quantizer between them
//! (paper section 2.3, spec section 5).

mod objective;

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_objectives::quantizer::{Choices, Quantized, Quantizer, QuantizerConfig};
use vocable_objectives::{
    Losses, MlmHead, SpectrogramDistance, StopLabels, cross_entropy, feature_penalty, spectrogram_loss, stop_loss,
};
use vocable_random::Key;
use vocable_text::{CharVocabulary, Infilling};

use crate::batch::{SpeechTarget, Waveforms};
use crate::{ModelConfig, Preset, Regularisation, SpeechT5};

pub use objective::{LABEL_RATE, PretrainData, Pretraining, SpeechData, TextData};

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
    /// Every round of an update (of which it has `accumulate`) has one micro-batch of each; the gradient is their mean.
    Paired,
    /// Every round has one micro-batch; both kinds follow each other in random order, equally often.
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
    /// Weight of the same prediction at the frames that are not masked: 0 in every published run; short runs learn to hear faster
    /// with it. The two are means of their own frames, where the official `pred_nomask_weight` weighs a sum that all frames share.
    /// Scaled by `mlm`, so that a weight of zero there removes both.
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
    /// Share of the spans that become a random token (table D26).
    pub mask_random: f64,
}

impl PretrainConfig {
    /// The recipe of the base model (spec sections 1.2, 4.12 and 5) under a preset's switches; transformers has no
    /// pre-training, so that preset `hf` is the paper's.
    pub fn base(preset: Preset) -> Self {
        let official = preset == Preset::Official;
        Self {
            speech: Some(SpeechPart::base()),
            text: Some(TextPart::base()),
            quantizer: Some(if official { QuantizerConfig::official() } else { QuantizerConfig::paper() }),
            diversity: 0.1,
            codebook: 1.0,
            modalities: if official { Modalities::Shuffled } else { Modalities::Paired },
            accumulate: if official { 2 } else { 1 },
            regularisation: Regularisation::new(0.1, 0.0, [0.05, 0.05], 0.1).preset(preset),
        }
    }

    /// The recipe of the large model (spec section 2): nothing is dropped, and the extractor learns at the full rate.
    pub fn large(preset: Preset) -> Self {
        Self {
            speech: Some(SpeechPart { label_width: 768, ..SpeechPart::base() }),
            regularisation: Regularisation::none(),
            ..Self::base(preset)
        }
    }
}

impl SpeechPart {
    /// The recipe of the base model (spec section 5.2), in which all presets agree.
    pub fn base() -> Self {
        Self {
            min_samples: 32_000,
            max_samples: 250_000,
            batch_samples: 1_400_000,
            batch_items: 1024,
            mask_probability: 0.8,
            mask_length: 10,
            label_width: 256,
            mlm: 1.0,
            mlm_unmasked: 0.0,
            feature_penalty: 10.0,
            spectrogram: 1.0,
            distance: SpectrogramDistance::L1,
            stop: 1.0,
            stop_positive: 5.0,
            stop_labels: StopLabels::Tail,
        }
    }

    /// Samples of the longest crop: one utterance never exceeds a batch.
    fn longest(&self) -> usize {
        self.max_samples.min(self.batch_samples)
    }
}

impl TextPart {
    /// The recipe of the base model (spec section 5.3), in which all presets agree.
    pub fn base() -> Self {
        Self {
            batch_tokens: 12_040,
            batch_items: 1024,
            max_tokens: 600,
            mask_ratio: 0.3,
            poisson_lambda: 3.5,
            mask_random: 0.1,
        }
    }

    /// The noise over a vocabulary; a token is a character, so that spans know nothing of words (table D27).
    pub fn noise(&self, vocabulary: &CharVocabulary) -> Infilling {
        Infilling {
            mask_ratio: self.mask_ratio,
            poisson_lambda: self.poisson_lambda,
            mask_random: self.mask_random,
            vocabulary: vocabulary.len() as u32,
            mask: vocabulary.mask(),
        }
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
