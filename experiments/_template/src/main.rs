//! An experiment to copy: how much do the characters before it tell about the next one?
//!
//! ```text
//! experiment-template run context --scale smoke
//! experiment-template run context model.hidden=16 --seeds 2
//! ```

mod model;

use std::collections::BTreeSet;
use std::f64::consts::LN_2;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_data::manifest::{Manifest, Split};
use vocable_lab::{Build, Cli, Column, ConfigError, Cost, Git, Interrupted, Scale, Score, Scores, Stage, StageRun};
use vocable_lab::{Table, Unavailable, files};
use vocable_metrics::Bootstrap;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_text::CharVocabulary;
use vocable_train::{Event, OptimiserConfig, Record, Schedule, TrainConfig, TrainError, load_model, save_model, train};

use crate::model::{Guessing, Network, NetworkConfig, Places};

/// What the stage `train` leaves.
const MODEL: &str = "model.safetensors";
const VOCABULARY: &str = "vocabulary.json";

/// Everything that determines a row of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    /// Seed of initial weights, data order and dropout.
    seed: u64,
    /// JSONL manifest with the sentences; `mini` is the corpus that ships.
    manifest: String,
    /// The network.
    model: NetworkConfig,
    /// Updates, schedule, optimiser, checkpoints.
    train: TrainConfig,
    /// Characters of an update at most.
    batch: usize,
}

/// The base at a scale: sizes and lengths differ, the code does not.
fn base(scale: Scale) -> Experiment {
    let (width, hidden, updates) = match scale {
        Scale::Smoke => (8, 32, 100),
        Scale::Mini => (16, 128, 2_000),
        Scale::Base => (64, 1_024, 50_000),
    };
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.01, clip: 1.0 };
    let recipe = TrainConfig::new(updates, 1e-2, Schedule::Linear { warmup: 0.1 }, adamw);
    Experiment {
        seed: 1,
        manifest: "mini".into(),
        model: NetworkConfig { context: 4, width, hidden, dropout: 0.1 },
        train: TrainConfig { validate_every: updates / 4, checkpoint_every: updates / 4, ..recipe },
        batch: 1_000,
    }
}

/// Checks what types cannot.
fn validate(c: &Experiment) -> Result<(), ConfigError> {
    for (path, value) in [("model.context", c.model.context), ("model.width", c.model.width), ("batch", c.batch)] {
        if value == 0 {
            return Err(ConfigError::range(path, value, "must be 1 or more"));
        }
    }
    corpus(c).map_err(|error| ConfigError::Other(error.to_string()))?;
    c.train.check().map_err(|error| ConfigError::Other(format!("train: {error}")))
}

fn corpus(c: &Experiment) -> Result<Manifest, vocable_data::DataError> {
    let mini = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
    Manifest::read(if c.manifest == "mini" { mini() } else { PathBuf::from(&c.manifest) })
}

/// The texts of a split, each once.
fn texts(corpus: &Manifest, split: Split) -> Vec<String> {
    let texts = corpus.split(split).into_iter().map(|index| corpus.utterances[index].text.clone());
    texts.filter(|text| !text.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// What enters an identity for texts, which are too many to be written there.
fn fingerprint(texts: &[String]) -> String {
    vocable_lab::config::hash(&vocable_lab::config::tree(&texts))
}

/// The stage that trains the network. Its identity is what is written here: a kind, the version of its contract (raised
/// when the same configuration would give something else), and everything that its result depends on.
fn trained(c: &Experiment, corpus: &Manifest) -> Arc<Stage> {
    let cost = Cost { steps: c.train.updates as u64, parameters: 0, seconds: 0.002 * c.train.updates as f64 };
    let [learnt, held_out] = [Split::Train, Split::Valid].map(|split| texts(corpus, split));
    let identity = (&c.model, &c.train, c.batch, c.seed, [&learnt, &held_out].map(|texts| fingerprint(texts)));
    let stage = Stage::new("train", 1, identity).cost(cost);
    let c = c.clone();
    stage.run(move |run| {
        let key = Key::new(c.seed);
        let vocabulary = CharVocabulary::from_lines(&learnt);
        let sentences = [&learnt, &held_out].map(|texts| texts.iter().map(|text| vocabulary.encode(text)).collect());
        let objective = Guessing::new(&c.model, sentences, c.batch, vocabulary.eos(), key.fold("objective"), device())?;
        let network = c.model.init(&vocabulary, key.fold("model"), &device());
        let network = steps(run, &c, network, &objective)?;
        run.write_json(VOCABULARY, &vocabulary)?;
        Ok(save_model(&network, &run.outputs().join(MODEL))?)
    })
}

/// The step loop in the stage's folder, which continues from its newest checkpoint, under the lab's eyes.
fn steps(run: &StageRun, c: &Experiment, network: Network, objective: &Guessing) -> anyhow::Result<Network> {
    run.progress().start(c.train.updates as u64, "updates");
    let mut observe = |event: Event| {
        if let Event::Recorded { record: Record::Update { update, loss, .. }, .. } = event {
            run.progress().step(*update as u64, format!("loss {loss:.3}"));
        }
    };
    match train(&c.train, c.seed, network, objective, run.dir(), &run.interrupt_flag(), &mut observe) {
        Err(TrainError::Interrupted { .. }) => Err(Interrupted.into()),
        other => Ok(other?),
    }
}

/// The stage that scores the network on sentences that it has not seen, in bits per character.
fn scored(c: &Experiment) -> Result<Arc<Stage>, Unavailable> {
    let corpus = corpus(c).map_err(|error| Unavailable(error.to_string()))?;
    let sentences = texts(&corpus, Split::TestClean);
    if sentences.is_empty() {
        return Err(Unavailable("the corpus has no text in its `test-clean` split".into()));
    }
    let config = c.model.clone();
    let stage = Stage::new("score", 2, (&config, fingerprint(&sentences))).input("network", &trained(c, &corpus));
    Ok(stage.run(move |run| {
        let folder = run.input("network");
        let vocabulary: CharVocabulary = files::read_json(&folder.join(VOCABULARY))?.expect("the stage left it");
        let start = config.init(&vocabulary, Key::new(0), &device());
        let (network, device) = (load_model(start, &folder.join(MODEL))?.valid(), device().inner());
        let parts: Vec<(f64, f64)> = sentences
            .iter()
            .map(|text| {
                let places = Places::of(&vocabulary.encode(text), config.context, vocabulary.eos());
                let guessed = places.guessed(&network, &device, Mode::Eval);
                (guessed.negative_log_likelihood / LN_2, guessed.tokens as f64)
            })
            .collect();
        // With what each sentence contributes, rows are compared sentence by sentence.
        let score = Score::of(parts, Bootstrap::new(Key::new(0).fold("bootstrap")));
        let score = score.context("the sentences have no characters")?;
        Ok(run.write_scores(&Scores::new().with("bits", score))?)
    }))
}

/// The table: what a row is called and what it changes, and how it is scored.
fn context() -> Table<Experiment> {
    Table::new("context", "How much the characters before it tell about the next one")
        .base(base)
        .validate(validate)
        .caption(|c| format!("Transcripts of the corpus {}; hidden layer of {} units.", c.manifest, c.model.hidden))
        .row("four characters", |_| {})
        .row("one character", |c| c.model.context = 1)
        .column(Column::lower("new sentences", "bits", scored).unit("bits per character").decimals(3))
}

fn main() -> ExitCode {
    vocable_kernels::keep_memory();
    Cli::new(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"), vec![context()])
        .built(Build { git: Git::described(env!("GIT_DESCRIBED")), ..Build::default() })
        .alias("--data", "manifest", "JSONL manifest of another corpus (default: the shipped Vocable mini)")
        .main()
}
