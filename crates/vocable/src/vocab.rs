//! `vocable vocab`: the characters that a model knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Args, Subcommand};
use vocable_random::Key;
use vocable_speecht5::huggingface::{ModelFolder, Settings, write_folder};

use crate::session::{Ending, Unusable, Waiting, can_be_folder, same_place, say};

/// What to do with a vocabulary.
#[derive(Subcommand)]
pub enum Vocab {
    /// Add characters to a model: rows of the text matrix for them are drawn, all others stay as they are.
    Extend(Extend),
}

/// Options of `vocab extend`.
#[derive(Args)]
pub struct Extend {
    /// The model's folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The new characters, one after the other.
    #[arg(long, required_unless_present = "from")]
    characters: Option<String>,
    /// A text of which every character that the model does not know is added.
    #[arg(long, value_name = "FILE", conflicts_with = "characters")]
    from: Option<PathBuf>,
    /// The folder to make.
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Decides on the new rows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Extends a vocabulary.
pub fn run(Vocab::Extend(options): &Vocab) -> Ending {
    can_be_folder(&options.output)?;
    if same_place(&options.model, &options.output) {
        return Err(Unusable(format!("{}: it is the model itself; name another folder", options.output.display())));
    }
    let folder = ModelFolder::open(&options.model)?;
    let missing = || Unusable(format!("{}: it has no spm_char.model", options.model.display()));
    let tokenizer = folder.tokenizer.as_ref().ok_or_else(missing)?;
    if tokenizer.len() != folder.config.vocab_size {
        let (tokens, rows) = (tokenizer.len(), folder.config.vocab_size);
        return Err(Unusable(format!("{}: {tokens} tokens, but {rows} rows", options.model.display())));
    }
    let characters: Vec<char> = match (&options.characters, &options.from) {
        (Some(characters), _) => characters.chars().collect(),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| Unusable(format!("{}: {error}", path.display())))?;
            tokenizer.encode(&text).unknown.into_iter().collect::<BTreeSet<char>>().into_iter().collect()
        }
        (None, None) => Vec::new(),
    };
    if let Some(known) = characters.iter().find(|known| tokenizer.id(&known.to_string()).is_some()) {
        return Err(Unusable(format!("{}: it has {known:?} already", options.model.display())));
    }
    if characters.is_empty() {
        return Err(Unusable(format!("{}: there is no character to add to it", options.model.display())));
    }
    let waiting = Waiting::new("extending");
    let device = Device::flex();
    let model = folder.load_strict(&device)?;
    let (extended, before) = tokenizer.extended(&characters)?;
    let init = folder.model_config().initial(Key::new(options.seed), &device);
    let model = model.with_vocabulary(&before, &init);
    let ModelFolder { architecture, front_end, .. } = &folder;
    let settings = Settings::read(&options.model)?;
    write_folder(&options.output, *architecture, &model, folder.model_config(), &extended, front_end, &settings)?;
    let added: String = characters.iter().collect();
    drop(waiting);
    let (tokens, new) = (extended.len(), characters.len());
    say(format_args!("{}: {tokens} tokens, {new} of them new: {added}", options.output.display()));
    Ok(ExitCode::SUCCESS)
}
