//! `vocable inspect`: what a file of weights holds.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use vocable_speecht5::Preset;
use vocable_speecht5::checkpoint::{Checkpoint, Described, Format, Meaning};
use vocable_weights::Weights;

use crate::session::{Ending, Reporter};

/// Options of `inspect`.
#[derive(Args)]
pub struct Inspect {
    /// Weights of any model: safetensors, a file of torch.save, an index of shards, or a folder with one of these.
    path: PathBuf,
    /// Print an object per tensor (name, dtype, shape, meaning) and one of them all (tensors, values, bytes, format,
    /// config).
    #[arg(long)]
    json: bool,
}

/// Lists the tensors and what they are here.
pub fn run(options: &Inspect) -> Ending {
    let weights = Weights::open(&options.path)?;
    // The weights of other models are listed as well, they only mean nothing here.
    let checkpoint = Checkpoint::open(&options.path).ok();
    let described = match &checkpoint {
        Some(checkpoint) => checkpoint.describe(),
        None => weights.tensors().map(unknown).collect(),
    };
    let reporter = Reporter::new(options.json, 1);
    let width = described.iter().map(|tensor| tensor.name.chars().count()).max().unwrap_or(0);
    let (mut values, mut bytes) = (0, 0);
    for Described { name, dtype, shape, meaning } in &described {
        let count: usize = shape.iter().product();
        values += count;
        bytes += count * dtype.bitsize() / 8;
        let meaning = match meaning {
            Meaning::Parameter(path) => path,
            Meaning::Constant => "(computed)",
            Meaning::Unknown => "(unknown)",
        };
        let object = json!({ "name": name, "dtype": format!("{dtype:?}"), "shape": shape, "meaning": meaning });
        reporter.done(&object, &format!("{name:<width$}  {dtype:<4?}  {:<18}  {meaning}", format!("{shape:?}")));
    }
    let format = checkpoint.as_ref().map(|checkpoint| match checkpoint.format() {
        Format::HuggingFace => "transformers",
        Format::Fairseq => "fairseq",
    });
    let config = checkpoint.as_ref().and_then(|checkpoint| checkpoint.config(Preset::Hf).ok());
    let object = json!({
        "tensors": described.len(), "values": values, "bytes": bytes, "format": format, "config": config,
    });
    let names = format.map_or("names of no SpeechT5".to_owned(), |format| format!("names of {format}"));
    let sizes = config.map_or(String::new(), |config| {
        format!("; width {}, {} + {} layers", config.width, config.encoder_layers, config.decoder_layers)
    });
    let megabytes = bytes as f64 / 1e6;
    let count = described.len();
    reporter.done(&object, &format!("{count} tensors, {values} values, {megabytes:.1} MB, {names}{sizes}"));
    Ok(reporter.finish())
}

fn unknown(tensor: vocable_weights::Tensor) -> Described {
    Described {
        name: tensor.name().into(),
        dtype: tensor.dtype(),
        shape: tensor.shape().into(),
        meaning: Meaning::Unknown,
    }
}
