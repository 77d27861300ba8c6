//! Training from a manifest with speakers.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocable_audio::Fbank;
use vocable_data::DataError;
use vocable_data::corpus::Corpus;
use vocable_data::crop;
use vocable_data::manifest::Split;
use vocable_data::sampler::Limits;
use vocable_nn::Init;
use vocable_objectives::{Losses, speaker_loss};
use vocable_random::Key;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use crate::{RATE, SpeakerHead, XVectorClassifier, XVectorConfig, features};

/// The recipe of an x-vector network, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeakerTask {
    /// The network.
    pub model: XVectorConfig,
    /// Samples of a crop; the crops of a batch are as long as its shortest recording where that is shorter.
    pub segment: usize,
    /// Recordings of fewer samples are left out of training.
    pub shortest: usize,
    /// Utterances of a micro-batch.
    pub batch_items: usize,
    /// Micro-batches of an update.
    pub micro_batches: usize,
}

impl SpeakerTask {
    /// SpeechBrain's recipe for VoxCeleb without its noises and echoes: 3 s crops, 256 a batch.
    pub fn official() -> Self {
        Self {
            model: XVectorConfig::official(),
            segment: 3 * RATE as usize,
            shortest: RATE as usize / 2,
            batch_items: 256,
            micro_batches: 1,
        }
    }
}

/// Telling the voices of the training split apart: cross-entropy over crops.
pub struct SpeakerTraining {
    task: SpeakerTask,
    corpus: Arc<Corpus>,
    fbank: Fbank,
    speakers: Vec<String>,
    utterances: Items<usize>,
    notes: Vec<String>,
    key: Key,
    device: Device,
}

/// A batch of crops in host memory.
#[derive(Debug)]
pub struct SpeakerData {
    /// `[batch, frames, bands]`.
    features: Vec<f32>,
    frames: usize,
    classes: Vec<u32>,
}

impl SpeakerTraining {
    /// Trains on `train` and validates on the utterances of `valid` whose voices are trained on.
    ///
    /// # Errors
    /// Fewer than two voices to train on, a recipe of impossible sizes.
    pub fn new(task: SpeakerTask, corpus: Arc<Corpus>, key: Key, device: Device) -> Result<Self, DataError> {
        let fbank = Fbank::new(RATE, task.model.bands.max(1));
        let least = task.shortest.min(task.segment);
        task.model.check().map_err(DataError::Invalid)?;
        if least == 0 || fbank.frames(least) < task.model.least_frames() {
            let frames = task.model.least_frames();
            return Err(DataError::Invalid(format!("crops of {least} samples are shorter than {frames} frames")));
        }
        let manifest = corpus.manifest();
        let speakers = manifest.speakers(Split::Train);
        if speakers.len() < 2 {
            let message = format!("the `train` split has {} voices; two are needed", speakers.len());
            return Err(DataError::File { path: manifest.path.clone(), message });
        }
        let samples = |index: usize| (manifest.utterances[index].seconds * f64::from(RATE)).round() as usize;
        let mut notes = Vec::new();
        let why = format!("shorter than {} samples", task.shortest);
        let id = |index: &usize| manifest.utterances[*index].id.clone();
        let mut kept = |split, what| {
            keep(manifest.split(split), what, &why, |&index| samples(index) >= task.shortest, id, &mut notes)
        };
        let (train, mut valid) = (kept(Split::Train, "utterances"), kept(Split::Valid, "held-out utterances"));
        valid.retain(|&index| speakers.binary_search(&manifest.utterances[index].speaker).is_ok());
        let limits = Limits { max_tokens: usize::MAX >> 1, max_items: task.batch_items };
        let length = |index| [samples(index).min(task.segment)];
        let utterances = Items::new(train, &valid, length, limits, task.micro_batches, key.fold("order"))?;
        Ok(Self { task, corpus, fbank, speakers, utterances, notes, key, device })
    }

    /// The voices of the training split, in the order of their classes.
    pub fn speakers(&self) -> &[String] {
        &self.speakers
    }

    /// A batch of these utterances, all of which must be readable.
    fn batch(&self, indices: &[usize], id: BatchId) -> Result<Batch<SpeakerData>, DataError> {
        let key = match id {
            BatchId::Train { update, micro } => update_key(self.key, update, micro),
            BatchId::Valid(index) => self.key.fold("validation").fold(index),
        };
        let manifest = self.corpus.manifest();
        let audio = indices.iter().map(|&index| self.corpus.audio(index)).collect::<Result<Vec<_>, _>>()?;
        let size = audio.iter().map(|audio| audio.len()).min().unwrap_or(0).min(self.task.segment);
        let least = self.task.model.least_frames();
        if self.fbank.frames(size) < least {
            let message = format!("a recording is shorter than its manifest says, and than {least} frames");
            return Err(DataError::Invalid(message));
        }
        let crop = |(n, audio): (usize, &Arc<[f32]>)| {
            let start = crop::start(audio.len(), size, key.fold(n));
            features(&self.fbank, &audio[start..start + size]).data
        };
        let features: Vec<f32> = audio.iter().enumerate().flat_map(crop).collect();
        let class = |&index: &usize| {
            let speaker = self.speakers.binary_search(&manifest.utterances[index].speaker);
            speaker.expect("only known voices are classified") as u32
        };
        Ok(Batch {
            utterances: indices.iter().map(|&index| manifest.utterances[index].id.clone()).collect(),
            sequences: vec![Sequences::new("audio", indices.iter().map(|_| size))],
            bytes: 4 * features.len(),
            left_out: Vec::new(),
            data: SpeakerData {
                features,
                frames: self.fbank.frames(size),
                classes: indices.iter().map(class).collect(),
            },
        })
    }

    /// Draws a network and a head for the voices.
    pub fn init(&self, key: Key) -> XVectorClassifier {
        let init = Init::new(key, &self.device);
        XVectorClassifier {
            encoder: self.task.model.init(&init.fold("encoder")),
            head: SpeakerHead::new(self.task.model.width, self.speakers.len(), &init.fold("head")),
        }
    }
}

impl Objective<XVectorClassifier> for SpeakerTraining {
    type Data = SpeakerData;

    fn micro_batches(&self) -> usize {
        self.utterances.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.utterances.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<SpeakerData>, ObjectiveError> {
        let blame = |error: &DataError| Some(error.to_string());
        let name = |&index: &usize| self.corpus.manifest().utterances[index].id.clone();
        usable(&self.utterances.of(id), |indices| self.batch(indices, id), blame, name)
    }

    fn losses(&self, model: &XVectorClassifier, data: &SpeakerData, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (key, device) = id.pass(self.key, &self.device);
        let shape = [data.classes.len(), data.frames, self.task.model.bands];
        let features = Tensor::from_data(TensorData::new(data.features.clone(), shape), &device);
        let loss = speaker_loss(model.forward(features, key.into()), &data.classes);
        Ok(Losses::new(&device)
            .add("speakers/cross_entropy", 1.0, loss.per_sentence())
            .log("speakers/accuracy", loss.accuracy()))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl std::fmt::Debug for SpeakerTraining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeakerTraining").field("task", &self.task).finish_non_exhaustive()
    }
}
