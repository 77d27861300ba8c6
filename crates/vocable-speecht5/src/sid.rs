//! Speaker identification: waveform into one class (spec section 6.6).

use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_data::crop;
use vocable_data::manifest::Split;
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_nn::Mode;
use vocable_objectives::{Losses, speaker_loss};
use vocable_random::Key;
use vocable_train::{Batch, Objective, ObjectiveError};

use crate::asr::Mean;
use crate::batch::Waveforms;
use crate::data::Dataset;
use crate::{ModelError, Preset, Regularisation, SpeakerClassifier};

/// Rows before the first speaker: the dictionary's special symbols.
const SPECIAL_ROWS: u32 = 4;
/// Rows behind the last: `<mask>` and `<ctc_blank>`.
const ADDED_ROWS: u32 = 2;

/// The identification recipe, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidConfig {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Samples of a training crop.
    pub segment: usize,
    /// Utterances of a micro-batch.
    pub batch_items: usize,
    /// Micro-batches of an update (`update_freq`).
    pub micro_batches: usize,
}

impl SidConfig {
    /// The recipe of VoxCeleb1 (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let official = preset == Preset::Official;
        Self {
            regularisation: Regularisation::new(0.1, 0.1, [0.05, 0.1], 1.0).preset(preset),
            segment: if official { 51_200 } else { 48_000 },
            batch_items: if official { 8 } else { 64 },
            micro_batches: if official { 2 } else { 1 },
        }
    }
}

/// The losses of one batch: cross-entropy per utterance and accuracy.
pub fn pass(model: &SpeakerClassifier, waveforms: &Waveforms, classes: &[u32], mode: Mode) -> Losses {
    let logits = model.forward(waveforms.samples.clone(), &waveforms.lengths, mode);
    let loss = speaker_loss(logits, classes);
    Losses::new(&loss.sum.device())
        .add("sid/cross_entropy", 1.0, loss.per_sentence())
        .log("sid/accuracy", loss.accuracy())
}

/// The identification objective over a corpus.
#[derive(Debug)]
pub struct Identification {
    config: SidConfig,
    dataset: Arc<Dataset>,
    speakers: Vec<String>,
    utterances: Vec<usize>,
    validation: Vec<usize>,
    batches: BatchSampler,
    key: Key,
    device: Device,
}

/// Who spoke and who was named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    /// Utterance.
    pub id: String,
    /// Who speaks in it.
    pub reference: String,
    /// The most probable speaker; none if a row without a speaker won.
    pub found: Option<String>,
}

/// What part of a test utterance is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hearing {
    /// All of it.
    Whole,
    /// A crop of so many samples from its middle, in white noise at this signal-to-noise ratio in dB.
    NoisyCrop {
        /// Samples.
        samples: usize,
        /// Signal-to-noise ratio in dB.
        snr: f64,
    },
}

impl Identification {
    /// Trains on `train`, validates on at most `validation` utterances of `valid`.
    ///
    /// # Errors
    /// A corpus with fewer than two voices for training.
    pub fn new(
        config: SidConfig,
        dataset: Arc<Dataset>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let utterances = dataset.split(Split::Train);
        let speakers = dataset.corpus.manifest().speakers(Split::Train);
        if speakers.len() < 2 {
            let message = format!("the `train` split has {} voices; two are needed", speakers.len());
            return Err(ModelError::Unsuitable { task: "speaker identification", message });
        }
        let length = |&index: &usize| [dataset.declared_samples(index).min(config.segment)];
        let lengths: Vec<[usize; 1]> = utterances.iter().map(length).collect();
        let limits = Limits { max_tokens: usize::MAX >> 1, max_items: config.batch_items };
        let batches = BatchSampler::new(&lengths, limits, key.fold("order"))?;
        let known = |&index: &usize| speakers.contains(&dataset.utterance(index).speaker);
        let validation = crate::vc::sample(
            &dataset.split(Split::Valid).into_iter().filter(|index| known(index)).collect::<Vec<_>>(),
            validation,
        );
        Ok(Self { config, dataset, speakers, utterances, validation, batches, key, device })
    }

    /// Rows of the class matrix: speakers and the dictionary's special symbols (spec section 4.10).
    pub fn classes(&self) -> usize {
        self.speakers.len() + (SPECIAL_ROWS + ADDED_ROWS) as usize
    }

    /// Test utterances of voices that were trained on.
    pub fn test(&self) -> Vec<usize> {
        let mut test = self.dataset.split(Split::TestClean);
        test.retain(|&index| self.speakers.contains(&self.dataset.utterance(index).speaker));
        test
    }

    fn class(&self, index: usize) -> u32 {
        let speaker = &self.dataset.utterance(index).speaker;
        let position = self.speakers.iter().position(|other| other == speaker);
        SPECIAL_ROWS + position.expect("only known voices are classified") as u32
    }

    fn indices(&self, update: usize, micro: usize) -> Vec<usize> {
        self.batches.at(update * self.micro_batches() + micro).into_iter().map(|n| self.utterances[n]).collect()
    }

    /// Names the speakers of utterances, one at a time (whole utterances differ in length).
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn identify(
        &self,
        model: &SpeakerClassifier,
        indices: &[usize],
        hearing: Hearing,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Identified>, ModelError> {
        let device = self.device.clone().inner();
        let mut found = Vec::with_capacity(indices.len());
        for &index in indices {
            let audio = self.dataset.corpus.audio(index)?;
            let heard = match hearing {
                Hearing::Whole => audio.to_vec(),
                Hearing::NoisyCrop { samples, snr } => {
                    let size = samples.min(audio.len());
                    let start = (audio.len() - size) / 2;
                    let key = self.key.fold("noise").fold(index);
                    vocable_audio::add_white_noise(&audio[start..start + size], snr, key)
                }
            };
            let waveform = Waveforms::new(&[&heard], &device);
            let logits = model.forward(waveform.samples, &waveform.lengths, Mode::Eval);
            let winner = logits.argmax(1).into_scalar::<i64>() as u32;
            let utterance = self.dataset.utterance(index);
            found.push(Identified {
                id: utterance.id.clone(),
                reference: utterance.speaker.clone(),
                found: winner
                    .checked_sub(SPECIAL_ROWS)
                    .and_then(|speaker| self.speakers.get(speaker as usize))
                    .cloned(),
            });
            progress(found.len());
        }
        Ok(found)
    }

    fn losses(
        &self,
        model: &SpeakerClassifier,
        indices: &[usize],
        key: Key,
        device: &Device,
        mode: Mode,
    ) -> Result<Losses, ModelError> {
        let audio = self.dataset.audio(indices)?;
        let crops: Vec<&[f32]> = audio
            .iter()
            .enumerate()
            .map(|(n, audio)| {
                let size = self.config.segment.min(audio.len());
                let start = crop::start(audio.len(), size, key.fold(n));
                &audio[start..start + size]
            })
            .collect();
        let classes: Vec<u32> = indices.iter().map(|&index| self.class(index)).collect();
        Ok(pass(model, &Waveforms::new(&crops, device), &classes, mode))
    }
}

impl Objective<SpeakerClassifier> for Identification {
    fn micro_batches(&self) -> usize {
        self.config.micro_batches
    }

    fn loss(&self, model: &SpeakerClassifier, update: usize, micro: usize) -> Result<Losses, ObjectiveError> {
        let key = self.key.fold("update").fold(update).fold(micro);
        let mode = Mode::Train(key.fold("model"));
        Ok(self.losses(model, &self.indices(update, micro), key, &self.device, mode)?)
    }

    fn batch(&self, update: usize, micro: usize) -> Batch {
        let indices = self.indices(update, micro);
        let samples = |&index: &usize| self.dataset.declared_samples(index).min(self.config.segment);
        Batch { utterances: self.dataset.names(&indices), frames: indices.iter().map(samples).sum() }
    }

    fn validate(&self, model: &SpeakerClassifier) -> Result<Vec<(String, f64)>, ObjectiveError> {
        let device = self.device.clone().inner();
        let mut mean = Mean::default();
        for indices in self.validation.chunks(self.config.batch_items.min(16)) {
            let losses = self.losses(model, indices, self.key.fold("validation"), &device, Mode::Eval)?;
            mean.add(indices.len(), losses.terms);
        }
        Ok(mean.finish())
    }
}
