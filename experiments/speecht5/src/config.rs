//! The one configuration that determines a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vocable_decode::BeamConfig;
use vocable_lab::ConfigError;
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

use crate::pipeline::check_data;
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
    fn recipe(c: &RunConfig) -> &Recipe<SpeechTaskConfig<Self>> {
        &c.tts
    }
}

impl SpeechTask for Speech {
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
    /// How the model is pre-trained whose features the second iteration clusters.
    pub teacher: Recipe<PretrainConfig>,
    /// A second, HuBERT-style iteration over features of a model that was pre-trained with the first; none stops after
    /// one.
    pub second: Option<SecondUnits>,
    /// Units of a published HuBERT model in place of both iterations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubert: Option<HubertUnits>,
}

impl UnitsConfig {
    /// Clusters of the units that pre-training predicts.
    pub fn used(&self) -> usize {
        let second = self.second.map_or(self.clusters, |second| second.clusters);
        self.hubert.as_ref().map_or(second, |hubert| hubert.clusters)
    }
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
    /// Converted pairs that are also written as sound.
    pub samples: usize,
    /// The harder test of speaker identification: samples of a crop from the middle of each test utterance ..
    pub noisy_segment: usize,
    /// .. in white noise at this signal-to-noise ratio, in dB.
    pub noisy_snr: f64,
}

/// A probability that leaves something over.
fn share(path: &str, value: f64) -> Result<(), ConfigError> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(ConfigError::range(path, value, "must be from 0 to below 1")),
    }
}

/// Checks what types cannot.
pub fn validate(config: &RunConfig) -> Result<(), ConfigError> {
    check_data(&config.data)?;
    if !config.model.precision.is_f32() {
        let message = "model.precision: what is computed with in training is said for a whole run; set `precision`";
        return Err(ConfigError::Other(message.into()));
    }
    if config.se.task.input.noise == Noise::Recordings && config.data.noise.is_none() {
        let message =
            "se.task.input.noise=recordings needs data.noise, a manifest of them (`vocable prepare noise` makes one)";
        return Err(ConfigError::Other(message.into()));
    }
    let range = |path: &str, value: usize, allowed: &str, good: bool| match good {
        true => Ok(()),
        false => Err(ConfigError::range(path, value, allowed)),
    };
    let model = &config.model;
    range(
        "model.heads",
        model.heads,
        "must divide model.width",
        model.heads > 0 && model.width.is_multiple_of(model.heads),
    )?;
    range(
        "model.positional_groups",
        model.positional_groups,
        "must divide model.width",
        model.positional_groups > 0 && model.width.is_multiple_of(model.positional_groups),
    )?;
    range("model.encoder_layers", model.encoder_layers, "must be 1 or more", model.encoder_layers > 0)?;
    range("model.decoder_layers", model.decoder_layers, "must be 1 or more", model.decoder_layers > 0)?;
    range("model.reduction", model.reduction, "must be 1 or more", model.reduction > 0)?;
    range("model.mel", model.mel, "must be 80, the bins of the log-mel front end", model.mel == 80)?;
    let channels = model.extractor_channels;
    range("model.extractor_channels", channels, "must be 1 or more", channels > 0)?;
    // What has no message of its own above.
    model.check().map_err(|message| ConfigError::Other(format!("model: {message}")))?;
    range("units.clusters", config.units.clusters, "must be 2 or more", config.units.clusters > 1)?;
    range("evaluation.batch", config.evaluation.batch, "must be 1 or more", config.evaluation.batch > 0)?;
    let search = &config.evaluation.search;
    range("evaluation.search.beam", search.beam, "must be 1 or more", search.beam > 0)?;
    range("evaluation.search.candidates", search.candidates, "must be 1 or more", search.candidates > 0)?;
    if !(0.0..=1.0).contains(&search.ctc_weight) {
        let allowed = "must be from 0 to 1";
        return Err(ConfigError::range("evaluation.search.ctc_weight", search.ctc_weight, allowed));
    }
    if !(search.lm_weight.is_finite() && search.lm_weight >= 0.0) {
        return Err(ConfigError::range("evaluation.search.lm_weight", search.lm_weight, "must be 0 or more"));
    }
    let lm = &config.lm.task;
    lm.model.check().map_err(|error| ConfigError::Other(format!("lm.task.model: {error}")))?;
    if let Some(second) = config.units.second {
        let layers = config.model.encoder_layers;
        let allowed = format!("must be a layer of the encoder, 1 to {layers}");
        range("units.second.layer", second.layer, &allowed, (1..=layers).contains(&second.layer))?;
    }
    if let Some(hubert) = &config.units.hubert {
        if config.units.second.is_some() {
            let message = "units are those of the second iteration or of a HuBERT model: set units.second=none";
            return Err(ConfigError::Other(message.into()));
        }
        range("units.hubert.layer", hubert.layer, "must be 1 or more", hubert.layer > 0)?;
        range("units.hubert.clusters", hubert.clusters, "must be 2 or more", hubert.clusters > 1)?;
    }
    let clusters = config.units.clusters.max(config.units.used());
    let allowed = format!("must be {clusters} or more, as many as there are clusters");
    range("units.frames", config.units.frames, &allowed, config.units.frames >= clusters)?;
    if let Some(limit) = config.data.limit {
        range("data.limit.train", limit.train, "must be 1 or more", limit.train > 0)?;
        range("data.limit.test", limit.test, "must be 1 or more", limit.test > 0)?;
    }
    let mut trains = vec![
        ("asr", &config.asr.train),
        ("lm", &config.lm.train),
        ("st", &config.st.train),
        ("tts", &config.tts.train),
        ("vc", &config.vc.train),
        ("se", &config.se.train),
        ("sid", &config.sid.train),
    ];
    if config.from_hubert && config.pretrain.is_some() {
        let message = "tasks start from pre-training or from a HuBERT model: with from_hubert=true set pretrain=none";
        return Err(ConfigError::Other(message.into()));
    }
    if let Some(pretrain) = &config.pretrain {
        trains.push(("pretrain", &pretrain.train));
        let task = &pretrain.task;
        if task.speech.is_none() && task.text.is_none() {
            let message = "pretrain.task has neither speech nor text; to start from initial weights set pretrain=none";
            return Err(ConfigError::Other(message.into()));
        }
        if let Some(quantizer) = task.quantizer {
            let good = quantizer.groups > 0 && model.width.is_multiple_of(quantizer.groups);
            range("pretrain.task.quantizer.groups", quantizer.groups, "must divide model.width", good)?;
            range("pretrain.task.quantizer.codes", quantizer.codes, "must be 1 or more", quantizer.codes > 0)?;
            share("pretrain.task.quantizer.mixing.share", quantizer.mixing.share)?;
            let floor = quantizer.temperature.floor;
            if !(floor > 0.0 && floor.is_finite()) {
                return Err(ConfigError::range("pretrain.task.quantizer.temperature.floor", floor, "must be above 0"));
            }
        }
        range("pretrain.task.accumulate", task.accumulate, "must be 1 or more", task.accumulate > 0)?;
        if let Some(speech) = &task.speech {
            // Two frames of the extractor: a crop of one may miss every label.
            let least = |samples| samples >= 720;
            let allowed = "must be 720 or more, two frames of the extractor";
            range("pretrain.task.speech.min_samples", speech.min_samples, allowed, least(speech.min_samples))?;
            range("pretrain.task.speech.max_samples", speech.max_samples, allowed, least(speech.max_samples))?;
            range("pretrain.task.speech.batch_samples", speech.batch_samples, allowed, least(speech.batch_samples))?;
            range("pretrain.task.speech.mask_length", speech.mask_length, "must be 1 or more", speech.mask_length > 0)?;
        }
        if let Some(text) = &task.text {
            share("pretrain.task.text.mask_ratio", text.mask_ratio.into())?;
            share("pretrain.task.text.mask_random", text.mask_random)?;
            if text.poisson_lambda <= 0.0 {
                let (path, value) = ("pretrain.task.text.poisson_lambda", text.poisson_lambda);
                return Err(ConfigError::range(path, value, "must be above 0"));
            }
        }
    }
    share("asr.task.token_dropout", config.asr.task.token_dropout)?;
    share("st.task.token_dropout", config.st.task.token_dropout)?;
    let [lowest, highest] = config.se.task.input.snr;
    if lowest > highest {
        let allowed = "must be the lowest and the highest ratio in dB";
        return Err(ConfigError::range("se.task.input.snr", format!("[{lowest}, {highest}]"), allowed));
    }
    for (path, speeds) in [("asr.task.speeds", &config.asr.task.speeds), ("st.task.speeds", &config.st.task.speeds)] {
        if let Some(speed) = speeds.iter().find(|speed| !(0.5..=2.0).contains(*speed)) {
            return Err(ConfigError::range(path, speed, "must be from 0.5 to 2"));
        }
    }
    if let Some(margin) = config.sid.task.margin {
        margin.check().map_err(|message| ConfigError::Other(format!("sid.task.margin: {message}")))?;
    }
    let translation = &config.evaluation.translation;
    range("evaluation.translation.beam", translation.beam, "must be 1 or more", translation.beam > 0)?;
    if translation.ctc_weight != 0.0 || translation.lm_weight != 0.0 {
        let message = "evaluation.translation: translation has neither CTC nor a language model; their weights are 0";
        return Err(ConfigError::Other(message.into()));
    }
    let regularisations = [
        ("asr", &config.asr.task.regularisation),
        ("st", &config.st.task.regularisation),
        ("tts", &config.tts.task.regularisation),
        ("vc", &config.vc.task.regularisation),
        ("se", &config.se.task.regularisation),
        ("sid", &config.sid.task.regularisation),
    ];
    let pretrained = config.pretrain.iter().map(|pretrain| ("pretrain", &pretrain.task.regularisation));
    for (name, r) in regularisations.into_iter().chain(pretrained) {
        for (field, value) in [
            ("dropout", r.dropout),
            ("attention", r.attention),
            ("activation", r.activation),
            ("projection", r.projection),
            ("encoder_layer_drop", r.encoder_layer_drop),
            ("decoder_layer_drop", r.decoder_layer_drop),
        ] {
            share(&format!("{name}.task.regularisation.{field}"), value)?;
        }
    }
    for (path, value) in [
        ("model.prenet_dropout", model.prenet_dropout),
        ("model.positional_dropout", model.positional_dropout),
        ("model.postnet_dropout", model.postnet_dropout),
    ] {
        share(path, value)?;
    }
    for (path, value) in [
        ("asr.task.batch_samples", config.asr.task.batch_samples),
        ("st.task.batch_samples", config.st.task.batch_samples),
        ("tts.task.batch_samples", config.tts.task.batch_samples),
        ("vc.task.batch_samples", config.vc.task.batch_samples),
        ("se.task.batch_samples", config.se.task.batch_samples),
        ("sid.task.segment", config.sid.task.segment),
        ("sid.task.validation_segment", config.sid.task.validation_segment.unwrap_or(config.sid.task.segment)),
        ("evaluation.noisy_segment", config.evaluation.noisy_segment),
    ] {
        range(path, value, "must be 400 samples or more, the receptive field", value >= 400)?;
    }
    for (path, value) in [
        ("asr.task.batch_items", config.asr.task.batch_items),
        ("asr.task.micro_batches", config.asr.task.micro_batches),
        ("lm.task.batch_tokens", lm.batch_tokens),
        ("lm.task.batch_items", lm.batch_items),
        ("lm.task.micro_batches", lm.micro_batches),
        ("st.task.batch_items", config.st.task.batch_items),
        ("st.task.micro_batches", config.st.task.micro_batches),
        ("tts.task.batch_items", config.tts.task.batch_items),
        ("tts.task.micro_batches", config.tts.task.micro_batches),
        ("vc.task.batch_items", config.vc.task.batch_items),
        ("vc.task.micro_batches", config.vc.task.micro_batches),
        ("se.task.batch_items", config.se.task.batch_items),
        ("se.task.micro_batches", config.se.task.micro_batches),
        ("sid.task.batch_items", config.sid.task.batch_items),
        ("sid.task.micro_batches", config.sid.task.micro_batches),
    ] {
        range(path, value, "must be 1 or more", value > 0)?;
    }
    for (name, train) in trains {
        train.check().map_err(|error| ConfigError::Other(format!("{name}.train: {error}")))?;
    }
    Ok(())
}
