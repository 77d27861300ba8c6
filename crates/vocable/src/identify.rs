//! `vocable identify`: recordings → who speaks.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use serde_json::{Value, json};
use vocable_speecht5::huggingface::ModelFolder;
use vocable_speecht5::sid::rank_speakers;

use crate::model::waveform;
use crate::session::{Ending, Recordings, Reporter};

/// Options of `identify`.
#[derive(Args)]
pub struct Identify {
    /// The model's folder (a SpeechT5ForSequenceClassification, as `export` makes of a stage `finetune-sid`).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    recordings: Recordings,
    /// Speakers that are named of each recording, the most probable first.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Print an object per recording: file, speaker, score (its probability among all classes), speakers (the most
    /// probable, each with its score), seconds, rtf (time taken per second of recording).
    #[arg(long)]
    json: bool,
}

/// Names, reports and says how the program ends.
pub fn run(options: &Identify) -> Ending {
    let folder = ModelFolder::open(&options.model)?;
    let device = Device::flex();
    let (model, labels) = folder.load_classifier(&device)?;
    let inputs = options.recordings.expand()?;
    let mut reporter = Reporter::new(options.json, inputs.len());
    for input in &inputs {
        let started = Instant::now();
        match waveform(&folder, input) {
            Ok((samples, seconds)) => {
                let mut speakers = rank_speakers(&model, &labels, &samples, &device);
                speakers.truncate(options.top.into());
                let named = |&(speaker, score): &(&str, f64)| json!({ "speaker": speaker, "score": score });
                let object = json!({
                    "file": input.name, "speaker": speakers.first().map(|(speaker, _)| speaker),
                    "score": speakers.first().map(|(_, score)| score),
                    "speakers": speakers.iter().map(named).collect::<Vec<Value>>(), "seconds": seconds,
                    "rtf": started.elapsed().as_secs_f64() / seconds,
                });
                let line: Vec<String> =
                    speakers.iter().map(|(speaker, score)| format!("{speaker} {score:.3}")).collect();
                let line = line.join("\t");
                reporter.done(&object, &if inputs.len() == 1 { line } else { format!("{}\t{line}", input.name) });
            }
            Err(error) => reporter.failed(&error),
        }
        reporter.step();
    }
    Ok(reporter.finish())
}
