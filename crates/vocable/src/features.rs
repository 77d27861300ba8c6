//! `vocable features`: recordings → log-mels, MFCCs or cluster labels.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use vocable_audio::{Frames, LogMel, Mfcc};
use vocable_data::kmeans::KMeans;
use vocable_weights::{OwnedTensor, write_safetensors};

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
    /// Where features go (safetensors, `mel` or `mfcc`, [frames, width]); of several inputs a folder. Labels are printed.
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Cluster centres for `units` (safetensors, `centres`), as a stage `units` of training leaves them.
    #[arg(long, value_name = "FILE")]
    clusters: Option<PathBuf>,
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
    /// Nearest cluster of every second frame of MFCCs, 50 labels a second
    Units,
}

/// Computes, reports and says how the program ends.
pub fn run(options: &Features) -> Ending {
    let inputs = options.recordings.expand()?;
    let outputs = match (&options.output, options.kind) {
        (_, Kind::Units) => None,
        (Some(to), _) => Some(Outputs::new(to, &inputs, "safetensors")?),
        (None, _) => return Err(Unusable("features need --output".into())),
    };
    let clusters = match (&options.clusters, options.kind) {
        (Some(path), Kind::Units) => Some(centres(path)?),
        (None, Kind::Units) => return Err(Unusable("units need --clusters".into())),
        _ => None,
    };
    let mut reporter = Reporter::new(options.json, inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        let output = outputs.as_ref().map(|outputs| outputs.of(number));
        if let Err(error) = one(options.kind, input, output, clusters.as_ref(), &reporter) {
            reporter.failed(&error);
        }
        reporter.step();
    }
    Ok(reporter.finish())
}

fn one(
    kind: Kind,
    input: &Input,
    output: Option<&Path>,
    clusters: Option<&KMeans>,
    reporter: &Reporter,
) -> Result<(), String> {
    let (samples, seconds) = input.samples(RATE)?;
    let (name, frames): (&str, Frames) = match kind {
        Kind::Mel => ("mel", LogMel::default().log_mel(&samples)),
        Kind::Mfcc => ("mfcc", Mfcc::new(RATE).mfcc_with_deltas(&samples)),
        Kind::Units => ("units", Mfcc::new(RATE).mfcc_with_deltas(&samples).every(2)),
    };
    let (count, width) = (frames.len(), frames.width);
    if count == 0 {
        return Err(format!("{}: {} samples are too few for a frame", input.name, samples.len()));
    }
    if let Some(clusters) = clusters {
        let units = clusters.assign(&frames.data);
        let line: Vec<String> = units.iter().map(u32::to_string).collect();
        let object = json!({ "file": input.name, "units": units, "frames": count, "seconds": seconds });
        reporter.done(&object, &format!("{}\t{}", input.name, line.join(" ")));
    }
    if let Some(output) = output {
        let tensor = OwnedTensor::f32(vec![count, width], &frames.data);
        write_safetensors(output, vec![(name.into(), tensor)], None).map_err(|error| error.to_string())?;
        let output = output.display().to_string();
        let object = json!({
            "file": input.name, "output": output, "frames": count, "width": width, "seconds": seconds,
        });
        reporter.done(&object, &format!("{output}: {count} frames of {width}"));
    }
    Ok(())
}

/// Centres for MFCCs with their derivatives.
fn centres(path: &Path) -> Result<KMeans, Unusable> {
    const WIDTH: usize = 39;
    let clusters = KMeans::load(path)?;
    match clusters.width() {
        WIDTH => Ok(clusters),
        width => Err(Unusable(format!("{}: centres of {width} values, where {WIDTH} are expected", path.display()))),
    }
}
