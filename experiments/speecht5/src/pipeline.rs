//! From a configuration to the chain of stages that scores it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use vocable_data::manifest::{Language, Manifest, Split, Utterance};
use vocable_data::{DataError, files};
use vocable_lab::{ConfigError, Cost, Stage, Unavailable};
use vocable_random::Key;
use vocable_speecht5::Regularisation;
use vocable_text::CharVocabulary;
use vocable_train::{Outcome, TrainConfig};

use crate::config::{DataConfig, Recipe, RunConfig};
use crate::stages::data::{Datasets, Source, Text};
use crate::stages::speech::{self, SpeechTask};
use crate::stages::{asr, checkpoint, decoder, hubert, judge, lm, pretrain, sid, st, units};

/// Floating-point operations per second of a training step on two cores with AVX-512, measured at scale `mini`;
/// estimates of time are this coarse.
pub const OPERATIONS_PER_SECOND: f64 = 6e10;

/// Builds stages; remembers what is costly to know about a corpus or a model.
#[derive(Debug, Default)]
pub struct Pipeline {
    sources: RefCell<HashMap<String, Rc<Known>>>,
    parameters: RefCell<HashMap<String, u64>>,
    /// Of files and folders, by their paths.
    hashes: RefCell<HashMap<PathBuf, String>>,
    datasets: Arc<Datasets>,
}

/// What a quantizer hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// Encoder states of speech.
    Speech,
    /// Encoder states of text.
    Text,
}

/// What is known about a corpus before it is prepared.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    hash: String,
    /// Mean length of a training utterance in seconds.
    seconds: f64,
    /// Whether the training split, and the clean test split, have a sentence in two voices.
    parallel: [bool; 2],
    /// Utterances of each split, in the order of [`Split::ALL`].
    sizes: [usize; 4],
    /// Utterances of each split that have a text, in the same order.
    transcribed: [usize; 4],
    /// Splits with an utterance that has a translation, and into what.
    translated: Vec<(Split, Language)>,
    /// Whether two voices are trained on and one of them is tested.
    identifiable: bool,
    /// Whether two voices that are trained on are tested, one of them in two utterances.
    verifiable: bool,
}

impl Known {
    fn size(&self, split: Split) -> usize {
        of_split(self.sizes, split)
    }

    fn transcribed(&self, split: Split) -> usize {
        of_split(self.transcribed, split)
    }
}

/// The number of a split among those of all.
fn of_split(numbers: [usize; 4], split: Split) -> usize {
    Split::ALL.iter().zip(numbers).find(|(other, _)| **other == split).map_or(0, |(_, number)| number)
}

/// The file that a configuration means by a manifest.
pub fn manifest_path(manifest: &str) -> PathBuf {
    match manifest {
        "mini" => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl"),
        path => PathBuf::from(path),
    }
}

/// Reads the manifests of a configuration, as a check before anything runs.
pub fn check_data(data: &DataConfig) -> Result<(), ConfigError> {
    for manifest in [Some(&data.manifest), data.noise.as_ref()].into_iter().flatten() {
        Manifest::read(manifest_path(manifest)).map_err(|error| ConfigError::Other(error.to_string()))?;
    }
    let is_file = !["auto", "grammar", "transcripts"].contains(&data.text.as_str());
    if is_file && !Path::new(&data.text).is_file() {
        let message = format!("data.text: {} is no file; give one, or auto, grammar or transcripts", data.text);
        return Err(ConfigError::Other(message));
    }
    if let Some(path) = &data.vocabulary {
        CharVocabulary::open(path).map_err(|error| ConfigError::Other(format!("data.vocabulary: {error}")))?;
    }
    Ok(())
}

/// Whether recognition is decoded with a language model.
fn fused(c: &RunConfig) -> bool {
    c.evaluation.search.lm_weight > 0.0
}

/// The split that a recipe chooses its best checkpoint on, if it does.
fn chosen_on(train: &TrainConfig) -> Option<Split> {
    matches!(train.outcome, Outcome::Best(_)).then_some(Split::Valid)
}

impl Pipeline {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stage that scores recognition on a test split.
    pub fn asr_score(&self, c: &RunConfig, split: Split) -> Result<Arc<Stage>, Unavailable> {
        for needed in [Split::Train, split].into_iter().chain(chosen_on(&c.asr.train)) {
            self.needs_texts(c, needed)?;
        }
        let prepare = self.prepare(c)?;
        let model = self.start(c, &prepare, |inputs| asr::finetune(c, inputs, &self.datasets))?;
        let lm = fused(c).then(|| self.lm(c, &prepare)).transpose()?;
        let decode = asr::decode(c, &prepare, &model, lm.as_ref(), split, &self.datasets);
        Ok(asr::score(c, &prepare, &decode, split, &self.datasets))
    }

    /// The stage that scores translation on a test split.
    pub fn st_score(&self, c: &RunConfig, split: Split) -> Result<Arc<Stage>, Unavailable> {
        let language = c.st.task.output.language;
        for needed in [Split::Train, split].into_iter().chain(chosen_on(&c.st.train)) {
            self.needs(c, needed)?;
            if !self.known(&c.data.manifest)?.translated.contains(&(needed, language)) {
                let message = format!("the corpus has no `text_{}` in its `{needed}` split", language.code());
                return Err(Unavailable(message));
            }
        }
        let prepare = self.prepare(c)?;
        let vocabulary = st::vocabulary(c, &prepare, &self.datasets);
        let finetune = |inputs| {
            let inputs = Inputs { vocabulary: Some(Arc::clone(&vocabulary)), ..inputs };
            st::finetune(c, inputs, &self.datasets)
        };
        let model = self.start(c, &prepare, finetune)?;
        let decode = st::decode(c, &prepare, &vocabulary, &model, split, &self.datasets);
        Ok(st::score(c, &prepare, &decode, split, &self.datasets))
    }

    /// The stage that scores the language model of recognition on the transcripts of a test split.
    pub fn lm_score(&self, c: &RunConfig, split: Split) -> Result<Arc<Stage>, Unavailable> {
        if !fused(c) {
            return Err(Unavailable("this row has no language model".into()));
        }
        self.needs_texts(c, split)?;
        let prepare = self.prepare(c)?;
        Ok(lm::score(c, &prepare, &self.lm(c, &prepare)?, split, &self.datasets))
    }

    /// The stage that trains the language model of recognition.
    fn lm(&self, c: &RunConfig, prepare: &Arc<Stage>) -> Result<Arc<Stage>, Unavailable> {
        if let Some(split) = chosen_on(&c.lm.train) {
            self.needs_texts(c, split)?;
        }
        Ok(lm::stage(c, prepare, &self.datasets))
    }

    /// The stage that scores a task that ends in speech by its sound.
    pub fn speech_score<I: SpeechTask>(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        let (heard, decode) = self.speech::<I>(c)?;
        Ok(speech::score::<I>(c, &heard, &decode, &self.datasets))
    }

    /// The stage that scores a task that ends in speech by what a recogniser makes of it: the same for every row, that of
    /// the full model.
    pub fn speech_heard<I: SpeechTask>(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        for needed in std::iter::once(Split::Train).chain(chosen_on(&c.asr.train)) {
            self.needs_texts(c, needed)?;
        }
        if !I::READS && !I::SAYS_AGAIN {
            self.needs_every_text(c, Split::TestClean)?;
        }
        let (heard, decode) = self.speech::<I>(c)?;
        let mut judge = c.clone();
        (judge.pretrain, judge.from_hubert, judge.initial_decoder) = (Some(c.units.teacher.clone()), false, false);
        judge.evaluation.search.lm_weight = 0.0;
        let recogniser = self.start(&judge, &heard.prepare, |inputs| asr::finetune(&judge, inputs, &self.datasets))?;
        Ok(speech::hear::<I>(c, &judge, &heard, &decode, &recogniser, &self.datasets))
    }

    /// The stage that scores a task that ends in speech by what a program of others says of its sounds.
    pub fn speech_judged<I: SpeechTask>(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        let Some(command) = c.judge.clone() else {
            return Err(Unavailable("no judge is given (judge=COMMAND)".into()));
        };
        let (heard, decode) = self.speech::<I>(c)?;
        Ok(judge::stage::<I>(c, command, &heard, &decode, &self.datasets))
    }

    /// What the task hears, and what it says.
    fn speech<I: SpeechTask>(&self, c: &RunConfig) -> Result<(Heard, Arc<Stage>), Unavailable> {
        for needed in [Split::Train, Split::TestClean].into_iter().chain(chosen_on(&I::recipe(c).train)) {
            self.needs(c, needed)?;
            if I::READS {
                self.needs_texts(c, needed)?;
            }
        }
        if I::SAYS_AGAIN {
            self.needs_parallel(c)?;
        }
        let heard = Heard { prepare: self.prepare(c)?, noise: self.noise::<I>(c)? };
        let finetune = |inputs| {
            let inputs = Inputs { noise: heard.noise.clone(), ..inputs };
            speech::finetune::<I>(c, inputs, &self.datasets)
        };
        let model = self.start(c, &heard.prepare, finetune)?;
        let decode = speech::decode::<I>(c, &heard, &model, &self.datasets);
        Ok((heard, decode))
    }

    /// The recordings that a task mixes its speech with, if it does.
    fn noise<I: SpeechTask>(&self, c: &RunConfig) -> Result<Option<Arc<Stage>>, Unavailable> {
        let Some(manifest) = I::noise(c) else { return Ok(None) };
        let known = self.known(manifest)?;
        Ok(Some(crate::stages::data::noise(known.path.clone(), known.hash.clone(), &c.data, &self.datasets)))
    }

    fn needs(&self, c: &RunConfig, split: Split) -> Result<(), Unavailable> {
        match self.known(&c.data.manifest)?.size(split) {
            0 => Err(Unavailable(format!("the corpus has no `{split}` split"))),
            _ => Ok(()),
        }
    }

    /// Utterances without a text are left out of what needs one.
    fn needs_texts(&self, c: &RunConfig, split: Split) -> Result<(), Unavailable> {
        self.needs(c, split)?;
        match self.known(&c.data.manifest)?.transcribed(split) {
            0 => Err(Unavailable(format!("no utterance of the `{split}` split has a text"))),
            _ => Ok(()),
        }
    }

    /// What is said without a text can be scored by its sound, but not by its words.
    fn needs_every_text(&self, c: &RunConfig, split: Split) -> Result<(), Unavailable> {
        let known = self.known(&c.data.manifest)?;
        match known.size(split) - known.transcribed(split) {
            0 => Ok(()),
            count => Err(Unavailable(format!("{count} utterances of the `{split}` split have no text"))),
        }
    }

    fn needs_parallel(&self, c: &RunConfig) -> Result<(), Unavailable> {
        let parallel = self.known(&c.data.manifest)?.parallel;
        match parallel.into_iter().zip([Split::Train, Split::TestClean]).find(|(parallel, _)| !parallel) {
            Some((_, split)) => Err(Unavailable(format!("no sentence of the `{split}` split is spoken by two voices"))),
            None => Ok(()),
        }
    }

    /// The stage that scores speaker identification.
    pub fn sid_score(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        let [prepare, model] = self.identified(c)?;
        Ok(sid::score(c, &sid::decode(c, &prepare, &model, &self.datasets)))
    }

    /// The stage that scores how well voices are told apart without naming them.
    pub fn sid_verification(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        if !self.known(&c.data.manifest)?.verifiable {
            let message = "verification needs two voices of `train` in `test-clean`, one of them in two utterances";
            return Err(Unavailable(message.into()));
        }
        let [prepare, model] = self.identified(c)?;
        Ok(sid::verify(c, &prepare, &model, &self.datasets))
    }

    /// The stages that prepare the data of speaker identification and train it.
    fn identified(&self, c: &RunConfig) -> Result<[Arc<Stage>; 2], Unavailable> {
        if !self.known(&c.data.manifest)?.identifiable {
            return Err(Unavailable(
                "identification needs two voices in `train`, and one of them in `test-clean`".into(),
            ));
        }
        if let Some(split) = chosen_on(&c.sid.train) {
            self.needs(c, split)?;
        }
        let prepare = self.prepare(c)?;
        let model = self.start(c, &prepare, |inputs| sid::finetune(c, inputs, &self.datasets))?;
        Ok([prepare, model])
    }

    /// The stage that reports the use of the codes at the end of pre-training.
    pub fn codes_score(&self, c: &RunConfig, modality: Modality) -> Result<Arc<Stage>, Unavailable> {
        let quantized = c.pretrain.as_ref().is_some_and(|Recipe { task, .. }| {
            let present = match modality {
                Modality::Speech => task.speech.is_some(),
                Modality::Text => task.text.is_some(),
            };
            present && task.quantizer.is_some()
        });
        if !quantized {
            return Err(Unavailable("this row quantizes no such states".into()));
        }
        if c.checkpoint.is_some() {
            return Err(Unavailable("a published checkpoint does not say how its codes were used".into()));
        }
        let prepare = self.prepare(c)?;
        Ok(pretrain::score(&self.pretrain(c, &prepare)?))
    }

    /// A fine-tuning stage with what it starts from.
    fn start(
        &self,
        c: &RunConfig,
        prepare: &Arc<Stage>,
        finetune: impl FnOnce(Inputs) -> Arc<Stage>,
    ) -> Result<Arc<Stage>, Unavailable> {
        let pretrain = match c.pretrain {
            Some(_) if c.initial_decoder => Some(decoder::stage(c, prepare, &self.pretrain(c, prepare)?)),
            Some(_) => Some(self.pretrain(c, prepare)?),
            None if c.from_hubert => Some(self.hubert(c, prepare)?),
            None => None,
        };
        Ok(finetune(Inputs {
            prepare: Arc::clone(prepare),
            noise: None,
            pretrain,
            vocabulary: None,
            cost: self.costs(c)?,
        }))
    }

    fn prepare(&self, c: &RunConfig) -> Result<Arc<Stage>, Unavailable> {
        let known = self.known(&c.data.manifest)?;
        let text = match (c.data.text.as_str(), c.data.manifest.as_str()) {
            ("grammar", _) | ("auto", "mini") => Text::Grammar,
            ("transcripts" | "auto", _) => Text::Transcripts,
            (file, _) => Text::File { path: file.into(), hash: self.hash(Path::new(file), files::file_sha256)? },
        };
        let unreadable = |error: vocable_text::TextError| Unavailable(error.to_string());
        let vocabulary = c.data.vocabulary.as_ref().map(CharVocabulary::open).transpose().map_err(unreadable)?;
        let (manifest, hash) = (known.path.clone(), known.hash.clone());
        let source = Source { manifest, hash, text, vocabulary, data: c.data.clone() };
        Ok(crate::stages::data::prepare(source, &self.datasets))
    }

    fn pretrain(&self, c: &RunConfig, prepare: &Arc<Stage>) -> Result<Arc<Stage>, Unavailable> {
        if let Some(path) = &c.checkpoint {
            return self.published(c, path, prepare);
        }
        let cost = self.costs(c)?;
        let first = || units::from_mfcc(c, prepare, &self.datasets);
        let hears = c.pretrain.as_ref().is_some_and(|pretrain| pretrain.task.speech.is_some());
        let units = match (&c.units.labels, &c.units.hubert, c.units.second) {
            _ if !hears => None,
            (Some(labels), ..) => {
                let known = self.known(&c.data.manifest)?;
                let mut heard = Vec::new();
                for split in [Split::Train, Split::Valid].into_iter().filter(|&split| known.size(split) > 0) {
                    heard.push((split, self.hash(&units::labels_of(&labels.folder, split), files::file_sha256)?));
                }
                Some(units::from_files(labels.clone(), heard, prepare, &self.datasets))
            }
            (None, Some(published), _) => {
                let hash = self.hash(&published.folder, files::folder_hash)?;
                Some(units::from_hubert(c, published.clone(), hash, prepare, &self.datasets))
            }
            (None, None, None) => Some(first()),
            (None, None, Some(second)) => {
                // The teacher is the same for every row: a row's change is to what learns from the units.
                let taught = RunConfig { pretrain: Some(c.units.teacher.clone()), ..c.clone() };
                let teacher = pretrain::stage(&taught, c.units.clusters, prepare, Some(&first()), cost, &self.datasets);
                Some(units::from_states(c, second, prepare, &teacher, &self.datasets))
            }
        };
        Ok(pretrain::stage(c, c.units.used(), prepare, units.as_ref(), cost, &self.datasets))
    }

    /// The stage that takes published weights for those of the full model's pre-training.
    fn published(&self, c: &RunConfig, path: &Path, prepare: &Arc<Stage>) -> Result<Arc<Stage>, Unavailable> {
        if c.pretrain.as_ref() != Some(&c.units.teacher) {
            let message =
                "`checkpoint` stands for the full model's pre-training (`units.teacher`), which this row changes";
            return Err(Unavailable(message.into()));
        }
        let hash = self.hash(path, if path.is_dir() { files::folder_hash } else { files::file_sha256 })?;
        Ok(checkpoint::stage(c, path.to_owned(), hash, prepare))
    }

    /// The stage that takes the encoder of a published HuBERT model.
    fn hubert(&self, c: &RunConfig, prepare: &Arc<Stage>) -> Result<Arc<Stage>, Unavailable> {
        let Some(folder) = &c.hubert else {
            return Err(Unavailable("no folder of a HuBERT model is given (hubert=FOLDER)".into()));
        };
        let hash = self.hash(folder, files::folder_hash)?;
        Ok(hubert::stage(c, folder.clone(), hash, prepare))
    }

    /// The hash of a file or of a folder, which is asked for once.
    fn hash(&self, path: &Path, of: fn(&Path) -> Result<String, DataError>) -> Result<String, Unavailable> {
        if let Some(known) = self.hashes.borrow().get(path) {
            return Ok(known.clone());
        }
        let hash = of(path).map_err(|error| Unavailable(error.to_string()))?;
        self.hashes.borrow_mut().insert(path.to_owned(), hash.clone());
        Ok(hash)
    }

    /// The hash of a corpus, manifest and recordings; none where it cannot be read.
    pub fn data_hash(&self, data: &DataConfig) -> Option<String> {
        self.known(&data.manifest).ok().map(|known| known.hash.clone())
    }

    fn known(&self, manifest: &str) -> Result<Rc<Known>, Unavailable> {
        if let Some(known) = self.sources.borrow().get(manifest) {
            return Ok(Rc::clone(known));
        }
        let unusable = |error: DataError| Unavailable(error.to_string());
        let (name, path) = (manifest, manifest_path(manifest));
        let manifest = Manifest::read(&path).map_err(unusable)?;
        let train = manifest.split(Split::Train);
        let utterances = &manifest.utterances;
        let seconds: f64 = train.iter().map(|&index| utterances[index].seconds).sum();
        let parallel = |split| {
            let mut speaker_of = HashMap::new();
            manifest.split(split).into_iter().any(|index| {
                let Utterance { text, speaker, .. } = &utterances[index];
                !text.is_empty() && speaker_of.insert(text, speaker).is_some_and(|other| other != speaker)
            })
        };
        let trained = manifest.speakers(Split::Train);
        let mut translated = Vec::new();
        for split in Split::ALL {
            for language in [Language::German, Language::French] {
                if manifest.split(split).into_iter().any(|index| utterances[index].translation(language).is_some()) {
                    translated.push((split, language));
                }
            }
        }
        // Test utterances of each voice that is trained on.
        let mut tested: HashMap<&String, usize> = HashMap::new();
        for index in manifest.split(Split::TestClean) {
            let speaker = &utterances[index].speaker;
            if trained.binary_search(speaker).is_ok() {
                *tested.entry(speaker).or_default() += 1;
            }
        }
        let known = Rc::new(Known {
            hash: manifest.hash(),
            path,
            seconds: seconds / train.len().max(1) as f64,
            parallel: [parallel(Split::Train), parallel(Split::TestClean)],
            sizes: Split::ALL.map(|split| manifest.split(split).len()),
            transcribed: Split::ALL.map(|split| {
                manifest.split(split).into_iter().filter(|&index| !utterances[index].text.is_empty()).count()
            }),
            translated,
            identifiable: trained.len() > 1 && !tested.is_empty(),
            verifiable: tested.len() > 1 && tested.values().any(|&count| count > 1),
        });
        self.sources.borrow_mut().insert(name.to_owned(), Rc::clone(&known));
        Ok(known)
    }

    fn costs(&self, c: &RunConfig) -> Result<CostModel, Unavailable> {
        let utterance = self.known(&c.data.manifest)?.seconds;
        let name = serde_json::to_string(&c.model).expect("a model configuration is JSON");
        let parameters = *self.parameters.borrow_mut().entry(name).or_insert_with(|| {
            // The vocabulary moves the count by less than a percent; 81 is the published one.
            let device = crate::stages::device().inner();
            let model = c.model.init(81, 1, &Regularisation::none(), Key::new(0), &device);
            burn::module::Module::num_params(&model) as u64
        });
        Ok(CostModel { parameters, channels: c.model.extractor_channels, utterance })
    }
}

/// What a fine-tuning stage is built on.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The prepared corpus.
    pub prepare: Arc<Stage>,
    /// The noise that its speech is mixed with; none mixes it with no recordings.
    pub noise: Option<Arc<Stage>>,
    /// Where weights come from; none starts from initial ones.
    pub pretrain: Option<Arc<Stage>>,
    /// Tokens of another text than pre-training's; none writes those.
    pub vocabulary: Option<Arc<Stage>>,
    /// For the estimate.
    pub cost: CostModel,
}

/// What a task that ends in speech hears.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The prepared corpus.
    pub prepare: Arc<Stage>,
    /// The noise that it is mixed with, if that is recorded.
    pub noise: Option<Arc<Stage>>,
}

/// Estimates the cost of training.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CostModel {
    parameters: u64,
    channels: usize,
    utterance: f64,
}

impl CostModel {
    /// Of updates that each hear `samples` samples at most in `items` utterances at most.
    pub fn of(&self, train: &TrainConfig, samples: usize, items: usize) -> Cost {
        let heard = (samples as f64 / 16_000.0).min(items as f64 * self.utterance);
        let states = heard * 50.0 * self.parameters as f64;
        // The extractor's second block, at 1,600 frames per second, is half of its work.
        let extractor = heard * 1_600.0 * 2.0 * 3.0 * (self.channels * self.channels) as f64;
        let operations = 6.0 * (states + extractor) * train.updates as f64;
        Cost { steps: train.updates as u64, parameters: self.parameters, seconds: operations / OPERATIONS_PER_SECOND }
    }
}
