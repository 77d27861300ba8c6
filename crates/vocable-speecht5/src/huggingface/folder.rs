use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use serde_json::Value;
use vocable_random::Key;
use vocable_text::Tokenizer;
use vocable_weights::{read_json, read_settings};

use super::HfConfig;
use super::front_end::{self, FrontEnd};
use crate::checkpoint::{Checkpoint, Format, LoadReport, part, publish};
use crate::{ModelConfig, ModelError, Regularisation, SpeakerClassifier, SpeechT5};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// What transformers generates with.
const GENERATION: &str = "generation_config.json";
/// Of `config.json`: what each class is called, and after how many tokens transformers stops where nothing else says so.
const LABELS: &str = "id2label";
const MAX_LENGTH: &str = "max_length";

/// The classes that a folder may be for, by transformers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `SpeechT5ForSpeechToText`.
    SpeechToText,
    /// `SpeechT5ForTextToSpeech`.
    TextToSpeech,
    /// `SpeechT5ForSpeechToSpeech`.
    SpeechToSpeech,
    /// `SpeechT5ForSequenceClassification`: who speaks. transformers has no such class; the name and the labels in
    /// `config.json` are as it has them for other models.
    SequenceClassification,
    /// `SpeechT5Model`: all parts, for any of the others to take what it needs.
    Base,
}

impl Architecture {
    const ALL: [Self; 5] =
        [Self::SpeechToText, Self::TextToSpeech, Self::SpeechToSpeech, Self::SequenceClassification, Self::Base];

    /// The name of the class.
    pub fn class(self) -> &'static str {
        match self {
            Self::SpeechToText => "SpeechT5ForSpeechToText",
            Self::TextToSpeech => "SpeechT5ForTextToSpeech",
            Self::SpeechToSpeech => "SpeechT5ForSpeechToSpeech",
            Self::SequenceClassification => "SpeechT5ForSequenceClassification",
            Self::Base => "SpeechT5Model",
        }
    }

    /// The parts of the model that the class has, as first components of parameters' paths.
    pub fn parts(self) -> &'static [&'static str] {
        match self {
            Self::SpeechToText => &["speech_encoder_prenet", "encoder", "decoder", "tokens"],
            Self::TextToSpeech => &[
                "text_encoder_prenet",
                "tokens",
                "encoder",
                "decoder",
                "speech_decoder_prenet",
                "speech_decoder_postnet",
            ],
            Self::SpeechToSpeech => {
                &["speech_encoder_prenet", "encoder", "decoder", "speech_decoder_prenet", "speech_decoder_postnet"]
            }
            Self::SequenceClassification => &["speech_encoder_prenet", "encoder", "decoder", "head"],
            Self::Base => &[
                "speech_encoder_prenet",
                "text_encoder_prenet",
                "tokens",
                "encoder",
                "decoder",
                "speech_decoder_prenet",
                "speech_decoder_postnet",
            ],
        }
    }

    /// Sets the longest text in tokens and the longest speech in frames, as the published models have them and
    /// transformers' conversion of the official ones writes them.
    fn limit(self, config: &mut HfConfig) {
        let (text, speech, generated) = match self {
            Self::SpeechToText => (450, 4000, Some(450)),
            Self::SequenceClassification => (450, 4000, None),
            Self::SpeechToSpeech => (450, 1876, Some(1876)),
            Self::TextToSpeech => (600, 1876, Some(1876)),
            Self::Base => (600, 4000, None),
        };
        (config.max_text_positions, config.max_speech_positions) = (text, speech);
        config.other.shift_remove(MAX_LENGTH);
        config.other.extend(generated.map(|most: usize| (MAX_LENGTH.to_owned(), Value::from(most))));
    }

    /// The name that the class has for a parameter, if it has it.
    fn holds(self, path: &str, name: &str) -> bool {
        let home = match self {
            Self::SpeechToText => "speecht5.decoder.",
            _ => "speecht5.encoder.",
        };
        let wanted = match part(path) {
            "tokens" => name.starts_with(home),
            // Nowhere else in transformers' names.
            "head" => true,
            _ => !name.starts_with("extra."),
        };
        self.parts().contains(&part(path)) && wanted
    }
}

/// What a folder says of its model beside what the model itself decides (tokens' identifiers, dropouts, longest inputs, how
/// transformers generates), for a folder that is made of it to say the same. By default those of a new folder.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    config: HfConfig,
    /// The class whose lengths and generation they are; none of a new folder.
    architecture: Option<Architecture>,
    /// The text of `generation_config.json`.
    generation: Option<String>,
}

impl Settings {
    /// Those of a folder whose `config.json` is for one of the classes; of any other folder, and of a file, those of a new
    /// folder.
    ///
    /// # Errors
    /// A file that cannot be read; a setting that no model here can have.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let folder = folder.as_ref();
        let class = class_in(folder);
        let architecture = Architecture::ALL.into_iter().find(|known| class.as_deref() == Some(known.class()));
        if architecture.is_none() {
            return Ok(Self::default());
        }
        let [path, generation] = [CONFIG, GENERATION].map(|name| folder.join(name));
        let config: HfConfig = read_json(&path)?;
        config.model().map_err(|message| ModelError::Weights { path, message })?;
        let generation = generation.exists().then(|| read_settings(&generation)).transpose()?;
        Ok(Self { config, architecture, generation })
    }

    /// The `config.json` of a model of `architecture`; if that is another class than before, it has that one's lengths.
    fn config(&self, architecture: Architecture, model: &ModelConfig, vocabulary: usize) -> Result<HfConfig, String> {
        let mut config = self.config.clone().with(model, architecture.class(), vocabulary)?;
        if self.architecture != Some(architecture) {
            architecture.limit(&mut config);
        }
        Ok(config)
    }

    /// The `generation_config.json` of a model of `architecture`, if there is one.
    fn generation(&self, architecture: Architecture) -> Option<&str> {
        self.generation.as_deref().filter(|_| self.architecture == Some(architecture))
    }
}

/// An opened folder: everything but the weights is read.
#[derive(Debug)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its `config.json`.
    pub config: HfConfig,
    /// The class it is for.
    pub architecture: Architecture,
    /// Its tokenizer, if it has one.
    pub tokenizer: Option<Tokenizer>,
    /// Its front end.
    pub front_end: FrontEnd,
    /// Its weights.
    pub checkpoint: Checkpoint,
    model: ModelConfig,
}

impl ModelFolder {
    /// Opens a folder that transformers or [`write_folder`] wrote.
    ///
    /// # Errors
    /// A file that is missing, damaged or contradicts another; a setting that no model here can have.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let config_path = path.join(CONFIG);
        if !config_path.exists() {
            let message = match (path.is_dir(), path.exists()) {
                (true, _) => "it holds no config.json, and so is no model's folder",
                (false, true) => "it is a file; a model is the folder with its config.json and weights",
                (false, false) => "there is no such folder",
            };
            return Err(ModelError::Weights { path: path.into(), message: message.into() });
        }
        let config: HfConfig = read_json(&config_path)?;
        let wrong = |message: String| ModelError::Weights { path: config_path.clone(), message };
        let classes = || Architecture::ALL.map(Architecture::class).join(", ");
        let architecture = Architecture::ALL.into_iter().find(|known| config.architectures == [known.class()]);
        let architecture = architecture
            .ok_or_else(|| wrong(format!("it is for {}; {} are read", config.architectures.join(", "), classes())))?;
        let model = config.model().map_err(wrong)?;
        let checkpoint = Checkpoint::open(path)?;
        checkpoint.warrants(&model, config.vocab_size).map_err(wrong)?;
        let tokenizer = match path.join("spm_char.model").exists() {
            true => Some(Tokenizer::open(path)?),
            false => None,
        };
        if let Some(tokenizer) = tokenizer.as_ref().filter(|tokenizer| tokenizer.len() > config.vocab_size) {
            let (tokens, rows) = (tokenizer.len(), config.vocab_size);
            return Err(wrong(format!("vocab_size is {rows}, but the tokenizer has {tokens} tokens")));
        }
        let front_end = FrontEnd::read(path)?;
        Ok(Self { path: path.into(), config, architecture, tokenizer, front_end, checkpoint, model })
    }

    /// The model's configuration, without dropout.
    pub fn model_config(&self) -> &ModelConfig {
        &self.model
    }

    /// Reads the weights; parts that the folder lacks start anew.
    ///
    /// # Errors
    /// Weights that are no floating-point numbers.
    pub fn load(&self, device: &Device) -> Result<(SpeechT5, LoadReport), ModelError> {
        let (vocabulary, pad) = (self.config.vocab_size, self.config.pad_token_id);
        let model = self.model.init(vocabulary, pad, &Regularisation::none(), Key::new(0), device);
        self.checkpoint.load(model)
    }

    /// The same; every parameter of the folder's class must be there, and nothing that is unknown.
    ///
    /// # Errors
    /// See [`LoadReport::strict`].
    pub fn load_strict(&self, device: &Device) -> Result<SpeechT5, ModelError> {
        let (model, report) = self.load(device)?;
        report.strict(self.architecture.parts(), self.checkpoint.path())?;
        Ok(model)
    }

    /// A speaker classifier, and the labels of its classes.
    ///
    /// # Errors
    /// A folder of another class; labels that are missing, or not as many as the classifier has; see
    /// [`LoadReport::strict`].
    pub fn load_classifier(&self, device: &Device) -> Result<(SpeakerClassifier, Vec<String>), ModelError> {
        let wrong = |message: String| ModelError::Weights { path: self.path.join(CONFIG), message };
        let wanted = Architecture::SequenceClassification;
        if self.architecture != wanted {
            let (found, wanted) = (self.architecture.class(), wanted.class());
            return Err(wrong(format!("it is for a {found}, which names no speakers; a {wanted} does")));
        }
        let labels = self.labels().map_err(wrong)?;
        match self.checkpoint.sizes()?.classes {
            Some(classes) if classes == labels.len() => {}
            Some(classes) => return Err(wrong(format!("{} labels for {classes} classes", labels.len()))),
            None => {
                let message = "it holds no classifier (extra.speaker_decoder_postnet)".into();
                return Err(ModelError::Weights { path: self.checkpoint.path().into(), message });
            }
        }
        let (vocabulary, pad) = (self.config.vocab_size, self.config.pad_token_id);
        let core = self.model.init(vocabulary, pad, &Regularisation::none(), Key::new(0), device);
        let init = self.model.initial(Key::new(0), device);
        let classifier = SpeakerClassifier::new(core, self.model.width, labels.len(), &init);
        let (classifier, report) = self.checkpoint.load(classifier)?;
        report.strict(wanted.parts(), self.checkpoint.path())?;
        Ok((classifier, labels))
    }

    /// What `config.json` calls the classes.
    fn labels(&self) -> Result<Vec<String>, String> {
        let named = self.config.other.get(LABELS).and_then(Value::as_object);
        let named = named.ok_or_else(|| format!("it has no {LABELS}, the names of the classes"))?;
        let label = |row: usize| Some(named.get(&row.to_string())?.as_str()?.to_owned());
        let labels: Option<Vec<String>> = (0..named.len()).map(label).collect();
        labels.ok_or_else(|| format!("{LABELS} does not name the classes 0 to {}", named.len().saturating_sub(1)))
    }
}

/// Writes a model as a folder that transformers loads: `config.json`, `preprocessor_config.json`, the tokenizer's three
/// files and `model.safetensors`. What the class does not have is left out. `settings` are what is said beside the model, those
/// of the folder that it comes from; `generation_config.json` is written where that one was for the same class and had it.
///
/// # Errors
/// A model that transformers cannot have; a tokenizer of another size than the text matrix; a folder with a model of another class,
/// or that cannot be written.
pub fn write_folder<M: Module>(
    folder: &Path,
    architecture: Architecture,
    module: &M,
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    front_end: &FrontEnd,
    settings: &Settings,
) -> Result<(), ModelError> {
    let wrong = |message: String| ModelError::Weights { path: folder.into(), message };
    let config = settings.config(architecture, model, tokenizer.len()).map_err(wrong)?;
    let generation = settings.generation(architecture);
    write(folder, architecture, module, model, config, generation, Some(tokenizer), front_end)
}

/// Writes a speaker classifier as such a folder, without a tokenizer; `labels` name the rows of its head
/// ([`sid::labels`](crate::sid::labels)), `settings` are what they are to [`write_folder`].
///
/// # Errors
/// A model that no folder can hold; a folder that cannot be written.
///
/// # Panics
/// If there are more or fewer labels than rows.
pub fn write_classifier(
    folder: &Path,
    classifier: &SpeakerClassifier,
    model: &ModelConfig,
    labels: &[String],
    front_end: &FrontEnd,
    settings: &Settings,
) -> Result<(), ModelError> {
    assert_eq!(classifier.head.projection.weight.val().dims()[1], labels.len(), "a label for each class");
    let wrong = |message: String| ModelError::Weights { path: folder.into(), message };
    let architecture = Architecture::SequenceClassification;
    let vocabulary = classifier.core.tokens.weight.val().dims()[0];
    let mut config = settings.config(architecture, model, vocabulary).map_err(wrong)?;
    let numbered = labels.iter().enumerate().map(|(row, label)| (row.to_string(), Value::from(label.as_str())));
    config.other.insert(LABELS.into(), Value::Object(numbered.collect()));
    write(folder, architecture, classifier, model, config, settings.generation(architecture), None, front_end)
}

fn write<M: Module>(
    folder: &Path,
    architecture: Architecture,
    module: &M,
    model: &ModelConfig,
    config: HfConfig,
    generation: Option<&str>,
    tokenizer: Option<&Tokenizer>,
    front_end: &FrontEnd,
) -> Result<(), ModelError> {
    let wrong = |message: String| ModelError::Weights { path: folder.into(), message };
    if model.prenet_last_relu && architecture.parts().contains(&"speech_decoder_prenet") {
        let message = "transformers has no ReLU behind the third layer of the speech-decoder pre-net; train with \
                       model.prenet_last_relu=false, or write the extended file";
        return Err(wrong(message.into()));
    }
    if let Some(other) = class_in(folder).filter(|class| class != architecture.class()) {
        return Err(wrong(format!("a model of another class is there, {other}; name another folder")));
    }
    let name = |path: &str| {
        let mut names = Format::HuggingFace.names(path);
        names.find(|(name, _)| architecture.holds(path, name))
    };
    let tensors = vocable_published::published(module, name, |path| publish::taps(path, model));
    let rows = |(name, tensor): &(String, vocable_published::Published)| {
        name.ends_with("embed_tokens.weight").then(|| vocable_weights::View::shape(tensor)[0])
    };
    let tokens = config.vocab_size;
    if let Some(rows) = tensors.iter().find_map(rows).filter(|rows| *rows != tokens) {
        return Err(wrong(format!("the text matrix has {rows} rows, the tokenizer {tokens} tokens")));
    }
    fs::create_dir_all(folder).map_err(|error| wrong(error.to_string()))?;
    publish::write(&folder.join(WEIGHTS), tensors)?;
    if let Some(tokenizer) = tokenizer {
        tokenizer.save(folder)?;
    }
    write_json(&folder.join(front_end::FILE), &front_end.to_json())?;
    match generation {
        Some(generation) => write_text(&folder.join(GENERATION), generation)?,
        // One of the model that was there before would rule over this one.
        None => match fs::remove_file(folder.join(GENERATION)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrong(error.to_string())),
            _ => {}
        },
    }
    // Last: a folder without it is no model's.
    write_json(&folder.join(CONFIG), &serde_json::to_value(config).expect("plain numbers and words"))
}

/// The class of the model that is in a folder, if there is one.
fn class_in(folder: &Path) -> Option<String> {
    let path = folder.join(CONFIG);
    let config: Value = path.exists().then(|| read_json(&path).unwrap_or_default())?;
    Some(config["architectures"][0].as_str().unwrap_or("of none that its config.json names").to_owned())
}

fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    write_text(path, &format!("{value:#}\n"))
}

fn write_text(path: &Path, text: &str) -> Result<(), ModelError> {
    vocable_data::files::write_atomically(path, |out| std::io::Write::write_all(out, text.as_bytes()))
        .map_err(ModelError::from)
}
