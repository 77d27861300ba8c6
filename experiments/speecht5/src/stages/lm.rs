//! Stages `lm` and `score-lm`: the language model of recognition, from the text of text pre-training.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Score, Scores, Stage, StageRun};
use vocable_lm::{Dictionary, Fusion, LanguageModel, LanguageModelling, log_likelihood};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_text::CharVocabulary;

use super::data::{Datasets, sentences};
use super::{device, train};
use crate::config::RunConfig;
use crate::pipeline::OPERATIONS_PER_SECOND;

/// Characters of a usual vocabulary, for the estimate.
const CHARACTERS: usize = 80;

/// Trains the language model on the corpus' sentences, validated on transcripts of `valid`. Leaves a folder that
/// `vocable transcribe --lm` takes.
pub fn stage(c: &RunConfig, prepare: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, config, datasets) = (c.lm.clone(), c.trained_lm(), Arc::clone(datasets));
    let (seed, loop_config, validation, speaker) =
        (c.seed, c.executed(&c.lm.train), c.evaluation.validation, c.model.speaker);
    let parameters = config.weights(CHARACTERS);
    let read = (recipe.train.updates * recipe.task.micro_batches * recipe.task.batch_tokens) as f64;
    let cost = Cost {
        steps: recipe.train.updates as u64,
        parameters: parameters as u64,
        seconds: 6.0 * parameters * read / OPERATIONS_PER_SECOND,
    };
    Stage::new("lm", 1, (&c.lm, seed, validation)).input("prepare", prepare).cost(cost).run(move |run| {
        let dataset = datasets.open(run, speaker)?;
        let vocabulary = &dataset.vocabulary;
        let text = sentences(&run.input("prepare"))?;
        let read = text.iter().map(|line| vocabulary.encode(line)).collect();
        let held_out = spoken(&dataset, Split::Valid).into_iter().take(validation).collect();
        let key = Key::new(seed).fold("lm");
        let objective =
            LanguageModelling::new(&recipe.task, read, held_out, marks(vocabulary), key.fold("order"), device())?;
        // Mask and blank, the last two, are no part of a text.
        let spellings = vocabulary.pieces()[..vocabulary.mask() as usize].to_vec();
        let dictionary = Dictionary::try_from(spellings).map_err(|error| anyhow!(error))?;
        let model = config.init(dictionary.len(), dictionary.pad(), key.fold("model"), &device());
        let model = train(run, &loop_config, seed, model, &objective)?;
        Ok(LanguageModel { path: run.outputs(), config: config.clone(), dictionary, model }.save(&run.outputs())?)
    })
}

/// Scores the perplexity of a test split's transcripts, per character with the sentences' ends.
pub fn score(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    lm: &Arc<Stage>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (datasets, speaker, batch) = (Arc::clone(datasets), c.model.speaker, c.evaluation.batch);
    Stage::new("score-lm", 1, split).input("prepare", prepare).input("lm", lm).run(move |run| {
        let dataset = datasets.open(run, speaker)?;
        let device = device().inner();
        let lm = LanguageModel::open(run.input("lm"), &device)?;
        let spoken = spoken(&dataset, split);
        let learnt = log_likelihood(&lm.model, &spoken, marks(&dataset.vocabulary), batch, &device);
        run.log(format!("perplexity {:.3} of {} tokens", learnt.perplexity(), learnt.tokens))?;
        Ok(run.write_scores(&Scores::new().with("perplexity", Score::new(learnt.perplexity(), spoken.len() as u64)))?)
    })
}

/// The language model of a stage's inputs beside the decoder of a corpus.
pub fn fusion(run: &StageRun, dataset: &Dataset) -> anyhow::Result<Fusion> {
    let lm = LanguageModel::open(run.input("lm"), &device().inner()).context("the language model is trained")?;
    Ok(Fusion::new(lm, dataset.vocabulary.pieces().iter().map(String::as_str))?)
}

/// The tokens of a split's transcripts, each text once; utterances without a text have none.
fn spoken(dataset: &Dataset, split: Split) -> Vec<Vec<u32>> {
    let mut tokens: Vec<Vec<u32>> = dataset.split(split).into_iter().map(|index| dataset.tokens(index)).collect();
    tokens.retain(|tokens| !tokens.is_empty());
    tokens.sort();
    tokens.dedup();
    tokens
}

fn marks(vocabulary: &CharVocabulary) -> [u32; 2] {
    [vocabulary.eos(), vocabulary.pad()]
}
