//! Stages `finetune-asr`, `decode-asr`, `score-asr`.

use std::sync::Arc;

use anyhow::Context;
use burn::module::Module;
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Score, Scores, Stage, StageRun};
use vocable_metrics::{Bootstrap, EditCounts, character_errors, word_errors};
use vocable_random::Key;
use vocable_speecht5::Regularisation;
use vocable_speecht5::asr::{Recognition, Transcript};
use vocable_train::{load_model, save_model};

use super::data::Datasets;
use super::{MODEL, device, train};
use crate::config::RunConfig;
use crate::pipeline::Inputs;

const TRANSCRIPTS: &str = "transcripts.json";

/// Trains recognition.
pub fn finetune(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, model, validation) = (c.asr.clone(), c.model.clone(), c.evaluation.validation);
    let (task, seed, loading) = (&c.asr.task, c.seed, c.data.loading);
    let heard = (task.batch_samples * task.micro_batches, task.batch_items * task.micro_batches);
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let task = recipe.task.clone();
        let objective = Recognition::new(task, model.clone(), dataset, validation, key.fold("asr"), device())?;
        let trained = train(run, &recipe.train, loading, seed, start, &objective)?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    super::finetune("finetune-asr", c, &c.asr, &task.regularisation, heard, inputs, datasets, learn)
}

/// Transcribes a test split.
pub fn decode(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    model: &Arc<Stage>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (recipe, config, datasets) = (c.asr.task.clone(), c.model.clone(), Arc::clone(datasets));
    let (batch, search, seed) = (c.evaluation.batch, c.evaluation.search, c.seed);
    Stage::new("decode-asr", 2, (split, batch, search, recipe.suppress_special))
        .input("prepare", prepare)
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 5.0 })
        .run(move |run| {
            let dataset = datasets.open(&run.input("prepare"), config.speaker)?;
            let vocabulary = &dataset.vocabulary;
            let (none, key) = (Regularisation::none(), Key::new(seed));
            let model = config.init(vocabulary.len(), vocabulary.pad(), &none, key, &device().inner());
            let model = load_model(model, &run.input("model").join(MODEL))?.valid();
            let test = dataset.split(split);
            run.progress().start(test.len() as u64, "utterances");
            let objective = Recognition::new(recipe.clone(), config.clone(), dataset, 0, key, device())?;
            let progress = |done: usize| run.progress().step(done as u64, "transcribed");
            let transcripts = objective.transcribe(&model, &test, batch, &search, progress)?;
            Ok(run.write_json(TRANSCRIPTS, &transcripts)?)
        })
}

/// Scores transcripts: word and character error rates, of both heads together and of each alone.
pub fn score(c: &RunConfig, decode: &Arc<Stage>, split: Split) -> Arc<Stage> {
    let seed = c.seed;
    Stage::new("score-asr", 2, split).input("decode", decode).run(move |run| {
        let transcripts: Vec<Transcript> =
            vocable_lab::files::read_json(&run.input("decode").join(TRANSCRIPTS))?.context("transcripts are there")?;
        let bootstrap = Bootstrap::new(Key::new(seed).fold("bootstrap"));
        let mut scores = Scores::new();
        type Heard = fn(&Transcript) -> &str;
        type Errors = fn(&str, &str) -> EditCounts;
        let measures: [(&str, Heard, Errors); 6] = [
            ("wer", |t| &t.joint, word_errors),
            ("attention_wer", |t| &t.attention, word_errors),
            ("ctc_wer", |t| &t.ctc, word_errors),
            ("cer", |t| &t.joint, character_errors),
            ("attention_cer", |t| &t.attention, character_errors),
            ("ctc_cer", |t| &t.ctc, character_errors),
        ];
        for (name, heard, errors) in measures {
            let counts: Vec<EditCounts> = transcripts.iter().map(|t| errors(&t.reference, heard(t))).collect();
            let total: EditCounts = counts.iter().copied().sum();
            let value = total.percent().with_context(|| format!("the split {split} has no transcripts to score"))?;
            let interval = bootstrap.error_rate(&counts).context("a non-empty test set has an interval")?;
            scores = scores.with(name, Score::new(value, counts.len() as u64).interval(interval.low, interval.high));
            run.log(format!("{name} {value:.2}"))?;
        }
        Ok(run.write_scores(&scores)?)
    })
}
