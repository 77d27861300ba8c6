//! What is timed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vocable_nn::Storage;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::{ModelConfig, Preset, Regularisation};

/// A piece of work, its sizes and its inputs; both workers read the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// The model it is done with.
    pub model: ModelConfig,
    /// Safetensors file with the inputs (see [`crate::inputs`]).
    pub inputs: PathBuf,
    /// Folder in which the Python worker leaves its weights for ours; none where the sides have weights of their own.
    pub weights: Option<PathBuf>,
}

/// What is done, once per run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// An update from one speech and one text micro-batch.
    Pretraining {
        /// The recipe.
        config: Box<PretrainConfig>,
        /// Its optimiser.
        optimiser: Optimiser,
        /// Utterances of the speech micro-batch.
        items: usize,
        /// Their length.
        seconds: usize,
        /// Sentences of the text micro-batch.
        sentences: usize,
        /// Their length, before noise.
        characters: usize,
    },
    /// An update of recognition.
    Recognition {
        /// The recipe.
        config: Box<AsrConfig>,
        /// Its optimiser.
        optimiser: Optimiser,
        /// Utterances.
        items: usize,
        /// Their length.
        seconds: usize,
    },
    /// Speech-encoder pre-net and encoder, for inference.
    Encoding {
        /// Utterances.
        items: usize,
        /// Their length.
        seconds: usize,
    },
    /// Greedy text from encoder states that are there already.
    Text {
        /// Utterances.
        items: usize,
        /// Their length.
        seconds: usize,
        /// Tokens generated for each.
        tokens: usize,
        /// How our side stores the decoder's weights, if not in `f32`.
        storage: Option<Storage>,
    },
    /// Speech from text: encoder, decoder, post-net.
    Speech {
        /// Sentences.
        items: usize,
        /// Their length.
        characters: usize,
        /// Mel frames generated for each.
        frames: usize,
        /// How our side stores the decoder's weights, if not in `f32`.
        storage: Option<Storage>,
        /// Whether HiFi-GAN makes a waveform of them.
        vocoder: bool,
    },
    /// HiFi-GAN of the published size.
    Vocoding {
        /// Length of the waveform.
        seconds: usize,
    },
    /// A recording to text: encoder and search.
    Transcription {
        /// Length of the recording.
        seconds: usize,
        /// Hypotheses that are followed.
        beam: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// A program from its start to its end: `vocable` here, a script with transformers there.
    Program(Program),
    /// Log-mel spectrograms of many utterances.
    LogMel {
        /// Whom the other side asks.
        extractor: Extractor,
        /// Length of an utterance.
        seconds: usize,
        /// How often the utterances of the inputs are gone through.
        repeats: usize,
    },
}

impl Work {
    /// Whether both sides have the same weights: transformers' class has them all.
    pub fn shares_weights(&self) -> bool {
        !matches!(self, Self::Pretraining { .. } | Self::LogMel { .. })
    }

    /// Runs before the first that counts, on either side.
    pub fn warm_up(&self) -> usize {
        // A program is never warm; only its files are.
        if matches!(self, Self::Program(_)) { 1 } else { 2 }
    }
}

/// What a program does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Program {
    /// `vocable transcribe` of a recording.
    Transcribe {
        /// Its length.
        seconds: usize,
        /// Hypotheses that are followed.
        beam: usize,
        /// Tokens of the text.
        tokens: usize,
    },
    /// `vocable speak` with HiFi-GAN.
    Speak {
        /// Characters of the text.
        characters: usize,
        /// Mel frames for each token.
        ratio: usize,
    },
}

/// A log-mel extractor of the Python side.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extractor {
    /// `SpeechT5FeatureExtractor`.
    Transformers,
    /// `librosa.stft` and `librosa.feature.melspectrogram`.
    Librosa,
}

/// AdamW and clipping by the global norm.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Optimiser {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest gradient norm.
    pub clip: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Short name, for the command line and the file of measurements.
    pub name: String,
    /// What a reader is told.
    pub title: String,
    /// The work.
    pub work: Work,
    /// The model.
    pub model: ModelConfig,
    /// The curve it is a point of, and where.
    pub curve: Option<(String, f64)>,
}

/// Utterances that an hour of log-mels cycles through, and their length in seconds.
pub const SOUNDS: (usize, usize) = (6, 10);

/// The rows of the ratio table.
pub fn rows() -> Vec<Row> {
    let row = |name: &str, title: &str, work| Row {
        name: name.into(),
        title: title.into(),
        work,
        model: ModelConfig::base(Preset::Paper),
        curve: None,
    };
    let hour = |extractor| Work::LogMel { extractor, seconds: SOUNDS.1, repeats: 3600 / (SOUNDS.0 * SOUNDS.1) };
    let text = |items, storage| Work::Text { items, seconds: 5, tokens: 60, storage };
    let speech = |items, storage| Work::Speech { items, characters: 60, frames: 480, storage, vocoder: false };
    let speaking = Work::Speech { items: 1, characters: 60, frames: 480, storage: None, vocoder: true };
    let (seconds, tokens) = (20, 240);
    let transcription = |beam| Work::Transcription { seconds, beam, tokens };
    let transcribe = |beam| Work::Program(Program::Transcribe { seconds, beam, tokens });
    let speak = Work::Program(Program::Speak { characters: 60, ratio: 8 });
    let (bf16, int8) = (Some(Storage::Bf16), Some(Storage::Int8));
    vec![
        row("pretraining", "Pre-training, speech 2 × 5 s and text 8 × 100 characters: update", pretraining()),
        row("asr", "Recognition, 2 × 10 s, cross-entropy: update", recognition(Preset::Hf, 2, 10)),
        row("asr-ctc", "Recognition, 2 × 10 s, cross-entropy and CTC: update", recognition(Preset::Paper, 2, 10)),
        row("encoder", "Encoder, 10 s: inference", Work::Encoding { items: 1, seconds: 10 }),
        row("text-1", "Text, 60 tokens greedy, batch 1", text(1, None)),
        row("text-1-bf16", "Text, 60 tokens greedy, batch 1, decoder here in bf16", text(1, bf16)),
        row("text-1-int8", "Text, 60 tokens greedy, batch 1, decoder here in int8", text(1, int8)),
        row("text-8", "Text, 60 tokens greedy, batch 8", text(8, None)),
        row("mel-1", "Mel, 480 frames from 60 characters, batch 1", speech(1, None)),
        row("mel-1-bf16", "Mel, 480 frames from 60 characters, batch 1, decoder here in bf16", speech(1, bf16)),
        row("mel-1-int8", "Mel, 480 frames from 60 characters, batch 1, decoder here in int8", speech(1, int8)),
        row("mel-8", "Mel, 480 frames from 60 characters, batch 8", speech(8, None)),
        row("vocoder", "HiFi-GAN, 6 s", Work::Vocoding { seconds: 6 }),
        row("transcribe-greedy", "Transcribing 20 s, 240 tokens, greedy", transcription(1)),
        row("transcribe-beam", "Transcribing 20 s, 240 tokens, beam of 5", transcription(5)),
        row("speak", "Speaking 60 characters, 480 frames and their waveform", speaking),
        row("transcribe-greedy-program", "The same 20 s, greedy, as a whole program", transcribe(1)),
        row("transcribe-beam-program", "The same 20 s, beam of 5, as a whole program", transcribe(5)),
        row("speak-program", "Speaking 60 characters, 488 frames, as a whole program", speak),
        row("log-mel", "Log-mel of an hour, against transformers", hour(Extractor::Transformers)),
        row("log-mel-librosa", "Log-mel of an hour, against librosa", hour(Extractor::Librosa)),
    ]
}

/// The points of the curves: how cost grows.
pub fn points() -> Vec<Row> {
    let point = |curve: &str, x: usize, work, model: ModelConfig| Row {
        name: format!("{curve}-{x}"),
        title: format!("{curve} {x}"),
        work,
        model,
        curve: Some((curve.into(), x as f64)),
    };
    let base = ModelConfig::base(Preset::Paper);
    let update = |items, seconds| recognition(Preset::Paper, items, seconds);
    let mut points = Vec::new();
    points.extend([2, 5, 10, 20, 40].map(|seconds| point("seconds", seconds, update(1, seconds), base.clone())));
    points.extend([1, 2, 4, 8, 16].map(|items| point("batch", items, update(items, 5), base.clone())));
    points.extend([50, 100, 200, 500, 1000, 2000].map(|frames| {
        point(
            "frames",
            frames,
            Work::Speech { items: 1, characters: 60, frames, storage: None, vocoder: false },
            base.clone(),
        )
    }));
    points.extend([256, 512, 768, 1024].map(|width| {
        let model = ModelConfig { width, heads: width / 64, feed_forward: 4 * width, ..base.clone() };
        point("width", width, update(2, 5), model)
    }));
    points
}

fn pretraining() -> Work {
    let mut config = PretrainConfig::base(Preset::Paper);
    keep_layers(&mut config.regularisation);
    Work::Pretraining {
        config: Box::new(config),
        optimiser: Optimiser { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, clip: 5.0, learning_rate: 1e-5 },
        items: 2,
        seconds: 5,
        sentences: 8,
        characters: 100,
    }
}

/// Under preset `hf` the loss is transformers' own, under the paper's CTC is added.
pub fn recognition(preset: Preset, items: usize, seconds: usize) -> Work {
    let mut config = AsrConfig::base(preset);
    keep_layers(&mut config.regularisation);
    Work::Recognition {
        config: Box::new(config),
        optimiser: Optimiser { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.1, clip: 25.0, learning_rate: 1e-5 },
        items,
        seconds,
    }
}

/// Layer drop skips whole layers at random: rounds and sides would not do the same work.
fn keep_layers(regularisation: &mut Regularisation) {
    regularisation.encoder_layer_drop = 0.0;
    regularisation.decoder_layer_drop = 0.0;
}
