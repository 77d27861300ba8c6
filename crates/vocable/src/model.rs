//! Model folders as commands open them.

use std::path::Path;

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use vocable_nn::Storage;
use vocable_speecht5::SpeechT5;
use vocable_speecht5::huggingface::{Architecture, ModelFolder};
use vocable_text::Tokenizer;

use crate::session::{Input, Unusable};

/// How weights are kept in memory.
#[derive(Args)]
pub struct Precision {
    /// How the weights that every step of decoding reads are kept: in fewer bits they are read faster and take less
    /// memory, sums are in f32 all the same. The largest change of a logit or a log-mel that was measured at the base
    /// size, as a share of the largest: bf16 0.5 %, int8 1.5 %.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    weights: WeightType,
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightType {
    F32,
    Bf16,
    Int8,
}

impl Precision {
    fn storage(&self) -> Option<Storage> {
        match self.weights {
            WeightType::F32 => None,
            WeightType::Bf16 => Some(Storage::Bf16),
            WeightType::Int8 => Some(Storage::Int8),
        }
    }
}

/// A folder with its model in memory.
pub struct Model {
    pub folder: ModelFolder,
    pub model: SpeechT5,
    pub device: Device,
    /// Whether its weights have a CTC head.
    pub has_ctc: bool,
}

impl Model {
    /// Opens a folder that is for `architecture` and loads it; a tensor that is missing or unknown is an error.
    pub fn open(path: &Path, architecture: Architecture, precision: &Precision) -> Result<Self, Unusable> {
        let folder = ModelFolder::open(path)?;
        if ![architecture, Architecture::Base].contains(&folder.architecture) {
            let (found, wanted) = (folder.architecture.class(), architecture.class());
            return Err(Unusable(format!("{}: it is a {found}, where a {wanted} is needed", path.display())));
        }
        let device = Device::flex();
        let (model, report) = folder.load(&device)?;
        report.strict(folder.architecture.parts(), folder.checkpoint.path())?;
        let model = match precision.storage() {
            Some(storage) => model.compressed(storage),
            None => model,
        };
        let has_ctc = !report.absent.iter().any(|part| part == "ctc");
        Ok(Self { folder, model, device, has_ctc })
    }

    /// What to say of an input that is longer than those that the model was made for (table D17): `frames` of the encoder.
    pub fn overlong(&self, input: &Input, frames: usize) -> Option<String> {
        let most = self.folder.config.max_speech_positions;
        let message = || format!("{}: {frames} frames, but the model was made for {most} at most", input.name);
        (frames > most).then(message)
    }

    /// The tokenizer, which a model of text cannot do without.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Unusable> {
        let missing = || Unusable(format!("{}: it has no spm_char.model", self.folder.path.display()));
        self.folder.tokenizer.as_ref().ok_or_else(missing)
    }

    /// A recording as the encoder takes it, and its duration in seconds.
    pub fn waveform(&self, input: &Input) -> Result<(Vec<f32>, f64), String> {
        waveform(&self.folder, input)
    }
}

/// A recording as the encoder of a folder's model takes it, and its duration in seconds.
pub fn waveform(folder: &ModelFolder, input: &Input) -> Result<(Vec<f32>, f64), String> {
    let (samples, seconds) = input.samples(folder.front_end.log_mel.rate)?;
    if folder.model_config().extractor().frames(samples.len()) == 0 {
        return Err(format!("{}: {} samples are too few for a frame", input.name, samples.len()));
    }
    Ok((folder.front_end.waveform(samples), seconds))
}
