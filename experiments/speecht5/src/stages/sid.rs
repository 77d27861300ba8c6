//! Stages `finetune-sid`, `decode-sid`, `score-sid`, `verify-sid`.

use std::sync::Arc;

use anyhow::Context;
use burn::module::Module;
use serde::{Deserialize, Serialize};
use vocable_lab::{Cost, Score, Scores, Stage, StageRun};
use vocable_metrics::equal_error_rate_of_pairs;
use vocable_random::Key;
use vocable_speecht5::sid::{Hearing, Identification, Identified, SidConfig};
use vocable_speecht5::{ModelConfig, Regularisation, SpeakerClassifier};
use vocable_train::{load_model, save_model};

use super::data::Datasets;
use super::scored::scored;
use super::{MODEL, device, train};
use crate::config::RunConfig;
use crate::pipeline::Inputs;

const IDENTIFIED: &str = "identified.json";
/// The speakers in the order of the classes, for `vocable export`.
const SPEAKERS: &str = "speakers.json";

#[derive(Serialize, Deserialize)]
struct Named {
    whole: Vec<Identified>,
    noisy: Vec<Identified>,
}

/// Trains identification.
pub fn finetune(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, model, validation) = (c.sid.clone(), c.model.clone(), c.evaluation.validation);
    let (task, seed, loop_config) = (&c.sid.task, c.seed, c.executed(&c.sid.train));
    let items = task.batch_items * task.micro_batches;
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let (task, order) = (recipe.task.clone(), key.fold("sid"));
        let objective = Identification::new(task, &model, dataset, validation, order, device())?;
        let head = model.initial(key.fold("classifier"), &device());
        let start = SpeakerClassifier::new(start, model.width, objective.classes(), &head);
        let trained = train(run, &loop_config, seed, start, &objective)?;
        let trained = if recipe.task.margin.is_some() { trained.normalised() } else { trained };
        run.write_json(SPEAKERS, &objective.speakers())?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    super::finetune(
        "finetune-sid",
        c,
        &c.sid,
        &task.regularisation,
        (task.segment * items, items),
        inputs,
        datasets,
        learn,
    )
}

/// Names the speakers of the test utterances, whole and as short crops in noise.
pub fn decode(c: &RunConfig, prepare: &Arc<Stage>, model: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, config, seed, datasets) = (c.sid.task.clone(), c.model.clone(), c.seed, Arc::clone(datasets));
    let (samples, snr) = (c.evaluation.noisy_segment, c.evaluation.noisy_snr);
    Stage::new("decode-sid", 1, (samples, snr, seed))
        .input("prepare", prepare)
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 5.0 })
        .run(move |run| {
            let (objective, model) = open(run, &recipe, &config, &datasets, Key::new(seed).fold("decode-sid"))?;
            let test = objective.test();
            run.progress().start(2 * test.len() as u64, "utterances");
            let progress = |done: usize, how: &str| -> anyhow::Result<()> {
                run.progress().step(done as u64, how);
                Ok(run.check()?)
            };
            let whole = objective.identify(&model, &test, Hearing::Whole, |done| progress(done, "whole"))?;
            let crop = Hearing::NoisyCrop { samples, snr };
            let noisy = objective.identify(&model, &test, crop, |done| progress(test.len() + done, "in noise"))?;
            Ok(run.write_json(IDENTIFIED, &Named { whole, noisy })?)
        })
}

/// The task and a trained classifier.
fn open(
    run: &StageRun,
    recipe: &SidConfig,
    config: &ModelConfig,
    datasets: &Datasets,
    key: Key,
) -> anyhow::Result<(Identification, SpeakerClassifier)> {
    let dataset = datasets.open(run, config.speaker)?;
    let plain = device().inner();
    let core = config.init(dataset.vocabulary.len(), dataset.vocabulary.pad(), &Regularisation::none(), key, &plain);
    let objective = Identification::new(recipe.clone(), config, dataset, 0, key, device())?;
    let model = SpeakerClassifier::new(core, config.width, objective.classes(), &config.initial(key, &plain));
    let model = load_model(model, &run.input("model").join(MODEL))?.valid();
    Ok((objective, model))
}

/// Takes every two of the test utterances for a trial, scored by the cosine of their states, and the equal-error rate of all
/// trials.
pub fn verify(c: &RunConfig, prepare: &Arc<Stage>, model: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, config, datasets) = (c.sid.task.clone(), c.model.clone(), Arc::clone(datasets));
    Stage::new("verify-sid", 1, ())
        .input("prepare", prepare)
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 5.0 })
        .run(move |run| {
            let (objective, model) = open(run, &recipe, &config, &datasets, Key::new(0))?;
            let test = objective.test();
            run.progress().start(test.len() as u64, "utterances");
            let states = objective.embed(&model, &test, |done| -> anyhow::Result<()> {
                run.progress().step(done as u64, "heard");
                Ok(run.check()?)
            })?;
            let voices = test.iter().map(|&index| objective.speaker(index));
            let heard: Vec<(&str, Vec<f32>)> = voices.zip(states).collect();
            let (value, trials) = equal_error_rate_of_pairs(&heard)
                .context("no two test utterances are by one voice of the training split, or all are")?;
            run.log(format!("eer {value:.2} over {trials} trials"))?;
            Ok(run.write_scores(&Scores::new().with("eer", Score::new(value, trials as u64)))?)
        })
}

/// Scores top-1 accuracies.
pub fn score(c: &RunConfig, decode: &Arc<Stage>) -> Arc<Stage> {
    let seed = c.seed;
    Stage::new("score-sid", 3, ()).input("decode", decode).run(move |run| {
        let named: Named = vocable_lab::files::read_json(&run.input("decode").join(IDENTIFIED))?
            .with_context(|| format!("{IDENTIFIED} of the stage that named the voices is missing"))?;
        let mut scores = Scores::new();
        for (name, answers) in [("accuracy", &named.whole), ("noisy_accuracy", &named.noisy)] {
            let hits: Vec<f64> = answers
                .iter()
                .map(|answer| if answer.found.as_ref() == Some(&answer.reference) { 100.0 } else { 0.0 })
                .collect();
            // It is voices that are hard, not sentences: one by one, for want of enough voices to draw.
            let score = scored(hits, &[], seed).context("no test utterance is by a voice of the training split")?;
            run.log(format!("{name} {:.2}", score.value))?;
            let speakers = answers.iter().map(|answer| answer.reference.clone()).collect();
            scores = scores.with(name, score.speakers(speakers));
        }
        Ok(run.write_scores(&scores)?)
    })
}
