//! Stages `units`, `units-hidden`, `units-hubert` and `units-labels`: cluster labels of speech frames, 50 a second (spec section 5.1).
//!
//! Features are computed twice, to fit k-means on a sample of them and to label all: of 960 hours the states of a base model
//! are 531 GB, the sample at scale `base` 15 GB.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
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
use vocable_speecht5::pretrain::LABEL_RATE;

use super::data::Datasets;
use super::device;
use crate::config::{HubertUnits, Labels, RunConfig, SecondUnits, UnitsConfig};

const LABELS: &str = "units.km";
/// How many labels more or fewer than its duration tells an utterance may have: extractors make one or two fewer, rates of
/// other recordings round.
const APART: f64 = 3.0;

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
            let frames = |samples: usize| mfcc.frames(samples).div_ceil(2);
            let features = |index: usize| Ok(mfcc.mfcc_with_deltas(&dataset.corpus.audio(index)?).every(2));
            cluster(run, &dataset, &units, units.clusters, Key::new(seed).fold("units"), frames, features)
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
            let extractor = model.extractor();
            let frames = |samples: usize| extractor.frames(samples);
            let features = |index: usize| {
                let waveform = Waveforms::new(&[dataset.corpus.audio(index)?], &device().inner());
                let states = core.hidden_states(waveform.samples, &waveform.lengths, second.layer);
                let data = states.try_into_vec_as::<f32>().expect("states are readable floats");
                Ok(Frames::new(data, model.width))
            };
            cluster(run, &dataset, &units, second.clusters, Key::new(seed).fold("units-hidden"), frames, features)
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
            let extractor = hubert.config.extractor();
            let frames = |samples: usize| extractor.frames(samples);
            let features = |index: usize| {
                let states = hubert.hidden_states(&dataset.corpus.audio(index)?, layer);
                states.with_context(|| dataset.utterance(index).id.clone())
            };
            cluster(run, &dataset, &units, clusters, Key::new(seed).fold("units-hubert"), frames, features)
        })
}

/// The file of the labels of a split.
pub fn labels_of(folder: &Path, split: Split) -> PathBuf {
    folder.join(format!("{split}.km"))
}

/// Labels that were made elsewhere, of the splits that pre-training hears, with the hash of each one's file; the others have none.
pub fn from_files(
    labels: Labels,
    heard: Vec<(Split, String)>,
    prepare: &Arc<Stage>,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let datasets = Arc::clone(datasets);
    Stage::new("units-labels", 1, (&heard, labels.clusters))
        .input("prepare", prepare)
        .cost(Cost { steps: 0, parameters: 0, seconds: 1.0 })
        .run(move |run| {
            let (manifest, kept) = datasets.whole(&run.input("prepare"))?;
            let mut read = HashMap::new();
            for &(split, _) in &heard {
                let path = labels_of(&labels.folder, split);
                let (lines, utterances) = (labels::read(&path)?, manifest.split(split));
                if lines.len() != utterances.len() {
                    let (path, lines, count) = (path.display(), lines.len(), utterances.len());
                    bail!("{path} has {lines} lines, the manifest {count} utterances of `{split}`");
                }
                for (number, (units, index)) in lines.into_iter().zip(utterances).enumerate() {
                    let utterance = &manifest.utterances[index];
                    let at = || format!("{}:{}: {}", path.display(), number + 1, utterance.id);
                    let frames = utterance.seconds * LABEL_RATE;
                    if let Some(unit) = units.iter().find(|&&unit| unit as usize >= labels.clusters) {
                        bail!("{} has unit {unit}, and units.labels.clusters is {}", at(), labels.clusters);
                    }
                    if (units.len() as f64 - frames).abs() > APART {
                        bail!("{} has {} units, where {LABEL_RATE} a second are about {frames:.0}", at(), units.len());
                    }
                    read.insert(utterance.id.as_str(), units);
                }
            }
            let units: Vec<Vec<u32>> = kept.iter().map(|id| read.remove(id.as_str()).unwrap_or_default()).collect();
            Ok(labels::write(&run.outputs().join(LABELS), &units)?)
        })
}

/// Fits k-means on a sample of the training frames and labels every utterance; `frames` tells how many frames of `features`
/// so many samples have.
fn cluster(
    run: &StageRun,
    dataset: &Dataset,
    units: &UnitsConfig,
    clusters: usize,
    key: Key,
    frames: impl Fn(usize) -> usize,
    features: impl Fn(usize) -> anyhow::Result<Frames>,
) -> anyhow::Result<()> {
    let (train, count) = (dataset.split(Split::Train), dataset.corpus.manifest().utterances.len());
    run.progress().start((train.len() + count) as u64, "utterances");
    let mut lengths = Vec::with_capacity(train.len());
    for &index in &train {
        lengths.push(frames(dataset.corpus.audio(index)?.len()));
        run.check()?;
    }
    let rows = sample(&lengths, units.frames, key.fold("sample"), |n| {
        run.progress().step(n as u64, "features");
        run.check()?;
        features(train[n])
    })?;
    run.progress().step(train.len() as u64, "k-means");
    let settings = MiniBatch { max_iter: units.max_iter, n_init: units.n_init, ..MiniBatch::new(clusters) };
    let kmeans = KMeans::fit(&rows.data, rows.width, settings, key)?;
    run.log(format!(
        "{clusters} clusters over {} frames, inertia {:.4} a frame",
        rows.len(),
        kmeans.inertia(&rows.data) / rows.len() as f64
    ))?;
    drop(rows);
    kmeans.save(&run.outputs().join("kmeans.safetensors"))?;
    let mut labels = Vec::with_capacity(count);
    for index in 0..count {
        labels.push(kmeans.assign(&features(index)?.data));
        run.progress().step((train.len() + index) as u64 + 1, "labels");
        run.check()?;
    }
    let used = labels.iter().flatten().collect::<std::collections::HashSet<_>>().len();
    run.log(format!("{used} of {clusters} clusters occur"))?;
    Ok(labels::write(&run.outputs().join(LABELS), &labels)?)
}

/// At most `count` frames, drawn from utterances of these lengths, in the order of the draw; `features` makes the frames of an
/// utterance, one after the other.
fn sample(
    lengths: &[usize],
    count: usize,
    key: Key,
    features: impl Fn(usize) -> anyhow::Result<Frames>,
) -> anyhow::Result<Frames> {
    let total = lengths.iter().sum();
    let drawn = index::sample(&mut key.rng(), total, count.min(total));
    let mut rows = Frames { data: Vec::new(), width: 1 };
    // By frame, with its place among the drawn.
    let mut wanted: Vec<(usize, usize)> = drawn.into_iter().enumerate().map(|(place, frame)| (frame, place)).collect();
    wanted.sort_unstable();
    let places = wanted.len();
    let (mut wanted, mut start) = (wanted.into_iter().peekable(), 0);
    for (utterance, &length) in lengths.iter().enumerate() {
        let end = start + length;
        if wanted.peek().is_some_and(|&(frame, _)| frame < end) {
            let own = features(utterance)?;
            assert_eq!(own.len(), length, "an utterance has other frames than its samples tell");
            if rows.is_empty() {
                rows = Frames::new(vec![0.0; places * own.width], own.width);
            }
            while let Some((frame, place)) = wanted.next_if(|&(frame, _)| frame < end) {
                rows.data[place * own.width..][..own.width].copy_from_slice(own.row(frame - start));
            }
        }
        start = end;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_drawn_as_if_all_frames_were_there() {
        let utterance =
            |n: usize| Frames::new(vocable_audio::white_noise(3 * [4, 0, 9, 1, 6][n], Key::new(n as u64)), 3);
        let lengths: Vec<usize> = (0..5).map(|n| utterance(n).len()).collect();
        let all: Vec<Vec<f32>> =
            (0..5).flat_map(|n| utterance(n).rows().map(<[f32]>::to_vec).collect::<Vec<_>>()).collect();
        for count in [1, 7, 20, 99] {
            let drawn = index::sample(&mut Key::new(5).rng(), all.len(), count.min(all.len()));
            let expected: Vec<f32> = drawn.into_iter().flat_map(|frame| all[frame].clone()).collect();
            let made = std::cell::RefCell::new(Vec::new());
            let features = |n| {
                made.borrow_mut().push(n);
                Ok(utterance(n))
            };
            let rows = sample(&lengths, count, Key::new(5), features).unwrap();
            assert_eq!((rows.data, rows.width), (expected, 3));
            // Each is made once at most.
            assert!(made.borrow().is_sorted_by(|a, b| a < b), "{made:?}");
        }
        assert!(sample(&[], 7, Key::new(5), |_| unreachable!("there is none")).unwrap().is_empty());
    }
}
