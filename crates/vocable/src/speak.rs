//! `vocable speak`: text → a recording.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_speecht5::huggingface::Architecture;
use vocable_text::spell_numbers;

use crate::model::Model;
use crate::sentences::parts;
use crate::session::{Ending, Reporter, Unusable, apart, can_be_file, same_place, standard_text};
use crate::speech::{Speaking, SpeechOptions, Spoken};

/// Options of `speak`.
#[derive(Args)]
pub struct Speak {
    /// The model's folder (a SpeechT5ForTextToSpeech).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The text; - or none reads standard input. What is longer than the model's longest text is split at the ends of
    /// sentences.
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// A file with the text.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Spell numbers as English words first.
    #[arg(long)]
    spell_numbers: bool,
    #[command(flatten)]
    speech: SpeechOptions,
}

/// Speaks, reports and says how the program ends.
pub fn run(options: &Speak) -> Ending {
    let read = [Some(options.speech.speaker()), options.file.as_deref()];
    for output in [Some(options.speech.output()), options.speech.mel()].into_iter().flatten() {
        can_be_file(output)?;
        read.into_iter().flatten().try_for_each(|read| apart(read, output))?;
    }
    if options.speech.mel().is_some_and(|mel| same_place(mel, options.speech.output())) {
        return Err(Unusable(format!("{}: both --output and --mel", options.speech.output().display())));
    }
    let model = Model::open(&options.model, Architecture::TextToSpeech, options.speech.precision())?;
    let speaking = Speaking::new(&model, &options.speech, 1)?;
    let (name, text) = text(options)?;
    let text = if options.spell_numbers { spell_numbers(&text) } else { text };
    let (tokenizer, config) = (model.tokenizer()?, &model.folder.config);
    let mut reporter = Reporter::of_files(options.speech.json, 1);
    let encoded = tokenizer.encode(&text);
    for character in &encoded.unknown {
        reporter.warn(&format!("no token for {character:?} (U+{:04X})", u32::from(*character)));
    }
    if encoded.ids.is_empty() {
        return Err(Unusable(format!("{name}: there is nothing to say")));
    }
    let started = Instant::now();
    let most = config.max_text_positions;
    // The end token counts.
    let fits = |text: &str| tokenizer.encode(text).ids.len() < most;
    let parts: Vec<Spoken> = parts(&text, fits)
        .into_iter()
        .enumerate()
        .map(|(part, text)| {
            let mut ids = tokenizer.encode(text).ids;
            ids.push(config.eos_token_id);
            if ids.len() > most {
                let count = ids.len();
                reporter.warn(&format!("{name}: a word of {count} tokens, but the model was made for {most} at most"));
            }
            let tokens = Tokens::new(&[ids], config.pad_token_id, &model.device);
            speaking.speak(&model.model.encode_text(&tokens, Mode::Eval), 0, part)
        })
        .collect();
    let output = options.speech.output();
    let written = speaking.write(&parts, output, options.speech.mel()).map(|mut object| {
        object.insert("parts".into(), parts.len().into());
        object
    });
    speaking.report(&mut reporter, &name, started, output, written);
    Ok(reporter.finish())
}

/// The text and what to call it.
fn text(options: &Speak) -> Result<(String, String), Unusable> {
    match (&options.text, &options.file) {
        (Some(text), None) if text != "-" => Ok(("text".into(), text.clone())),
        (_, Some(path)) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| Unusable(format!("{}: {error}", path.display())))?;
            Ok((path.display().to_string(), text))
        }
        _ => Ok(("standard input".into(), standard_text()?)),
    }
}
