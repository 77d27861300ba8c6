//! `vocable features`: recordings → log-mels, MFCCs, hidden states or cluster labels.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use vocable_audio::{Frames, LogMel, Mfcc};
use vocable_data::kmeans::KMeans;
use vocable_hubert::Hubert;
use vocable_speecht5::SpeechT5;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::huggingface::ModelFolder;
use vocable_weights::{OwnedTensor, read_json, write_safetensors};

use crate::model::waveform;
use crate::session::{Ending, Input, Outputs, Recordings, Reporter, Unusable};

/// Samples per second at which features are taken.
const RATE: u32 = 16_000;

/// Options of `features`.
#[derive(Args)]
pub struct Features {
    /// What to compute.
    kind: Kind,
    #[command(flatten)]
    recordings: Recordings,
    /// Where features go (safetensors, `mel`, `mfcc` or `states`, [frames, width]); of several inputs a folder. Labels are
    /// printed.
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Cluster centres for `units` (safetensors, `centres`), as a stage `units` of training leaves them.
    #[arg(long, value_name = "FILE")]
    clusters: Option<PathBuf>,
    /// The model whose states are taken for `states`, or in place of MFCCs for `units`: a folder of HuBERT's (such as
    /// hubert-base-ls960) or of SpeechT5's.
    #[arg(long, value_name = "DIR", requires = "layer")]
    model: Option<PathBuf>,
    /// The layer of its encoder, from 1.
    #[arg(long, value_name = "N", requires = "model")]
    layer: Option<usize>,
    /// Print an object per recording: file, output, frames, width, seconds; of `units` also units.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    /// 80 log10-mel bands, 62.5 frames a second
    Mel,
    /// 13 MFCCs with first and second derivatives, 100 frames a second
    Mfcc,
    /// The output of a layer of --model, 50 frames a second
    States,
    /// Nearest cluster of every second frame of MFCCs, or of the states of --model, 50 labels a second
    Units,
}

/// What makes features of a recording.
enum Extractor {
    Mel(Box<LogMel>),
    Mfcc { step: usize },
    Hubert(Box<Hubert>, usize),
    SpeechT5(Box<(ModelFolder, SpeechT5)>, usize),
}

/// Computes, reports and says how the program ends.
pub fn run(options: &Features) -> Ending {
    let extractor = Extractor::open(options)?;
    let inputs = options.recordings.expand()?;
    let outputs = match (&options.output, options.kind) {
        (Some(_), Kind::Units) => return Err(Unusable("units are printed: leave out --output".into())),
        (None, Kind::Units) => None,
        (Some(to), _) => Some(Outputs::new(to, &inputs, "safetensors")?),
        (None, _) => return Err(Unusable("features need --output".into())),
    };
    let clusters = match (&options.clusters, options.kind) {
        (Some(path), Kind::Units) => Some(centres(path, extractor.width())?),
        (None, Kind::Units) => return Err(Unusable("units need --clusters".into())),
        (Some(_), _) => return Err(Unusable("--clusters is for units".into())),
        (None, _) => None,
    };
    let mut reporter = match options.kind {
        Kind::Units => Reporter::new(options.json, inputs.len()),
        Kind::Mel | Kind::Mfcc | Kind::States => Reporter::of_files(options.json, inputs.len()),
    };
    for (number, input) in inputs.iter().enumerate() {
        let output = outputs.as_ref().map(|outputs| outputs.of(number));
        if let Err(error) = one(&extractor, input, output, clusters.as_ref(), &reporter) {
            reporter.failed(&error);
        }
        reporter.step();
    }
    Ok(reporter.finish())
}

impl Extractor {
    fn open(options: &Features) -> Result<Self, Unusable> {
        match (options.kind, &options.model, options.layer) {
            (Kind::States | Kind::Units, Some(folder), Some(layer)) => Self::states(folder, layer),
            (Kind::States, ..) => Err(Unusable("states need --model and --layer".into())),
            (Kind::Mel | Kind::Mfcc, Some(_), _) => Err(Unusable("--model is for states and units".into())),
            (Kind::Mel, ..) => Ok(Self::Mel(Box::default())),
            (Kind::Mfcc, ..) => Ok(Self::Mfcc { step: 1 }),
            (Kind::Units, ..) => Ok(Self::Mfcc { step: 2 }),
        }
    }

    fn states(folder: &Path, layer: usize) -> Result<Self, Unusable> {
        let (extractor, layers) = if is_hubert(folder) {
            let hubert = Hubert::open(folder, &Device::flex())?;
            let layers = hubert.config.num_hidden_layers;
            (Self::Hubert(Box::new(hubert), layer), layers)
        } else {
            let folder = ModelFolder::open(folder)?;
            let (model, report) = folder.load(&Device::flex())?;
            report.strict(&["speech_encoder_prenet", "encoder"], folder.checkpoint.path())?;
            let layers = folder.model_config().encoder_layers;
            (Self::SpeechT5(Box::new((folder, model)), layer), layers)
        };
        match (1..=layers).contains(&layer) {
            true => Ok(extractor),
            false => {
                Err(Unusable(format!("{}: --layer is {layer}, where 1 to {layers} is expected", folder.display())))
            }
        }
    }

    /// Its features' name in a file.
    fn name(&self) -> &'static str {
        match self {
            Self::Mel(_) => "mel",
            Self::Mfcc { .. } => "mfcc",
            Self::Hubert(..) | Self::SpeechT5(..) => "states",
        }
    }

    /// Values of a frame.
    fn width(&self) -> usize {
        match self {
            Self::Mel(log_mel) => log_mel.config().bands,
            Self::Mfcc { .. } => 39,
            Self::Hubert(hubert, _) => hubert.config.hidden_size,
            Self::SpeechT5(model, _) => model.0.model_config().width,
        }
    }

    /// The features of a recording, and its duration in seconds.
    fn frames(&self, input: &Input) -> Result<(Frames, f64), String> {
        let (samples, seconds) = match self {
            Self::SpeechT5(model, _) => waveform(&model.0, input)?,
            _ => input.samples(RATE)?,
        };
        let frames = match self {
            Self::Mel(log_mel) => log_mel.log_mel(&samples),
            Self::Mfcc { step } => Mfcc::new(RATE).mfcc_with_deltas(&samples).every(*step),
            Self::Hubert(hubert, layer) => {
                hubert.hidden_states(&samples, *layer).map_err(|error| format!("{}: {error}", input.name))?
            }
            Self::SpeechT5(model, layer) => {
                let waveform = Waveforms::new(std::slice::from_ref(&samples), &Device::flex());
                let states = model.1.hidden_states(waveform.samples, &waveform.lengths, *layer);
                Frames::new(states.try_into_vec_as::<f32>().expect("states are floats"), self.width())
            }
        };
        match frames.is_empty() {
            true => Err(format!("{}: {} samples are too few for a frame", input.name, samples.len())),
            false => Ok((frames, seconds)),
        }
    }
}

/// Whether a folder's settings say that it is HuBERT's; any other, or none, is for SpeechT5's reader to judge.
fn is_hubert(folder: &Path) -> bool {
    read_json::<Value>(folder.join("config.json")).is_ok_and(|config| config["model_type"] == "hubert")
}

fn one(
    extractor: &Extractor,
    input: &Input,
    output: Option<&Path>,
    clusters: Option<&KMeans>,
    reporter: &Reporter,
) -> Result<(), String> {
    let (frames, seconds) = extractor.frames(input)?;
    let (count, width) = (frames.len(), frames.width);
    if let Some(clusters) = clusters {
        let units = clusters.assign(&frames.data);
        let line: Vec<String> = units.iter().map(u32::to_string).collect();
        let object = json!({ "file": input.name, "units": units, "frames": count, "seconds": seconds });
        reporter.done(&object, &format!("{}\t{}", input.name, line.join(" ")));
    }
    if let Some(output) = output {
        let tensor = OwnedTensor::f32(vec![count, width], &frames.data);
        write_safetensors(output, vec![(extractor.name().into(), tensor)], None).map_err(|error| error.to_string())?;
        let output = output.display().to_string();
        let object = json!({
            "file": input.name, "output": output, "frames": count, "width": width, "seconds": seconds,
        });
        reporter.done(&object, &format!("{output}: {count} frames of {width}"));
    }
    Ok(())
}

/// Centres for features of that width.
fn centres(path: &Path, expected: usize) -> Result<KMeans, Unusable> {
    let clusters = KMeans::load(path)?;
    match clusters.width() {
        width if width == expected => Ok(clusters),
        width => Err(Unusable(format!("{}: centres of {width} values, where {expected} are expected", path.display()))),
    }
}
