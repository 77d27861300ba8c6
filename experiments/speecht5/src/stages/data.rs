//! Stage `prepare`: checks every recording, chooses the sentences, makes the vocabulary and the text.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use vocable_data::corpus::{Corpus, RATE};
use vocable_data::manifest::{Manifest, Split};
use vocable_data::verify;
use vocable_lab::{Cost, Stage, StageRun};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_text::CharVocabulary;
use vocable_text::grammar::Grammar;

use crate::config::{DataConfig, Limit};

const UTTERANCES: &str = "utterances.json";
const VOCABULARY: &str = "vocabulary.json";
const SENTENCES: &str = "sentences.txt";
/// Seed of the generated text: the text belongs to the corpus, not to a run.
const TEXT_SEED: u64 = 1;

/// Where a corpus lies and what is taken of it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its manifest.
    pub manifest: PathBuf,
    /// The hash of everything in it.
    pub hash: String,
    /// What is taken.
    pub data: DataConfig,
}

/// Opened corpora, so that the stages of one process decode each recording once.
#[derive(Debug, Default)]
pub struct Datasets(Mutex<HashMap<(PathBuf, usize), Arc<Dataset>>>, Mutex<HashMap<PathBuf, PathBuf>>);

impl Datasets {
    /// The corpus that the stage with these outputs prepared, with speaker vectors of a width.
    pub fn open(&self, prepared: &Path, speaker: usize) -> anyhow::Result<Arc<Dataset>> {
        let mut open = self.0.lock().expect("no stage panicked while it opened a corpus");
        let name = (prepared.to_owned(), speaker);
        if let Some(dataset) = open.get(&name) {
            return Ok(Arc::clone(dataset));
        }
        let kept: Kept =
            vocable_lab::files::read_json(&prepared.join(UTTERANCES))?.context("the corpus is prepared")?;
        let source = self.1.lock().expect("as above").get(&PathBuf::from(&kept.hash)).cloned();
        let mut manifest = Manifest::read(source.context("the corpus of a run is known")?)?;
        let ids: HashSet<&str> = kept.ids.iter().map(String::as_str).collect();
        manifest.utterances.retain(|utterance| ids.contains(utterance.id.as_str()));
        let vocabulary: CharVocabulary =
            vocable_lab::files::read_json(&prepared.join(VOCABULARY))?.context("the corpus has a vocabulary")?;
        let dataset = Arc::new(Dataset::new(Corpus::new(manifest), vocabulary, speaker)?);
        open.insert(name, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// Remembers where the corpus with a hash lies: a finished stage may outlive a move of its corpus.
    fn locate(&self, source: &Source) {
        self.1.lock().expect("nothing panics in here").insert(source.hash.clone().into(), source.manifest.clone());
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    hash: String,
    ids: Vec<String>,
}

/// The sentences of text pre-training.
pub fn sentences(prepared: &Path) -> anyhow::Result<Vec<String>> {
    let path = prepared.join(SENTENCES);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The stage.
pub fn prepare(source: Source, datasets: &Arc<Datasets>) -> Arc<Stage> {
    datasets.locate(&source);
    // Where the corpus lies does not matter, what is in it does.
    let identity = (&source.hash, source.data.limit, &source.data.text, source.data.sentences, source.data.skip_bad);
    Stage::new("prepare", 1, identity)
        .cost(Cost { steps: 0, parameters: 0, seconds: 2.0 })
        .run(move |run| body(run, &source))
}

fn body(run: &StageRun, source: &Source) -> anyhow::Result<()> {
    let mut manifest = Manifest::read(&source.manifest)?;
    if let Some(limit) = source.data.limit {
        keep(&mut manifest, limit);
    }
    run.progress().start(manifest.utterances.len() as u64, "recordings");
    let bad = verify::check(&manifest, RATE, &|| {});
    run.progress().step(manifest.utterances.len() as u64, format!("{} unusable", bad.len()));
    for file in &bad {
        run.log(file)?;
    }
    if !bad.is_empty() {
        if !source.data.skip_bad {
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
    let sentences = text(source, &manifest)?;
    let transcripts = manifest.split(Split::Train).into_iter().map(|index| manifest.utterances[index].text.as_str());
    let vocabulary = CharVocabulary::from_lines(transcripts.chain(sentences.iter().map(String::as_str)));
    run.log(format!(
        "{} utterances, {} sentences, {} tokens",
        manifest.utterances.len(),
        sentences.len(),
        vocabulary.len()
    ))?;
    run.write_output(SENTENCES, (sentences.join("\n") + "\n").as_bytes())?;
    run.write_json(VOCABULARY, &vocabulary)?;
    let ids = manifest.utterances.iter().map(|utterance| utterance.id.clone()).collect();
    Ok(run.write_json(UTTERANCES, &Kept { hash: source.hash.clone(), ids })?)
}

/// Keeps the first sentences of every split with all their voices, those with most voices first.
fn keep(manifest: &mut Manifest, limit: Limit) {
    let mut kept: HashSet<(Split, String)> = HashSet::new();
    for split in Split::ALL {
        let mut voices: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for index in manifest.split(split) {
            let utterance = &manifest.utterances[index];
            voices.entry(&utterance.text).or_default().insert(&utterance.speaker);
        }
        let mut texts: Vec<(&str, usize)> = voices.iter().map(|(text, voices)| (*text, voices.len())).collect();
        texts.sort_by_key(|&(_, voices)| std::cmp::Reverse(voices));
        let count = match split {
            Split::Train => limit.train,
            Split::Valid => limit.valid,
            Split::TestClean | Split::TestOther => limit.test,
        };
        kept.extend(texts.into_iter().take(count).map(|(text, _)| (split, text.to_owned())));
    }
    manifest.utterances.retain(|utterance| kept.contains(&(utterance.split, utterance.text.clone())));
}

/// The text of text pre-training; no sentence of a validation or test split is in it.
fn text(source: &Source, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let whole = Manifest::read(&source.manifest)?;
    let held_out: HashSet<String> = whole
        .utterances
        .iter()
        .filter(|utterance| utterance.split != Split::Train)
        .map(|utterance| utterance.text.clone())
        .collect();
    let transcripts = || {
        let mut seen = HashSet::new();
        let texts = manifest.split(Split::Train).into_iter().map(|index| manifest.utterances[index].text.clone());
        texts.filter(|text| !held_out.contains(text) && seen.insert(text.clone())).collect()
    };
    let mut sentences: Vec<String> = match (source.data.text.as_str(), source.data.manifest.as_str()) {
        ("grammar", _) | ("auto", "mini") => {
            Grammar::default().text(Key::new(TEXT_SEED).fold("text"), source.data.sentences, &held_out).collect()
        }
        ("transcripts" | "auto", _) => transcripts(),
        (file, _) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            let lines = text.lines().map(vocable_text::normalise);
            lines.filter(|line: &String| !line.is_empty() && !held_out.contains(line)).collect()
        }
    };
    sentences.truncate(source.data.sentences);
    Ok(sentences)
}
