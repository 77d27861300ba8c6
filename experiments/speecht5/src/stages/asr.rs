//! Stages `finetune-asr`, `decode-asr`, `score-asr`.

use std::sync::Arc;

use anyhow::Context;
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Scores, Stage, StageRun};
use vocable_metrics::{EditCounts, aligned_errors, character_errors, word_errors};
use vocable_random::Key;
use vocable_speecht5::SpeechT5;
use vocable_speecht5::asr::Recognition;
use vocable_speecht5::data::Dataset;
use vocable_speecht5::to_text::Written;
use vocable_train::save_model;

use super::data::Datasets;
use super::scored::{scored, written};
use super::{MODEL, device, train};
use crate::config::{EvaluationConfig, RunConfig};
use crate::pipeline::Inputs;

const TRANSCRIPTS: &str = "transcripts.json";
/// The utterances with errors of the beam search, word by word, to read through.
const ALIGNED: &str = "aligned.txt";

/// Trains recognition.
pub fn finetune(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, model, validation) = (c.asr.clone(), c.model.clone(), c.evaluation.validation);
    let (task, seed, loop_config) = (&c.asr.task, c.seed, c.executed(&c.asr.train));
    let heard = (task.batch_samples * task.micro_batches, task.batch_items * task.micro_batches);
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let (task, key) = (recipe.task.clone(), key.fold("asr"));
        let objective = Recognition::in_characters(task, model.clone(), dataset, validation, key, device())?;
        let trained = train(run, &loop_config, seed, start, &objective)?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    super::finetune("finetune-asr", c, &c.asr, &task.regularisation, heard, inputs, datasets, learn)
}

/// The recogniser that a stage trained.
pub fn recogniser(
    run: &StageRun,
    c: &RunConfig,
    datasets: &Datasets,
) -> anyhow::Result<(Recognition, SpeechT5, Arc<Dataset>)> {
    let dataset = datasets.open(run, c.model.speaker)?;
    let model = super::trained(run, "model", &c.model, &dataset, c.seed)?;
    let (task, config, key) = (c.asr.task.clone(), c.model.clone(), Key::new(c.seed));
    Ok((Recognition::in_characters(task, config, Arc::clone(&dataset), 0, key, device())?, model, dataset))
}

/// Transcribes a test split, with a language model if there is one.
pub fn decode(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    model: &Arc<Stage>,
    lm: Option<&Arc<Stage>>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (c, datasets) = (c.clone(), Arc::clone(datasets));
    let EvaluationConfig { batch, search, .. } = c.evaluation;
    let fused = lm.is_some();
    Stage::new("decode-asr", 2, (split, batch, search, c.asr.task.suppress_special))
        .input("prepare", prepare)
        .input("model", model)
        .input_if_any("lm", lm)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 5.0 })
        .run(move |run| {
            let (objective, model, dataset) = recogniser(run, &c, &datasets)?;
            let lm = if fused { Some(super::lm::fusion(run, &dataset)?) } else { None };
            let test = objective.test(split);
            run.progress().start(test.len() as u64, "utterances");
            let progress = |done: usize| -> anyhow::Result<()> {
                run.progress().step(done as u64, "transcribed");
                Ok(run.check()?)
            };
            let transcripts = objective.write(&model, &test, batch, &search, lm.as_ref(), progress)?;
            let heard = transcripts.iter().map(|t| (t.id.as_str(), t.reference.as_str(), t.heard.joint.as_str()));
            std::fs::write(run.exhibits()?.join(ALIGNED), aligned_errors(heard))?;
            Ok(run.write_json(TRANSCRIPTS, &transcripts)?)
        })
}

/// Scores transcripts: word and character error rates, of both heads together and of each alone.
pub fn score(
    c: &RunConfig,
    prepare: &Arc<Stage>,
    decode: &Arc<Stage>,
    split: Split,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (seed, datasets) = (c.seed, Arc::clone(datasets));
    Stage::new("score-asr", 4, split).input("prepare", prepare).input("decode", decode).run(move |run| {
        let (transcripts, speakers) = written(run, TRANSCRIPTS, &datasets)?;
        let texts: Vec<&str> = transcripts.iter().map(|t| t.reference.as_str()).collect();
        let mut scores = Scores::new();
        type Head = fn(&Written) -> &str;
        type Errors = fn(&str, &str) -> EditCounts;
        let measures: [(&str, Head, Errors); 6] = [
            ("wer", |t| &t.heard.joint, word_errors),
            ("attention_wer", |t| &t.heard.attention, word_errors),
            ("ctc_wer", |t| &t.heard.ctc, word_errors),
            ("cer", |t| &t.heard.joint, character_errors),
            ("attention_cer", |t| &t.heard.attention, character_errors),
            ("ctc_cer", |t| &t.heard.ctc, character_errors),
        ];
        for (name, head, errors) in measures {
            let counts: Vec<EditCounts> = transcripts.iter().map(|t| errors(&t.reference, head(t))).collect();
            let score = scored(counts, &texts, seed).with_context(|| format!("the split {split}"))?;
            run.log(format!("{name} {:.2}", score.value))?;
            scores = scores.with(name, score.speakers(speakers.clone()));
        }
        Ok(run.write_scores(&scores)?)
    })
}
