//! Stages `units`, `units-hidden` and `units-hubert`: cluster labels of speech frames, 50 a second (spec section 5.1).

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rand::seq::index;
use vocable_audio::{Frames, Mfcc};
use vocable_data::corpus::RATE;
use vocable_data::kmeans::{KMeans, MiniBatch};
use vocable_data::labels;
use vocable_data::manifest::Split;
use vocable_hubert::Hubert;
use vocable_lab::{Cost, Stage, StageRun};
use vocable_random::Key;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::data::Dataset;

use super::data::Datasets;
use super::device;
use crate::config::{HubertUnits, RunConfig, SecondUnits, UnitsConfig};

const LABELS: &str = "units.km";

/// The labels of every utterance of the corpus, in its order.
pub fn read(units: &Path) -> anyhow::Result<Vec<Vec<u32>>> {
    Ok(labels::read(&units.join(LABELS))?)
}

/// First iteration: MFCCs with their first and second differences.
pub fn from_mfcc(c: &RunConfig, prepare: &Arc<Stage>, datasets: &Arc<Datasets>) -> Arc<Stage> {
    let (units, seed, speaker) = (c.units.clone(), c.seed, c.model.speaker);
    let datasets = Arc::clone(datasets);
    Stage::new("units", 1, (units.clusters, units.max_iter, units.n_init, units.frames, seed))
        .input("prepare", prepare)
        .cost(Cost { steps: 0, parameters: 0, seconds: units.n_init as f64 * units.frames as f64 * 2e-5 })
        .run(move |run| {
            let dataset = datasets.open(run, speaker)?;
            let mfcc = Mfcc::new(RATE);
            let features = |index: usize| Ok(mfcc.mfcc_with_deltas(&dataset.corpus.audio(index)?).every(2));
            cluster(run, &dataset, &units, units.clusters, Key::new(seed).fold("units"), features)
        })
}

/// Second iteration: the output of an encoder layer of a model trained on the first.
pub fn from_states(
    c: &RunConfig,
    second: SecondUnits,
    prepare: &Arc<Stage>,
    teacher: &Arc<Stage>,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (units, seed, model) = (c.units.clone(), c.seed, c.model.clone());
    let datasets = Arc::clone(datasets);
    Stage::new("units-hidden", 1, (second, units.max_iter, units.n_init, units.frames, seed))
        .input("prepare", prepare)
        .input("pretrain", teacher)
        .cost(Cost { steps: 0, parameters: 0, seconds: units.n_init as f64 * units.frames as f64 * 1e-4 })
        .run(move |run| {
            let dataset = datasets.open(run, model.speaker)?;
            let core = super::trained(run, "pretrain", &model, &dataset, seed)?;
            let features = |index: usize| {
                let waveform = Waveforms::new(&[dataset.corpus.audio(index)?], &device().inner());
                let states = core.hidden_states(waveform.samples, &waveform.lengths, second.layer);
                let data = states.try_into_vec_as::<f32>().expect("states are readable floats");
                Ok(Frames::new(data, model.width))
            };
            cluster(run, &dataset, &units, second.clusters, Key::new(seed).fold("units-hidden"), features)
        })
}

/// The output of a layer of a published model, of which `hash` is what its files hold.
pub fn from_hubert(
    c: &RunConfig,
    hubert: HubertUnits,
    hash: String,
    prepare: &Arc<Stage>,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (units, seed, speaker) = (c.units.clone(), c.seed, c.model.speaker);
    let datasets = Arc::clone(datasets);
    let HubertUnits { folder, layer, clusters } = hubert;
    Stage::new("units-hubert", 1, (hash, layer, clusters, units.max_iter, units.n_init, units.frames, seed))
        .input("prepare", prepare)
        .cost(Cost { steps: 0, parameters: 0, seconds: units.n_init as f64 * units.frames as f64 * 1e-4 })
        .run(move |run| {
            let dataset = datasets.open(run, speaker)?;
            let hubert = Hubert::open(&folder, &device().inner())?;
            let features = |index: usize| {
                let states = hubert.hidden_states(&dataset.corpus.audio(index)?, layer);
                states.with_context(|| dataset.utterance(index).id.clone())
            };
            cluster(run, &dataset, &units, clusters, Key::new(seed).fold("units-hubert"), features)
        })
}

/// Fits k-means on a sample of the training frames and labels every utterance.
fn cluster(
    run: &StageRun,
    dataset: &Dataset,
    units: &UnitsConfig,
    clusters: usize,
    key: Key,
    features: impl Fn(usize) -> anyhow::Result<Frames>,
) -> anyhow::Result<()> {
    let count = dataset.corpus.manifest().utterances.len();
    run.progress().start(count as u64, "utterances");
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        all.push(features(index)?);
        run.progress().step(index as u64 + 1, "features");
        run.check()?;
    }
    let train: Vec<&[f32]> = dataset.split(Split::Train).into_iter().flat_map(|index| all[index].rows()).collect();
    let width = all.first().map_or(0, |frames| frames.width);
    let sample = index::sample(&mut key.fold("sample").rng(), train.len(), units.frames.min(train.len()));
    let rows: Vec<f32> = sample.into_iter().flat_map(|row| train[row].iter().copied()).collect();
    run.progress().step(count as u64, "k-means");
    let settings = MiniBatch { max_iter: units.max_iter, n_init: units.n_init, ..MiniBatch::new(clusters) };
    let kmeans = KMeans::fit(&rows, width, settings, key)?;
    let frames = rows.len() / width;
    run.log(format!(
        "{clusters} clusters over {frames} frames, inertia {:.4} a frame",
        kmeans.inertia(&rows) / frames as f64
    ))?;
    kmeans.save(&run.outputs().join("kmeans.safetensors"))?;
    let labels: Vec<Vec<u32>> = all.iter().map(|frames| kmeans.assign(&frames.data)).collect();
    let used = labels.iter().flatten().collect::<std::collections::HashSet<_>>().len();
    run.log(format!("{used} of {clusters} clusters occur"))?;
    Ok(labels::write(&run.outputs().join(LABELS), &labels)?)
}
