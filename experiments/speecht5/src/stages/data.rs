//! Stage `prepare`: checks every recording, chooses the sentences, makes the vocabulary and the text. Stage `noise` checks
//! recordings that speech is mixed with.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use serde::Serialize;
use vocable_data::corpus::{Corpus, RATE};
use vocable_data::features::FeatureFolder;
use vocable_data::manifest::{Manifest, Split, Utterance};
use vocable_data::verify::{self, BadFile};
use vocable_lab::{Cost, Stage, StageRun};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_text::grammar::Grammar;
use vocable_text::{CharVocabulary, normalise};

use crate::config::{DataConfig, Limit};

const UTTERANCES: &str = "utterances.json";
const VOCABULARY: &str = "vocabulary.json";
const SENTENCES: &str = "sentences.txt";
/// Seconds below which a recording is refused: durations are checked to 50 ms, and a frame needs 25.
const SHORTEST: f64 = 0.1;
/// Seed of the generated text: the text belongs to the corpus, not to a run.
const TEXT_SEED: u64 = 1;

/// Where a corpus lies and what is taken of it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its manifest.
    pub manifest: PathBuf,
    /// The hash of everything in it.
    pub hash: String,
    /// The text of text pre-training.
    pub text: Text,
    /// The characters that it is written in; none counts its own.
    pub vocabulary: Option<CharVocabulary>,
    /// What is taken.
    pub data: DataConfig,
}

/// Where the text of text pre-training comes from.
#[derive(Clone, Debug, Serialize)]
pub enum Text {
    /// The grammar of the shipped corpus.
    Grammar,
    /// The transcripts of the training split.
    Transcripts,
    /// Lines of a file, by their content.
    File {
        /// Where it lies.
        #[serde(skip)]
        path: PathBuf,
        /// SHA-256 of its bytes.
        hash: String,
    },
}

/// Opened corpora, so that the stages of one process share what is kept of their recordings.
#[derive(Debug, Default)]
pub struct Datasets {
    open: Mutex<HashMap<Opened, Arc<Dataset>>>,
    /// By the hash of the corpus.
    places: Mutex<HashMap<String, Place>>,
}

/// Which corpus is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Opened {
    /// Outputs of the stage that prepared the speech, and of the one that prepared the noise.
    prepared: PathBuf,
    noise: Option<PathBuf>,
    /// Width of speaker vectors.
    speaker: usize,
}

/// Where a corpus lies, and what of it is kept.
#[derive(Clone, Debug)]
struct Place {
    manifest: PathBuf,
    data: DataConfig,
}

impl Datasets {
    /// The corpus that a stage hears, its input `prepare`, with speaker vectors of a width; in the noise of its input
    /// `noise`, if it has that.
    pub fn open(&self, run: &StageRun, speaker: usize) -> anyhow::Result<Arc<Dataset>> {
        let mut open = self.open.lock().expect("no stage panicked while it opened a corpus");
        let opened = Opened { prepared: run.input("prepare"), noise: run.input_if_any("noise"), speaker };
        if let Some(dataset) = open.get(&opened) {
            return Ok(Arc::clone(dataset));
        }
        let Opened { prepared, noise, .. } = &opened;
        let (manifest, Place { data, .. }) = self.manifest(prepared)?;
        let corpus = Corpus::new(manifest).keep(data.audio_cache);
        let mut dataset = Dataset::new(corpus, vocabulary(prepared)?, speaker)?.keep_mels(data.mel_cache);
        if let Some(folder) = data.mel_folder {
            dataset = dataset.keep_mels_in(FeatureFolder::new(folder));
        }
        if let Some(noise) = noise {
            let (manifest, Place { data, .. }) = self.manifest(noise)?;
            dataset = dataset.in_noise(Corpus::new(manifest).keep(data.audio_cache));
        }
        let dataset = Arc::new(dataset);
        open.insert(opened, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// The utterances of these names among those that a `prepare` stage kept, in the names' order. No recording is read for it.
    pub fn utterances<'a>(
        &self,
        prepared: &Path,
        names: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Vec<Utterance>> {
        let utterances = self.manifest(prepared)?.0.utterances;
        let kept: HashMap<&str, &Utterance> = utterances.iter().map(|kept| (kept.id.as_str(), kept)).collect();
        let named = |name: &str| {
            let utterance = kept.get(name).copied().cloned();
            utterance.with_context(|| format!("no utterance is called {name}"))
        };
        names.map(named).collect()
    }

    /// What a `prepare` or `noise` stage kept of its corpus, and where that lies.
    fn manifest(&self, prepared: &Path) -> anyhow::Result<(Manifest, Place)> {
        let (mut manifest, kept, place) = self.read(prepared)?;
        let ids: HashSet<&str> = kept.iter().map(String::as_str).collect();
        manifest.utterances.retain(|utterance| ids.contains(utterance.id.as_str()));
        Ok((manifest, place))
    }

    /// The whole manifest that a `prepare` stage read, and the names of the utterances that it kept, in the manifest's order.
    pub fn whole(&self, prepared: &Path) -> anyhow::Result<(Manifest, Vec<String>)> {
        let (manifest, kept, _) = self.read(prepared)?;
        Ok((manifest, kept))
    }

    fn read(&self, prepared: &Path) -> anyhow::Result<(Manifest, Vec<String>, Place)> {
        let kept: Kept =
            vocable_lab::files::read_json(&prepared.join(UTTERANCES))?.context("the corpus is prepared")?;
        let place = self.places.lock().expect("nothing panics in here").get(&kept.hash).cloned();
        let place = place.context("the corpus of a run is known")?;
        Ok((Manifest::read(&place.manifest)?, kept.ids, place))
    }

    /// Remembers where the corpus with a hash lies: a finished stage may outlive a move of its corpus.
    fn locate(&self, manifest: &Path, hash: &str, data: &DataConfig) {
        let place = Place { manifest: manifest.to_owned(), data: data.clone() };
        self.places.lock().expect("nothing panics in here").insert(hash.to_owned(), place);
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    hash: String,
    ids: Vec<String>,
}

/// The characters of a prepared corpus.
pub fn vocabulary(prepared: &Path) -> anyhow::Result<CharVocabulary> {
    vocable_lab::files::read_json(&prepared.join(VOCABULARY))?.context("the corpus has a vocabulary")
}

/// The sentences of text pre-training.
pub fn sentences(prepared: &Path) -> anyhow::Result<Vec<String>> {
    let path = prepared.join(SENTENCES);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The stage.
pub fn prepare(source: Source, datasets: &Arc<Datasets>) -> Arc<Stage> {
    datasets.locate(&source.manifest, &source.hash, &source.data);
    // Where the corpus lies does not matter, what is in it does.
    let text = vocable_lab::config::hash(&vocable_lab::config::tree(&source.text));
    let identity = (&source.hash, source.data.limit, text, source.data.sentences, source.data.skip_bad);
    let stage = match &source.vocabulary {
        None => Stage::new("prepare", 1, identity),
        Some(given) => Stage::new("prepare", 1, (identity, given)),
    };
    stage.cost(Cost { steps: 0, parameters: 0, seconds: 2.0 }).run(move |run| body(run, &source))
}

/// The stage that checks recordings of noise.
pub fn noise(manifest: PathBuf, hash: String, data: &DataConfig, datasets: &Arc<Datasets>) -> Arc<Stage> {
    datasets.locate(&manifest, &hash, data);
    let skip_bad = data.skip_bad;
    Stage::new("noise", 1, (&hash, skip_bad)).cost(Cost { steps: 0, parameters: 0, seconds: 2.0 }).run(move |run| {
        let mut recordings = Manifest::read(&manifest)?;
        keep_usable(run, &mut recordings, skip_bad)?;
        write_kept(run, &recordings, &hash)
    })
}

fn body(run: &StageRun, source: &Source) -> anyhow::Result<()> {
    let mut manifest = Manifest::read(&source.manifest)?;
    if let Some(limit) = source.data.limit {
        keep(&mut manifest, limit);
    }
    keep_usable(run, &mut manifest, source.data.skip_bad)?;
    let (sentences, left) = text(source, &manifest)?;
    if left > 0 {
        run.log(format!("left out {left} sentences after the first data.sentences = {}", source.data.sentences))?;
    }
    let vocabulary = match &source.vocabulary {
        Some(given) => given.clone(),
        None => {
            let train = manifest.split(Split::Train).into_iter();
            let transcripts = train.map(|index| manifest.utterances[index].text.as_str());
            CharVocabulary::from_lines(transcripts.chain(sentences.iter().map(String::as_str)))
        }
    };
    run.log(format!(
        "{} utterances, {} sentences, {} tokens",
        manifest.utterances.len(),
        sentences.len(),
        vocabulary.len()
    ))?;
    run.write_output(SENTENCES, (sentences.join("\n") + "\n").as_bytes())?;
    run.write_json(VOCABULARY, &vocabulary)?;
    write_kept(run, &manifest, &source.hash)
}

/// Says which utterances of the corpus with a hash a stage kept.
fn write_kept(run: &StageRun, manifest: &Manifest, hash: &str) -> anyhow::Result<()> {
    let ids = manifest.utterances.iter().map(|utterance| utterance.id.clone()).collect();
    Ok(run.write_json(UTTERANCES, &Kept { hash: hash.to_owned(), ids })?)
}

/// Leaves out recordings that cannot be used, or refuses them.
fn keep_usable(run: &StageRun, manifest: &mut Manifest, skip_bad: bool) -> anyhow::Result<()> {
    run.progress().start(manifest.utterances.len() as u64, "recordings");
    let checked = AtomicU64::new(0);
    let progress = || run.progress().step(checked.fetch_add(1, Ordering::Relaxed) + 1, "checked");
    let mut bad = verify::check(manifest, RATE, &progress);
    let named: HashSet<PathBuf> = bad.iter().map(|file| file.path.clone()).collect();
    for utterance in manifest.utterances.iter().filter(|utterance| utterance.seconds < SHORTEST) {
        let path = manifest.resolve(&utterance.audio);
        if !named.contains(&path) {
            bad.push(BadFile::new(&path, format!("shorter than {SHORTEST} s, too short for the extractor")));
        }
    }
    run.progress().step(manifest.utterances.len() as u64, format!("{} unusable", bad.len()));
    for file in &bad {
        run.log(file)?;
    }
    if !bad.is_empty() {
        if !skip_bad {
            let list: Vec<String> = bad.iter().map(ToString::to_string).collect();
            bail!(
                "{} of {} recordings cannot be used (--skip-bad leaves them out; `vocable prepare` resamples):\n{}",
                bad.len(),
                manifest.utterances.len(),
                list.join("\n")
            );
        }
        let paths: HashSet<PathBuf> = bad.iter().map(|file| file.path.clone()).collect();
        let usable: Vec<bool> =
            manifest.utterances.iter().map(|utterance| !paths.contains(&manifest.resolve(&utterance.audio))).collect();
        let mut usable = usable.into_iter();
        manifest.utterances.retain(|_| usable.next().expect("one flag per utterance"));
    }
    Ok(())
}

/// Keeps the first sentences of every split with all their voices, those with most voices first, utterances without a text
/// last.
fn keep(manifest: &mut Manifest, limit: Limit) {
    let mut kept: HashSet<(Split, String)> = HashSet::new();
    for split in Split::ALL {
        // Utterances without a text, each in one voice, stay behind all texts when these are sorted by voices.
        let mut voices: BTreeMap<(bool, &str), HashSet<&str>> = BTreeMap::new();
        for index in manifest.split(split) {
            let utterance = &manifest.utterances[index];
            let place = (utterance.text.is_empty(), sentence(utterance));
            voices.entry(place).or_default().insert(&utterance.speaker);
        }
        let mut texts: Vec<(&str, usize)> = voices.iter().map(|((_, text), voices)| (*text, voices.len())).collect();
        texts.sort_by_key(|&(_, voices)| std::cmp::Reverse(voices));
        let count = match split {
            Split::Train => limit.train,
            Split::Valid => limit.valid,
            Split::TestClean | Split::TestOther => limit.test,
        };
        kept.extend(texts.into_iter().take(count).map(|(text, _)| (split, text.to_owned())));
    }
    manifest.utterances.retain(|utterance| kept.contains(&(utterance.split, sentence(utterance).to_owned())));
}

/// What makes utterances the same sentence; one without text is the only one of its kind.
fn sentence(utterance: &Utterance) -> &str {
    if utterance.text.is_empty() { &utterance.id } else { &utterance.text }
}

/// The text of text pre-training, and how many sentences of it are left out as too many; no sentence of a validation or test
/// split is in it, however it is spelled.
fn text(source: &Source, manifest: &Manifest) -> anyhow::Result<(Vec<String>, usize)> {
    let whole = Manifest::read(&source.manifest)?;
    let held_out: HashSet<String> = whole
        .utterances
        .iter()
        .filter(|utterance| utterance.split != Split::Train)
        .map(|utterance| normalise(&utterance.text))
        .collect();
    let sentences: Box<dyn Iterator<Item = io::Result<String>>> = match &source.text {
        Text::Grammar => {
            let key = Key::new(TEXT_SEED).fold("text");
            Box::new(Grammar::default().text(key, source.data.sentences, &held_out).map(Ok))
        }
        Text::Transcripts => {
            let mut seen = HashSet::new();
            let texts = manifest.split(Split::Train).into_iter().map(|index| manifest.utterances[index].text.clone());
            Box::new(texts.filter(move |text| seen.insert(text.clone())).map(Ok))
        }
        Text::File { path, .. } => {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            // Some editors begin a file with a mark of its byte order.
            let sentence = |line: String| line.trim_start_matches('\u{feff}').trim().to_owned();
            Box::new(BufReader::new(file).lines().map(move |line| line.map(sentence)))
        }
    };
    let usable = |line: &String| !line.is_empty() && !held_out.contains(&normalise(line));
    let mut usable = sentences.filter(|line| line.as_ref().map_or(true, usable));
    let unreadable = || format!("cannot read {}", source.data.text);
    let taken = usable.by_ref().take(source.data.sentences).collect::<Result<_, _>>().with_context(unreadable)?;
    let left = usable.try_fold(0, |left, line| line.map(|_| left + 1)).with_context(unreadable)?;
    Ok((taken, left))
}
