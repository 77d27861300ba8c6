//! Stages `finetune-vc`, `decode-vc`, `score-vc`.

use std::fs;
use std::sync::Arc;

use anyhow::Context;
use burn::module::Module;
use serde::{Deserialize, Serialize};
use vocable_audio::{Frames, GriffinLim, LogMel, drop_quiet_frames, mel_cepstrum, write_wav};
use vocable_data::corpus::RATE;
use vocable_data::manifest::Split;
use vocable_lab::{Cost, Score, Scores, Stage, StageRun};
use vocable_metrics::{Bootstrap, log_mel_cepstral_distance};
use vocable_random::Key;
use vocable_speecht5::Regularisation;
use vocable_speecht5::data::Dataset;
use vocable_speecht5::vc::{Conversion, pairs, sample};
use vocable_train::{load_model, save_model};

use super::data::Datasets;
use super::{MODEL, device, train};
use crate::config::RunConfig;
use crate::pipeline::Inputs;

const CONVERTED: &str = "converted.json";
/// Order of the mel-cepstrum and the power below the mean at which frames are silence, in dB (spec section 7.3).
const CEPSTRUM: (usize, f64) = (41, 20.0);
/// Iterations of Griffin-Lim for the samples.
const GRIFFIN_LIM: usize = 32;

/// A converted utterance on disk.
#[derive(Serialize, Deserialize)]
struct Conversions {
    mel: usize,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    source: String,
    target: String,
    frames: usize,
    ended: bool,
    focus: f64,
}

/// Trains conversion.
pub fn finetune(c: &RunConfig, inputs: Inputs, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, model, validation) = (c.vc.clone(), c.model.clone(), c.evaluation.validation);
    let (task, seed, loading) = (&c.vc.task, c.seed, c.data.loading);
    let heard = (task.batch_samples * task.micro_batches, task.batch_items * task.micro_batches);
    let learn = move |run: &StageRun, start, dataset, key: Key| {
        let task = recipe.task.clone();
        let objective = Conversion::new(task, model.clone(), dataset, validation, key.fold("vc"), device())?;
        let trained = train(run, &recipe.train, loading, seed, start, &objective)?;
        Ok(save_model(&trained, &run.outputs().join(MODEL))?)
    };
    super::finetune("finetune-vc", c, &c.vc, &task.regularisation, heard, inputs, datasets, learn)
}

/// Converts test pairs; writes log-mels, and a few of them as sound.
pub fn decode(c: &RunConfig, prepare: &Arc<Stage>, model: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (recipe, config, datasets) = (c.vc.task.clone(), c.model.clone(), Arc::clone(datasets));
    let (evaluation, seed) = (c.evaluation, c.seed);
    Stage::new("decode-vc", 1, (recipe.limits, recipe.test_pairs, evaluation.batch, evaluation.samples, seed))
        .input("prepare", prepare)
        .input("model", model)
        .cost(Cost { steps: 0, parameters: model.cost().parameters, seconds: 10.0 })
        .run(move |run| {
            let dataset = datasets.open(&run.input("prepare"), config.speaker)?;
            let vocabulary = &dataset.vocabulary;
            let (none, key) = (Regularisation::none(), Key::new(seed).fold("decode-vc"));
            let model = config.init(vocabulary.len(), vocabulary.pad(), &none, key, &device().inner());
            let model = load_model(model, &run.input("model").join(MODEL))?.valid();
            let test = sample(&pairs(&dataset, Split::TestClean), recipe.test_pairs);
            run.progress().start(test.len() as u64, "pairs");
            let objective = Conversion::new(recipe.clone(), config.clone(), Arc::clone(&dataset), 0, key, device())?;
            let progress = |done: usize| run.progress().step(done as u64, "converted");
            let converted = objective.convert(&model, &test, evaluation.batch, progress)?;
            let mut values = Vec::new();
            let mut items = Vec::new();
            for item in &converted {
                values.extend(item.mel.data.iter().flat_map(|value| value.to_le_bytes()));
                items.push(Item {
                    source: dataset.utterance(item.pair.source).id.clone(),
                    target: dataset.utterance(item.pair.target).id.clone(),
                    frames: item.mel.len(),
                    ended: item.ended,
                    focus: item.focus,
                });
            }
            run.write_output("log-mel.f32", &values)?;
            run.write_json(CONVERTED, &Conversions { mel: config.mel, items })?;
            let griffin_lim = GriffinLim::new(LogMel::default(), GRIFFIN_LIM);
            for (n, item) in converted.iter().take(evaluation.samples).enumerate() {
                let sound = griffin_lim.samples(&item.mel, key.fold("phase").fold(n));
                write_wav(run.outputs().join(format!("{n}-converted.wav")), &sound, RATE)?;
                let (source, target) = (item.pair.source, item.pair.target);
                write_wav(run.outputs().join(format!("{n}-source.wav")), &dataset.corpus.audio(source)?, RATE)?;
                write_wav(run.outputs().join(format!("{n}-target.wav")), &dataset.corpus.audio(target)?, RATE)?;
            }
            Ok(())
        })
}

/// Scores conversions by their mel-cepstral distance to the target, beside that of the unconverted source.
pub fn score(c: &RunConfig, prepare: &Arc<Stage>, decode: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (seed, speaker, datasets) = (c.seed, c.model.speaker, Arc::clone(datasets));
    Stage::new("score-vc", 1, CEPSTRUM).input("prepare", prepare).input("decode", decode).run(move |run| {
        let dataset = datasets.open(&run.input("prepare"), speaker)?;
        let folder = run.input("decode");
        let list: Conversions =
            vocable_lab::files::read_json(&folder.join(CONVERTED))?.context("conversions are there")?;
        let bytes = fs::read(folder.join("log-mel.f32"))?;
        let values: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
        let mut offset = 0;
        let (mut distances, mut unconverted) = (Vec::new(), Vec::new());
        for item in &list.items {
            let size = item.frames * list.mel;
            let mel = Frames::new(values[offset..offset + size].to_vec(), list.mel);
            offset += size;
            let [source, target] = [find(&dataset, &item.source)?, find(&dataset, &item.target)?];
            let truth = cepstrum(&*dataset.mel(target)?);
            distances.push(distance(&cepstrum(&mel), &truth));
            unconverted.push(distance(&cepstrum(&*dataset.mel(source)?), &truth));
        }
        let bootstrap = Bootstrap::new(Key::new(seed).fold("bootstrap"));
        let ended: Vec<f64> = list.items.iter().map(|item| if item.ended { 100.0 } else { 0.0 }).collect();
        let focus: Vec<f64> = list.items.iter().map(|item| item.focus).collect();
        let mut scores = Scores::new();
        for (name, values) in
            [("mcd", distances), ("source_mcd", unconverted), ("ended", ended), ("attention_focus", focus)]
        {
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let interval = bootstrap.mean(&values).context("there are no test pairs: no sentence in two voices")?;
            scores = scores.with(name, Score::new(mean, values.len() as u64).interval(interval.low, interval.high));
            run.log(format!("{name} {mean:.3}"))?;
        }
        Ok(run.write_scores(&scores)?)
    })
}

fn find(dataset: &Dataset, id: &str) -> anyhow::Result<usize> {
    let utterances = &dataset.corpus.manifest().utterances;
    utterances.iter().position(|utterance| utterance.id == id).with_context(|| format!("no utterance is called {id}"))
}

fn cepstrum(mel: &Frames) -> Frames {
    mel_cepstrum(&drop_quiet_frames(mel, CEPSTRUM.1), CEPSTRUM.0)
}

fn distance(a: &Frames, b: &Frames) -> f64 {
    log_mel_cepstral_distance(&a.data, &b.data, a.width, false).decibels
}
