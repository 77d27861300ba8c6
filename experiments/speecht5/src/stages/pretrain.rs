//! Stage `pretrain`: joint pre-training on speech and text.

use std::sync::Arc;

use anyhow::Context;
use vocable_lab::{Score, Scores, Stage};
use vocable_objectives::quantizer::Selection;
use vocable_random::Key;
use vocable_speecht5::Pretrainer;
use vocable_speecht5::pretrain::Pretraining;
use vocable_train::{Record, save_model};

use super::data::{Datasets, sentences};
use super::{MODEL, device, train, units};
use crate::config::RunConfig;
use crate::pipeline::CostModel;

/// Samples of speech that cost as much as a text token, for the estimate: a token is a state, as is a 20 ms frame.
const SAMPLES_PER_TOKEN: usize = 320;

/// The stage; `units` are the targets of the masked prediction, which text alone does not need.
pub fn stage(
    c: &RunConfig,
    clusters: usize,
    prepare: &Arc<Stage>,
    units: Option<&Arc<Stage>>,
    cost: CostModel,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let recipe = c.pretrain.clone().expect("a row without pre-training has no such stage");
    let (model, seed, datasets) = (c.trained_model(), c.seed, Arc::clone(datasets));
    let loop_config = c.executed(&recipe.train);
    let heard = recipe.task.speech.as_ref().map_or(0, |part| part.batch_samples);
    let read = recipe.task.text.as_ref().map_or(0, |part| part.batch_tokens * SAMPLES_PER_TOKEN);
    let drawn = recipe.task.quantizer.as_ref().is_some_and(|quantizer| quantizer.kind == Selection::Gumbel);
    // Contract 3 changed Gumbel noise, which is finite since, and nothing else.
    let contract = if drawn { 3 } else { 2 };
    let stage = Stage::new("pretrain", contract, (&model, &recipe, seed, clusters))
        .input("prepare", prepare)
        .input_if_any("units", units)
        .cost(cost.of(&recipe.train, heard + read, usize::MAX));
    stage.run(move |run| {
        let dataset = datasets.open(run, model.speaker)?;
        let key = Key::new(seed);
        let units = run.input_if_any("units").map_or(Ok(Vec::new()), |units| units::read(&units))?;
        let text = sentences(&run.input("prepare"))?;
        let vocabulary = &dataset.vocabulary;
        let pretrainer = Pretrainer::new(
            &model,
            &recipe.task,
            vocabulary.len(),
            vocabulary.pad(),
            clusters,
            key.fold("model"),
            &device(),
        );
        let objective = Pretraining::new(
            recipe.task.clone(),
            model.clone(),
            Arc::clone(&dataset),
            Arc::new(units),
            &text,
            key.fold("pretrain"),
            device(),
        )?;
        let trained = train(run, &loop_config, seed, pretrainer, &objective)?;
        save_model(&trained, &run.outputs().join("pretrainer.safetensors"))?;
        Ok(save_model(&trained.core, &run.outputs().join(MODEL))?)
    })
}

/// Scores the use of the codes at the last validation: arg-max perplexities, over the codes of all groups.
pub fn score(pretrain: &Arc<Stage>) -> Arc<Stage> {
    Stage::new("score-codes", 1, ()).input("pretrain", pretrain).run(|run| {
        let records = vocable_train::records::read(&run.input_dir("pretrain").join("metrics.jsonl"))?;
        let last = records.iter().rev().find_map(|record| match record {
            Record::Validation { numbers, .. } => Some(numbers),
            _ => None,
        });
        let numbers = last.context("pre-training was never validated: set pretrain.train.validate_every")?;
        let mut scores = Scores::new();
        for (name, key) in [("speech/code_perplexity", "speech"), ("text/code_perplexity", "text")] {
            if let Some((_, value)) = numbers.iter().find(|(other, _)| other == name) {
                scores = scores.with(key, Score::new(*value, 1));
            }
        }
        Ok(run.write_scores(&scores)?)
    })
}
