//! `vocable import` and `vocable export`: models from and to published files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use serde_json::Value;
use vocable_random::Key;
use vocable_speecht5::checkpoint::{Checkpoint, LoadReport, write_extended, write_fairseq};
use vocable_speecht5::huggingface::{Architecture, FrontEnd, ModelFolder, Settings, write_classifier, write_folder};
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeakerClassifier, SpeechT5, sid};
use vocable_text::{CharVocabulary, Tokenizer};

use crate::session::{Ending, Unusable, Waiting, apart, can_be_file, can_be_folder, same_place, say};

/// Options of `import`.
#[derive(Args)]
pub struct Import {
    /// Weights with fairseq's or transformers' names (`speecht5_base.pt`, an extended file).
    file: PathBuf,
    /// A folder with spm_char.model and, if there are any, added_tokens.json; not needed for --extended and --fairseq.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["extended", "fairseq", "speakers"])]
    tokenizer: Option<PathBuf>,
    /// The names of a speaker classifier's speakers in the order of its classes, one a line (or fairseq's dict.txt);
    /// makes a SpeechT5ForSequenceClassification.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["extended", "class"])]
    speakers: Option<PathBuf>,
    /// Whose switches hold where the sources differ and no tensor tells.
    #[arg(long, default_value = "hf")]
    preset: Origin,
    /// Fail where a tensor of the model is missing or has another shape, or one of the file is unknown.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    destination: Destination,
}

/// Options of `export`.
#[derive(Args)]
pub struct Export {
    /// A model folder, or the folder of a finished stage of training (`runs/stages/finetune-asr-…`, `finetune-sid-…`). What ends in
    /// speech has a form in transformers where it was trained with `model.prenet_last_relu=false`.
    from: PathBuf,
    #[command(flatten)]
    destination: Destination,
}

/// Where a model goes, and what for.
#[derive(Args)]
struct Destination {
    /// The folder to make, for transformers to load; with --extended or --fairseq a file.
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// The class of transformers that it is for; of a model folder or a stage, its own where none is given.
    #[arg(long = "as", value_name = "CLASS")]
    class: Option<Class>,
    /// Write all parts into one safetensors file that loses nothing, with transformers' names and, behind `extra.`,
    /// fairseq's.
    #[arg(long)]
    extended: bool,
    /// Write all parts into one file that `torch.load` reads, with the official code's names under `model`; the options and the
    /// optimiser's state that fairseq's programs keep beside it are not in it.
    #[arg(long, conflicts_with_all = ["extended", "class"])]
    fairseq: bool,
}

impl Destination {
    fn check(&self) -> Result<(), Unusable> {
        match self.extended || self.fairseq {
            true => can_be_file(&self.output),
            false => can_be_folder(&self.output),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    /// SpeechT5ForSpeechToText
    Asr,
    /// SpeechT5ForTextToSpeech
    Tts,
    /// SpeechT5ForSpeechToSpeech
    Vc,
    /// SpeechT5Model, all parts
    Base,
}

#[derive(Clone, Copy, ValueEnum)]
enum Origin {
    Paper,
    Official,
    Hf,
}

impl From<Class> for Architecture {
    fn from(class: Class) -> Self {
        match class {
            Class::Asr => Self::SpeechToText,
            Class::Tts => Self::TextToSpeech,
            Class::Vc => Self::SpeechToSpeech,
            Class::Base => Self::Base,
        }
    }
}

/// A model in memory with what belongs to it.
struct Whole {
    model: SpeechT5,
    config: ModelConfig,
    tokenizer: Option<Tokenizer>,
    front_end: FrontEnd,
    settings: Settings,
    /// What it was for.
    architecture: Architecture,
    /// Parts that no file had, and that are therefore new.
    absent: Vec<String>,
    /// Where it came from, for a file of all parts to hold what the model has no place for.
    source: Option<(Checkpoint, LoadReport)>,
}

/// A speaker classifier in memory with what belongs to it.
struct Classifier {
    model: SpeakerClassifier,
    config: ModelConfig,
    labels: Vec<String>,
    front_end: FrontEnd,
    settings: Settings,
}

/// Imports.
pub fn import(options: &Import) -> Ending {
    options.destination.check()?;
    let output = &options.destination.output;
    if same_place(&options.file, output) {
        return Err(Unusable(format!("{}: it would take its own place; name another", options.file.display())));
    }
    if lies_in(&options.file, output) {
        let message = "what is imported lies in it, where the model's files would be replaced; name another folder";
        return Err(Unusable(format!("{}: {message}", output.display())));
    }
    for read in [Some(&options.file), options.tokenizer.as_ref(), options.speakers.as_ref()].into_iter().flatten() {
        apart(read, output)?;
        if lies_in(output, read) {
            return Err(Unusable(format!("{}: it is a file of what is read; name another", output.display())));
        }
    }
    let waiting = Waiting::new("importing");
    let written = imported(options, &waiting)?;
    drop(waiting);
    say(written);
    Ok(ExitCode::SUCCESS)
}

/// Whether a file that is there lies in a folder, not deeper.
fn lies_in(file: &Path, folder: &Path) -> bool {
    file.is_file() && same_place(vocable_files::folder(file), folder)
}

/// What was written.
fn imported(options: &Import, waiting: &Waiting) -> Result<String, Unusable> {
    let checkpoint = Checkpoint::open(&options.file)?;
    let preset = match options.preset {
        Origin::Paper => Preset::Paper,
        Origin::Official => Preset::Official,
        Origin::Hf => Preset::Hf,
    };
    let config = checkpoint.config(preset)?;
    if let Some(path) = &options.speakers {
        return Classifier::of_checkpoint(&checkpoint, config, path)?.write(&options.destination);
    }
    let tokenizer = options.tokenizer.as_ref().map(Tokenizer::open).transpose()?;
    let rows = checkpoint.sizes()?.vocabulary.or(tokenizer.as_ref().map(Tokenizer::len)).unwrap_or(0);
    let pad = tokenizer.as_ref().and_then(|tokenizer| tokenizer.id("<pad>")).unwrap_or(1);
    let (model, report) = checkpoint.load(fresh(&config, rows, pad))?;
    if options.strict {
        report.strict(&[], checkpoint.path())?;
    }
    let unread = [("lacks", &report.missing), ("has another shape of", &report.reshaped)];
    for (what, names) in unread.into_iter().chain([("holds the unknown tensor", &report.unexpected)]) {
        names.iter().for_each(|name| waiting.warn(&format!("{}: it {what} {name}", options.file.display())));
    }
    let absent = report.absent.clone();
    // What lies beside the weights, where their folder is named.
    let (front_end, settings) = (FrontEnd::read(&options.file)?, Settings::read(&options.file)?);
    let architecture = Architecture::Base;
    let source = Some((checkpoint, report));
    write(&Whole { model, config, tokenizer, front_end, settings, architecture, absent, source }, &options.destination)
}

/// Exports.
pub fn export(options: &Export) -> Ending {
    let from = &options.from;
    options.destination.check()?;
    if same_place(from, &options.destination.output) {
        return Err(Unusable(format!("{}: it is the model itself; name another folder", from.display())));
    }
    let output = &options.destination.output;
    if lies_in(output, from) {
        return Err(Unusable(format!("{}: it is a file of the model itself; name another", output.display())));
    }
    let waiting = Waiting::new("exporting");
    let written = exported(options)?;
    drop(waiting);
    say(written);
    Ok(ExitCode::SUCCESS)
}

/// What was written.
fn exported(options: &Export) -> Result<String, Unusable> {
    let from = &options.from;
    if from.join("manifest.json").exists() {
        let stage = Stage::open(from)?;
        return match stage.architecture {
            Architecture::SequenceClassification => Classifier::of_stage(&stage)?.write(&options.destination),
            _ => write(&of_stage(stage)?, &options.destination),
        };
    }
    let folder = ModelFolder::open(from)?;
    match folder.architecture {
        Architecture::SequenceClassification => Classifier::of_folder(folder)?.write(&options.destination),
        _ => write(&of_folder(folder)?, &options.destination),
    }
}

fn of_folder(folder: ModelFolder) -> Result<Whole, Unusable> {
    let ModelFolder { path, config, architecture, tokenizer, front_end, checkpoint, .. } = folder;
    let settings = Settings::read(path)?;
    let model = config.model().map_err(Unusable)?;
    let (loaded, report) = checkpoint.load(fresh(&model, config.vocab_size, config.pad_token_id))?;
    report.strict(architecture.parts(), checkpoint.path())?;
    let absent = report.absent.clone();
    let source = Some((checkpoint, report));
    Ok(Whole { model: loaded, config: model, tokenizer, front_end, settings, architecture, absent, source })
}

fn of_stage(stage: Stage) -> Result<Whole, Unusable> {
    let model = vocable_train::load_model(stage.fresh(), &stage.output("model.safetensors"))?;
    let Stage { config, vocabulary, architecture, .. } = stage;
    Ok(Whole {
        model,
        config,
        tokenizer: Some(Tokenizer::from(&vocabulary)),
        front_end: FrontEnd::default(),
        settings: Settings::default(),
        architecture,
        absent: Vec::new(),
        source: None,
    })
}

/// A finished stage of training, with the vocabulary of the stage that prepared its corpus.
struct Stage {
    path: PathBuf,
    architecture: Architecture,
    config: ModelConfig,
    vocabulary: CharVocabulary,
}

impl Stage {
    fn open(path: &Path) -> Result<Self, Unusable> {
        let wrong = |file: &Path, message: &str| Unusable(format!("{}: {message}", file.display()));
        let file = path.join("manifest.json");
        let manifest: Value =
            serde_json::from_slice(&read(&file)?).map_err(|error| wrong(&file, &error.to_string()))?;
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let architecture = match kind {
            "pretrain" => Architecture::Base,
            "finetune-asr" => Architecture::SpeechToText,
            "finetune-vc" | "finetune-se" => Architecture::SpeechToSpeech,
            "finetune-tts" => Architecture::TextToSpeech,
            "finetune-sid" => Architecture::SequenceClassification,
            "finetune-st" => {
                return Err(wrong(
                    path,
                    "its vocabulary is the translations', which a folder of transformers cannot hold",
                ));
            }
            _ => return Err(wrong(path, &format!("a stage {kind:?} leaves no model for others"))),
        };
        if manifest["status"] != "done" {
            return Err(wrong(path, &format!("the stage is {}; finish it first", manifest["status"])));
        }
        let file = path.join("config.toml");
        let text = String::from_utf8_lossy(&read(&file)?).into_owned();
        let stored: Value = toml::from_str(&text).map_err(|error| wrong(&file, &error.to_string()))?;
        // The first thing that a stage of training depends on is its model.
        let mut config = stored["config"][0].clone();
        none_to_null(&mut config);
        let config: ModelConfig = serde_json::from_value(config).map_err(|error| wrong(&file, &error.to_string()))?;
        let prepared = manifest["inputs"]["prepare"].as_str().unwrap_or_default();
        let vocabulary = CharVocabulary::load(path.join("..").join(prepared).join("outputs/vocabulary.json"))?;
        Ok(Self { path: path.into(), architecture, config, vocabulary })
    }

    fn output(&self, name: &str) -> PathBuf {
        self.path.join("outputs").join(name)
    }

    fn fresh(&self) -> SpeechT5 {
        fresh(&self.config, self.vocabulary.len(), self.vocabulary.pad())
    }
}

impl Classifier {
    fn of_folder(folder: ModelFolder) -> Result<Self, Unusable> {
        let (model, labels) = folder.load_classifier(&Device::flex())?;
        let settings = Settings::read(&folder.path)?;
        Ok(Self { model, labels, config: folder.model_config().clone(), front_end: folder.front_end, settings })
    }

    fn of_stage(stage: &Stage) -> Result<Self, Unusable> {
        let path = stage.output("speakers.json");
        let wrong = |message: String| Unusable(format!("{}: {message}", path.display()));
        let speakers: Vec<String> = serde_json::from_slice(&read(&path)?).map_err(|error| wrong(error.to_string()))?;
        let labels = sid::labels(&speakers);
        let model = Self::fresh(stage.fresh(), &stage.config, &labels);
        let model = vocable_train::load_model(model, &stage.output("model.safetensors"))?;
        let (front_end, settings) = (FrontEnd::default(), Settings::default());
        Ok(Self { model, labels, config: stage.config.clone(), front_end, settings })
    }

    fn of_checkpoint(checkpoint: &Checkpoint, config: ModelConfig, names: &Path) -> Result<Self, Unusable> {
        let labels = sid::labels(&speakers(&String::from_utf8_lossy(&read(names)?)));
        if let Some(label) = repeated(&labels) {
            let message = format!("two classes would be called {label:?}; give each speaker a name of its own");
            return Err(Unusable(format!("{}: {message}", names.display())));
        }
        let sizes = checkpoint.sizes()?;
        let classes = sizes.classes.ok_or_else(|| {
            Unusable(format!("{}: it holds no speaker classifier; leave --speakers out", checkpoint.path().display()))
        })?;
        if classes != labels.len() {
            let (named, wanted) =
                (labels.len() - sid::labels(&[]).len(), classes.saturating_sub(sid::labels(&[]).len()));
            return Err(Unusable(format!("{}: {named} speakers, where {wanted} are classified", names.display())));
        }
        let core = fresh(&config, sizes.vocabulary.unwrap_or(labels.len()), 1);
        let (model, report) = checkpoint.load(Self::fresh(core, &config, &labels))?;
        report.strict(Architecture::SequenceClassification.parts(), checkpoint.path())?;
        Ok(Self { model, labels, config, front_end: FrontEnd::default(), settings: Settings::default() })
    }

    fn fresh(core: SpeechT5, config: &ModelConfig, labels: &[String]) -> SpeakerClassifier {
        SpeakerClassifier::new(core, config.width, labels.len(), &config.initial(Key::new(0), &Device::flex()))
    }

    fn write(&self, to: &Destination) -> Result<String, Unusable> {
        if to.extended || to.class.is_some() {
            let message = "a speaker classifier goes into a folder of its own class; leave --extended and --as out";
            return Err(Unusable(message.into()));
        }
        let Self { model, config, labels, front_end, settings } = self;
        if to.fairseq {
            write_fairseq(&to.output, model, config, None)?;
            return Ok(format!("{}: a file in the official names", to.output.display()));
        }
        write_classifier(&to.output, model, config, labels, front_end, settings)?;
        Ok(format!("{}: a {}", to.output.display(), Architecture::SequenceClassification.class()))
    }
}

/// The names of speakers in a list, one a line. fairseq's dictionaries have a count behind each, which no name keeps; where some
/// lines have none, or what is before the numbers is no name of its own, the numbers are part of the names.
fn speakers(list: &str) -> Vec<String> {
    let lines = || list.lines().map(str::trim).filter(|line| !line.is_empty());
    let counted = |line: &'_ str| {
        let (name, count) = line.rsplit_once(' ')?;
        count.parse::<u64>().is_ok().then(|| name.to_owned())
    };
    let names: Option<Vec<String>> = lines().map(counted).collect();
    match names {
        Some(names) if repeated(&names).is_none() => names,
        _ => lines().map(str::to_owned).collect(),
    }
}

/// The first name that is there twice.
fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = HashSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

/// Optional parts that are off are stored as "none".
fn none_to_null(value: &mut Value) {
    match value {
        Value::String(text) if text == "none" => *value = Value::Null,
        Value::Array(items) => items.iter_mut().for_each(none_to_null),
        Value::Object(map) => map.values_mut().for_each(none_to_null),
        _ => {}
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|error| Unusable(format!("{}: {error}", path.display())))
}

fn fresh(config: &ModelConfig, vocabulary: usize, pad: u32) -> SpeechT5 {
    config.init(vocabulary, pad, &Regularisation::none(), Key::new(0), &Device::flex())
}

fn write(whole: &Whole, to: &Destination) -> Result<String, Unusable> {
    let Whole { model, config, tokenizer, front_end, settings, architecture, absent, source } = whole;
    let output = to.output.display();
    let source = source.as_ref().map(|(checkpoint, report)| (checkpoint, report));
    if to.extended {
        write_extended(&to.output, model, config, source)?;
        return Ok(format!("{output}: an extended file"));
    }
    if to.fairseq {
        write_fairseq(&to.output, model, config, source)?;
        return Ok(format!("{output}: a file in the official names"));
    }
    let architecture = to.class.map_or(*architecture, Architecture::from);
    if let Some(part) = architecture.parts().iter().find(|part| absent.iter().any(|absent| absent == *part)) {
        let class = architecture.class();
        return Err(Unusable(format!("the model lacks everything of {part}, which a {class} has; choose --as")));
    }
    let tokenizer =
        tokenizer.as_ref().ok_or_else(|| Unusable("the model has no tokenizer; give --tokenizer".into()))?;
    write_folder(&to.output, architecture, model, config, tokenizer, front_end, settings)?;
    Ok(format!("{output}: a {}", architecture.class()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_no_part_of_names_and_other_numbers_are() {
        for (list, names) in [
            ("anna 20\nben of the hill 7\n\nspeaker 3 7\n", &["anna", "ben of the hill", "speaker 3"][..]),
            ("speaker 1\nspeaker 2\n", &["speaker 1", "speaker 2"]),
            ("anna\n  speaker 2 \n", &["anna", "speaker 2"]),
            ("\n", &[]),
        ] {
            assert_eq!(speakers(list), names);
        }
    }
}
