//! Speaker identification: waveform into one class (spec section 6.6).

use std::sync::Arc;

use burn::tensor::{Device, activation};
use serde::{Deserialize, Serialize};
use vocable_data::crop;
use vocable_data::manifest::Split;
use vocable_data::sampler::Limits;
use vocable_data::speaker;
use vocable_nn::{ConvExtractorConfig, Mode};
use vocable_objectives::{Losses, Margin, speaker_loss};
use vocable_random::Key;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use crate::batch::Waveforms;
use crate::data::{Dataset, bad_file, sample};
use crate::{ModelConfig, ModelError, Preset, Regularisation, SpeakerClassifier};

/// Rows before the first speaker: the dictionary's special symbols.
const SPECIAL_ROWS: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
/// Rows behind the last.
const ADDED_ROWS: [&str; 2] = ["<mask>", "<ctc_blank>"];

/// What the rows of the class matrix stand for: speakers between the dictionary's special symbols (spec section 4.10).
pub fn labels(speakers: &[String]) -> Vec<String> {
    let special = |rows: &[&str]| rows.iter().map(ToString::to_string).collect::<Vec<_>>();
    [special(&SPECIAL_ROWS), speakers.to_vec(), special(&ADDED_ROWS)].concat()
}

/// The speakers among the `labels` of a model's classes by falling probability that they speak in a waveform. The
/// probabilities are those of all classes; special symbols are never an answer.
pub fn rank_speakers<'a>(
    model: &SpeakerClassifier,
    labels: &'a [String],
    samples: &[f32],
    device: &Device,
) -> Vec<(&'a str, f64)> {
    let waveform = Waveforms::new(&[samples], device);
    let logits = model.forward(waveform.samples, &waveform.lengths, Mode::Eval);
    let probabilities = activation::softmax(logits, 1).try_into_vec_as::<f32>().expect("probabilities are floats");
    let named = labels.iter().map(String::as_str).zip(probabilities.into_iter().map(f64::from));
    let special = |label: &str| SPECIAL_ROWS.contains(&label) || ADDED_ROWS.contains(&label);
    let mut speakers: Vec<(&str, f64)> = named.filter(|(label, _)| !special(label)).collect();
    speakers.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    speakers
}

/// The identification recipe, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidConfig {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Samples of a training crop (table D38).
    pub segment: usize,
    /// Samples of a crop in validation where they are not as many (table D38).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_segment: Option<usize>,
    /// Utterances of a micro-batch.
    pub batch_items: usize,
    /// Micro-batches of an update (`update_freq`).
    pub micro_batches: usize,
    /// Trains on cosines, of which the true speaker's must win by a margin; without it on the linear layer (table D39).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
}

impl SidConfig {
    /// The recipe of VoxCeleb1 (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let official = preset == Preset::Official;
        Self {
            regularisation: Regularisation::new(0.1, 0.1, [0.05, 0.1], 1.0).preset(preset),
            segment: if official { 51_200 } else { 48_000 },
            validation_segment: official.then_some(76_800),
            batch_items: if official { 8 } else { 64 },
            micro_batches: if official { 2 } else { 1 },
            margin: None,
        }
    }
}

/// The losses of one batch: cross-entropy per utterance and accuracy; in training both are subject to the margin, if any.
pub fn pass(
    model: &SpeakerClassifier,
    waveforms: &Waveforms,
    classes: &[u32],
    margin: Option<Margin>,
    mode: Mode,
) -> Losses {
    let states = model.states(waveforms.samples.clone(), &waveforms.lengths, mode);
    let logits = match margin {
        Some(margin) => margin.logits(model.head.cosines(states), mode.is_train().then_some(classes)),
        None => model.head.forward(states),
    };
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
    extractor: ConvExtractorConfig,
    utterances: Items<usize>,
    notes: Vec<String>,
    key: Key,
    device: Device,
}

/// A batch of crops in host memory.
#[derive(Debug)]
pub struct SidData {
    crops: Vec<Vec<f32>>,
    classes: Vec<u32>,
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
    /// Trains on `train`, validates on at most `validation` utterances of `valid`, of `model` those that its extractor
    /// makes a frame of.
    ///
    /// # Errors
    /// A corpus with fewer than two voices for training, or without a recording that is long enough.
    pub fn new(
        config: SidConfig,
        model: &ModelConfig,
        dataset: Arc<Dataset>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let speakers = dataset.corpus.manifest().speakers(Split::Train);
        if speakers.len() < 2 {
            let message = format!("the `train` split has {} voices; two are needed", speakers.len());
            return Err(ModelError::Unsuitable { task: "speaker identification", message });
        }
        let extractor = model.extractor();
        let known = |index: &usize| speakers.contains(&dataset.utterance(*index).speaker);
        let long_enough = |index: &usize| dataset.makes_a_frame(&extractor, *index);
        let (name, mut notes) = (|&index: &usize| dataset.utterance(index).id.clone(), Vec::new());
        let why = "shorter than the receptive field";
        let train = keep(dataset.split(Split::Train), "training utterances", why, long_enough, name, &mut notes);
        if train.is_empty() {
            let message = format!("every recording of the `train` split is {why}");
            return Err(ModelError::Unsuitable { task: "speaker identification", message });
        }
        let mut valid = dataset.split(Split::Valid);
        valid.retain(|index| known(index) && long_enough(index));
        let valid = sample(&valid, validation);
        let length = |index: usize| [dataset.declared_samples(index).min(config.segment)];
        let limits = Limits { max_tokens: usize::MAX >> 1, max_items: config.batch_items };
        let utterances = Items::new(train, &valid, length, limits, config.micro_batches, key.fold("order"))?;
        Ok(Self { config, dataset, speakers, extractor, utterances, notes, key, device })
    }

    /// The voices of the training split, in the order of their classes.
    pub fn speakers(&self) -> &[String] {
        &self.speakers
    }

    /// Rows of the class matrix; see [`labels`].
    pub fn classes(&self) -> usize {
        labels(&self.speakers).len()
    }

    /// Test utterances of voices that were trained on, of those that the extractor makes a frame of.
    pub fn test(&self) -> Vec<usize> {
        let mut test = self.dataset.split(Split::TestClean);
        test.retain(|&index| {
            self.dataset.makes_a_frame(&self.extractor, index)
                && self.speakers.contains(&self.dataset.utterance(index).speaker)
        });
        test
    }

    /// Who speaks in an utterance.
    pub fn speaker(&self, index: usize) -> &str {
        &self.dataset.utterance(index).speaker
    }

    fn class(&self, index: usize) -> u32 {
        let speaker = &self.dataset.utterance(index).speaker;
        let position = self.speakers.iter().position(|other| other == speaker);
        (SPECIAL_ROWS.len() + position.expect("only known voices are classified")) as u32
    }

    /// The states by which whole utterances are told apart, `[width]` each and of length 1: the dot product of two says
    /// how alike their voices seem. `progress` hears how many are done, and may stop it.
    ///
    /// # Errors
    /// An unusable recording, by name; what `progress` says.
    pub fn embed<E: From<ModelError>>(
        &self,
        model: &SpeakerClassifier,
        indices: &[usize],
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Vec<f32>>, E> {
        let device = self.device.clone().inner();
        let mut found = Vec::with_capacity(indices.len());
        for &index in indices {
            let waveform = Waveforms::new(&[self.dataset.corpus.audio(index).map_err(ModelError::from)?], &device);
            let state = model.states(waveform.samples, &waveform.lengths, Mode::Eval);
            let state = state.try_into_vec_as::<f32>().expect("states are floats");
            found.push(speaker::unit(&state));
            progress(found.len())?;
        }
        Ok(found)
    }

    /// A batch of these utterances, all of which must be readable.
    fn batch(&self, indices: &[usize], id: BatchId) -> Result<Batch<SidData>, ModelError> {
        let SidConfig { segment, validation_segment, .. } = self.config;
        let (key, segment) = match id {
            BatchId::Train { update, micro } => (update_key(self.key, update, micro), segment),
            BatchId::Valid(index) => (self.key.fold("validation").fold(index), validation_segment.unwrap_or(segment)),
        };
        let audio = self.dataset.audio(indices)?;
        let crop = |(n, audio): (usize, &Arc<[f32]>)| {
            let size = segment.min(audio.len());
            let start = crop::start(audio.len(), size, key.fold(n));
            audio[start..start + size].to_vec()
        };
        let crops: Vec<Vec<f32>> = audio.iter().enumerate().map(crop).collect();
        let heard = Sequences::new("audio", crops.iter().map(Vec::len));
        Ok(Batch {
            utterances: self.dataset.names(indices),
            bytes: 4 * heard.valid,
            sequences: vec![heard],
            data: SidData { crops, classes: indices.iter().map(|&index| self.class(index)).collect() },
            left_out: Vec::new(),
        })
    }

    /// Names the speakers of utterances, one at a time (whole utterances differ in length); `progress` hears how many are done,
    /// and may stop it.
    ///
    /// # Errors
    /// An unusable recording, by name; what `progress` says.
    pub fn identify<E: From<ModelError>>(
        &self,
        model: &SpeakerClassifier,
        indices: &[usize],
        hearing: Hearing,
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Identified>, E> {
        let device = self.device.clone().inner();
        let mut found = Vec::with_capacity(indices.len());
        for &index in indices {
            let audio = self.dataset.corpus.audio(index).map_err(ModelError::from)?;
            let heard = match hearing {
                Hearing::Whole => audio.to_vec(),
                Hearing::NoisyCrop { samples, snr } => {
                    let size = samples.min(audio.len());
                    let start = (audio.len() - size) / 2;
                    let key = self.key.fold("noise").fold(index);
                    vocable_audio::add_white_noise(&audio[start..start + size], snr, key)
                }
            };
            let waveform = Waveforms::new(&[heard], &device);
            let logits = model.forward(waveform.samples, &waveform.lengths, Mode::Eval);
            let winner = logits.argmax(1).into_scalar::<i64>() as usize;
            let utterance = self.dataset.utterance(index);
            found.push(Identified {
                id: utterance.id.clone(),
                reference: utterance.speaker.clone(),
                found: winner.checked_sub(SPECIAL_ROWS.len()).and_then(|speaker| self.speakers.get(speaker)).cloned(),
            });
            progress(found.len())?;
        }
        Ok(found)
    }
}

impl Objective<SpeakerClassifier> for Identification {
    type Data = SidData;

    fn micro_batches(&self) -> usize {
        self.utterances.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.utterances.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<SidData>, ObjectiveError> {
        let name = |&index: &usize| self.dataset.utterance(index).id.clone();
        usable(&self.utterances.of(id), |indices| self.batch(indices, id), bad_file, name)
    }

    fn losses(&self, model: &SpeakerClassifier, data: &SidData, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (key, device) = id.pass(self.key, &self.device);
        Ok(pass(model, &Waveforms::new(&data.crops, &device), &data.classes, self.config.margin, key.into()))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
