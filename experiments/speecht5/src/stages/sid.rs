//! Stages `finetune-sid`, `decode-sid`, `score-sid`.

use std::sync::Arc;

use anyhow::Context;
use burn::module::Module;
use serde::{Deserialize, Serialize};
use vocable_lab::{Cost, Scores, Stage, StageRun};
use vocable_metrics::Bootstrap;
use vocable_random::Key;
use vocable_speecht5::sid::{Hearing, Identification, Identified};
use vocable_speecht5::{Regularisation, SpeakerClassifier};
use vocable_train::{load_model, save_model};

use super::data::Datasets;
use super::ratio::mean;
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
    let (task, seed, loading) = (&c.sid.task, c.seed, c.data.loading);
    let items = task.batch_items * task.micro_batches;
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let objective = Identification::new(recipe.task.clone(), dataset, validation, key.fold("sid"), device())?;
        let head = model.initial(key.fold("classifier"), &device());
        let start = SpeakerClassifier::new(start, model.width, objective.classes(), &head);
        let trained = train(run, &recipe.train, loading, seed, start, &objective)?;
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
            let dataset = datasets.open(&run.input("prepare"), config.speaker)?;
            let (none, key) = (Regularisation::none(), Key::new(seed).fold("decode-sid"));
            let plain = device().inner();
            let core = config.init(dataset.vocabulary.len(), dataset.vocabulary.pad(), &none, key, &plain);
            let objective = Identification::new(recipe.clone(), dataset, 0, key, device())?;
            let model = SpeakerClassifier::new(core, config.width, objective.classes(), &config.initial(key, &plain));
            let model = load_model(model, &run.input("model").join(MODEL))?.valid();
            let test = objective.test();
            run.progress().start(2 * test.len() as u64, "utterances");
            let whole = objective.identify(&model, &test, Hearing::Whole, |done| {
                run.progress().step(done as u64, "whole");
            })?;
            let noisy = objective.identify(&model, &test, Hearing::NoisyCrop { samples, snr }, |done| {
                run.progress().step((test.len() + done) as u64, "in noise");
            })?;
            Ok(run.write_json(IDENTIFIED, &Named { whole, noisy })?)
        })
}

/// Scores top-1 accuracies.
pub fn score(c: &RunConfig, decode: &Arc<Stage>) -> Arc<Stage> {
    let seed = c.seed;
    Stage::new("score-sid", 2, ()).input("decode", decode).run(move |run| {
        let named: Named =
            vocable_lab::files::read_json(&run.input("decode").join(IDENTIFIED))?.context("names are there")?;
        let bootstrap = Bootstrap::new(Key::new(seed).fold("bootstrap"));
        let mut scores = Scores::new();
        for (name, answers) in [("accuracy", &named.whole), ("noisy_accuracy", &named.noisy)] {
            let hits: Vec<f64> = answers
                .iter()
                .map(|answer| if answer.found.as_ref() == Some(&answer.reference) { 100.0 } else { 0.0 })
                .collect();
            let score = mean(&hits, bootstrap).context("no test utterance is by a voice of the training split")?;
            run.log(format!("{name} {:.2}", score.value))?;
            scores = scores.with(name, score);
        }
        Ok(run.write_scores(&scores)?)
    })
}
