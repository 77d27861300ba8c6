//! The one configuration that determines a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vocable_decode::BeamConfig;
use vocable_lm::{LmConfig, LmTask};
use vocable_nn::Precision;
use vocable_speecht5::ModelConfig;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::se::{Noise, Noisy, SeConfig};
use vocable_speecht5::sid::SidConfig;
use vocable_speecht5::st::StConfig;
use vocable_speecht5::to_speech::SpeechTaskConfig;
use vocable_speecht5::tts::{Text, TtsConfig};
use vocable_speecht5::vc::{Speech, VcConfig};
use vocable_train::{Loading, LossScale, TrainConfig};

use crate::stages::speech::SpeechTask;

/// Everything that determines a row of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of initial weights, data order, masks and dropout.
    pub seed: u64,
    /// What is heard and read.
    pub data: DataConfig,
    /// Sizes and switches of the model.
    pub model: ModelConfig,
    /// Whether Transformer layers run again in the backward pass instead of keeping what they compute: less memory, more
    /// time, and the same results, so that no stage's identity depends on it.
    pub recompute: bool,
    /// What the products of linear layers are computed in while training; weights, moments and everything else stay f32. In `f16`
    /// the loss is scaled.
    pub precision: Precision,
    /// Targets of the masked prediction.
    pub units: UnitsConfig,
    /// Joint pre-training; none starts the tasks from initial weights.
    pub pretrain: Option<Recipe<PretrainConfig>>,
    /// Published weights of the sizes of `model` (a folder of transformers, a file of fairseq or of `vocable import`), from which
    /// tasks start in place of the full model's pre-training; give `data.vocabulary` with it to keep its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Folder of a published HuBERT model of the sizes of `model`, for rows whose tasks start from its encoder.
    pub hubert: Option<PathBuf>,
    /// Whether the tasks start from the encoder in `hubert` in place of pre-training.
    pub from_hubert: bool,
    /// Whether the tasks start from a decoder of initial weights, whatever else is pre-trained.
    pub initial_decoder: bool,
    /// Recognition.
    pub asr: Recipe<AsrConfig>,
    /// The language model that recognition is decoded with where `evaluation.search.lm_weight` is above 0; it learns the
    /// text of text pre-training.
    pub lm: Recipe<LmTask>,
    /// Translation.
    pub st: Recipe<StConfig>,
    /// Synthesis.
    pub tts: Recipe<TtsConfig>,
    /// Voice conversion.
    pub vc: Recipe<VcConfig>,
    /// Enhancement.
    pub se: Recipe<SeConfig>,
    /// Speaker identification.
    pub sid: Recipe<SidConfig>,
    /// Command that scores sounds, such as a model of naturalness, for the columns "judge": it gets a folder with
    /// `0000.wav` … and `list.jsonl` (file, text, speaker) as its last argument, and prints a line `0000.wav NUMBER` for each file.
    pub judge: Option<String>,
    /// How much is decoded and validated.
    pub evaluation: EvaluationConfig,
}

impl RunConfig {
    /// The model as a stage trains it.
    pub fn trained_model(&self) -> ModelConfig {
        ModelConfig { recompute: self.recompute, precision: self.precision, ..self.model.clone() }
    }

    /// A recipe of the step loop with how this run carries it out.
    pub fn executed(&self, recipe: &TrainConfig) -> TrainConfig {
        let loss_scale = (self.precision == Precision::F16).then(LossScale::default);
        TrainConfig { loading: self.data.loading, loss_scale, ..recipe.clone() }
    }

    /// The language model as a stage trains it.
    pub fn trained_lm(&self) -> LmConfig {
        LmConfig { recompute: self.recompute, ..self.lm.task.model.clone() }
    }
}

impl SpeechTask for Text {
    const READS: bool = true;

    fn recipe(c: &RunConfig) -> &Recipe<SpeechTaskConfig<Self>> {
        &c.tts
    }
}

impl SpeechTask for Speech {
    const SAYS_AGAIN: bool = true;

    fn recipe(c: &RunConfig) -> &Recipe<SpeechTaskConfig<Self>> {
        &c.vc
    }
}

impl SpeechTask for Noisy {
    fn recipe(c: &RunConfig) -> &Recipe<SpeechTaskConfig<Self>> {
        &c.se
    }

    fn noise(c: &RunConfig) -> Option<&str> {
        let recorded = c.se.task.input.noise == Noise::Recordings;
        c.data.noise.as_deref().filter(|_| recorded)
    }
}

/// A task with the step loop's part of its recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe<T> {
    /// Updates, schedule, optimiser, checkpoints.
    pub train: TrainConfig,
    /// The task itself.
    pub task: T,
}

/// What is heard and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// JSONL manifest; `mini` is the corpus that ships.
    pub manifest: String,
    /// Whether unusable recordings are left out instead of stopping the run.
    pub skip_bad: bool,
    /// JSONL manifest of recordings of noise, for enhancement where `se.task.input.noise` is `recordings`
    /// (`vocable prepare noise` makes one of a folder).
    pub noise: Option<String>,
    /// Text of text pre-training: `grammar` (the shipped corpus' own), `transcripts` (of the training split), `auto`
    /// (grammar for the shipped corpus, transcripts for others), or a file with a sentence a line.
    pub text: String,
    /// Characters in the order of their identifiers, one a line: fairseq's `dict.txt`, or the `.vocab` list of a SentencePiece
    /// character model; or a folder of transformers, for its tokenizer's. None counts those of the corpus and its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<PathBuf>,
    /// Sentences of text pre-training at most, the first of the text.
    pub sentences: usize,
    /// Sentences per split at most, each with all its voices; none takes all.
    pub limit: Option<Limit>,
    /// Bytes of decoded audio that are kept in memory; like the next three, no result depends on it.
    pub audio_cache: usize,
    /// Bytes of log-mels that are kept in memory.
    pub mel_cache: usize,
    /// Folder in which log-mels are kept from one run to the next, by the content of their recordings.
    pub mel_folder: Option<PathBuf>,
    /// How batches are prepared ahead of the step.
    pub loading: Loading,
}

/// How much of each split is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Sentences of the training split.
    pub train: usize,
    /// Sentences of the validation split.
    pub valid: usize,
    /// Sentences of each test split.
    pub test: usize,
}

/// Cluster labels of speech frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitsConfig {
    /// Clusters of the first iteration, over MFCCs.
    pub clusters: usize,
    /// Mini-batch iterations of k-means at most.
    pub max_iter: usize,
    /// Starts of k-means, of which the best is kept.
    pub n_init: usize,
    /// Frames that k-means sees at most.
    pub frames: usize,
    /// How the full model is pre-trained, which no row changes: the second iteration clusters its features, and the recogniser
    /// starts from it that hears what `tts`, `vc` and `se` say.
    pub teacher: Recipe<PretrainConfig>,
    /// A second, HuBERT-style iteration over features of a model that was pre-trained with the first; none stops after
    /// one.
    pub second: Option<SecondUnits>,
    /// Units of files, made elsewhere, in place of both iterations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Units of a published HuBERT model in place of both iterations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubert: Option<HubertUnits>,
}

impl UnitsConfig {
    /// Clusters of the units that pre-training predicts.
    pub fn used(&self) -> usize {
        let labels = self.labels.as_ref().map(|labels| labels.clusters);
        let hubert = self.hubert.as_ref().map(|hubert| hubert.clusters);
        labels.or(hubert).or(self.second.map(|second| second.clusters)).unwrap_or(self.clusters)
    }
}

/// Units of files: cluster labels of the frames of every utterance, 50 a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Folder of `train.km` and `valid.km`: a line for each utterance of that split of the manifest, in its order, as
    /// `vocable prepare fairseq` writes them beside it.
    pub folder: PathBuf,
    /// Clusters.
    pub clusters: usize,
}

/// Units of a published HuBERT model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubertUnits {
    /// Its folder, such as one of `facebook/hubert-base-ls960`.
    pub folder: PathBuf,
    /// Layer whose output is clustered, from 1.
    pub layer: usize,
    /// Clusters.
    pub clusters: usize,
}

/// The second iteration of units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondUnits {
    /// Encoder layer whose output is clustered, from 1.
    pub layer: usize,
    /// Clusters.
    pub clusters: usize,
}

/// How much is decoded and validated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Utterances (or pairs) per validation.
    pub validation: usize,
    /// Utterances decoded together.
    pub batch: usize,
    /// How transcripts are searched: the width of the beam, and what decoder, CTC and language model weigh in it.
    pub search: BeamConfig,
    /// How translations are searched.
    pub translation: BeamConfig,
    /// Pairs of each of `tts`, `vc` and `se` that are also written as sound.
    pub samples: usize,
    /// The harder test of speaker identification: samples of a crop from the middle of each test utterance ..
    pub noisy_segment: usize,
    /// .. in white noise at this signal-to-noise ratio, in dB.
    pub noisy_snr: f64,
}
