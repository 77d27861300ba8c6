//! `vocable convert` and `vocable enhance`: recordings → recordings.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::huggingface::Architecture;

use crate::model::Model;
use crate::session::{Ending, Input, Outputs, Recordings, Reporter};
use crate::speech::{Speaking, SpeechOptions, Spoken};

/// Options of `convert`.
#[derive(Args)]
pub struct Convert {
    /// The model's folder (a SpeechT5ForSpeechToSpeech).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    recordings: Recordings,
    #[command(flatten)]
    speech: SpeechOptions,
}

/// Converts, reports and says how the program ends.
pub fn run(options: &Convert) -> Ending {
    let model = Model::open(&options.model, Architecture::SpeechToSpeech, options.speech.precision())?;
    let inputs = options.recordings.expand()?;
    let speaking = Speaking::new(&model, &options.speech, inputs.len())?;
    let outputs = Outputs::new(options.speech.output(), &inputs, "wav")?;
    let mels = options.speech.mel().map(|to| Outputs::new(to, &inputs, "safetensors")).transpose()?;
    mels.iter().try_for_each(|mels| outputs.apart_from(mels))?;
    [Some(&outputs), mels.as_ref()].into_iter().flatten().try_for_each(|to| to.spare(options.speech.speaker()))?;
    let mut reporter = Reporter::of_files(options.speech.json, inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        let started = Instant::now();
        let written = convert(&model, &speaking, input, number, &reporter).and_then(|spoken| {
            speaking.write(&[spoken], outputs.of(number), mels.as_ref().map(|mels| mels.of(number)))
        });
        speaking.report(&mut reporter, &input.name, started, outputs.of(number), written);
        reporter.step();
    }
    Ok(reporter.finish())
}

fn convert(
    model: &Model,
    speaking: &Speaking,
    input: &Input,
    number: usize,
    reporter: &Reporter,
) -> Result<Spoken, String> {
    let (waveform, _) = model.waveform(input)?;
    let Waveforms { samples, lengths } = Waveforms::new(&[waveform], &model.device);
    let encoded = model.model.encode_speech(samples, &lengths, None, &SpeechMasks::default(), Mode::Eval);
    if let Some(warning) = model.overlong(input, encoded.lengths[0]) {
        reporter.warn(&warning);
    }
    Ok(speaking.speak(&encoded.states, number, 0))
}
