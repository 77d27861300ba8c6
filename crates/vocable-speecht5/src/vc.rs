//! Voice conversion: the same sentence in another voice (spec section 6.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocable_audio::Frames;
use vocable_data::manifest::Split;
use vocable_data::sampler::Limits;
use vocable_decode::{SpeechLimits, StopRule, generate_speech};
use vocable_nets::{SpeechMasks, SpeechOutput};
use vocable_nn::Mode;
use vocable_objectives::{Losses, SpectrogramDistance, StopLabels};
use vocable_random::Key;
use vocable_train::{Batch, BatchId, Objective, ObjectiveError, Sequences};

use crate::batch::{SpeechTarget, Waveforms};
use crate::data::{Dataset, in_order};
use crate::decode::SpeechDecoding;
use crate::items::{Items, keep, update_key};
use crate::speech_loss::{SpeechLoss, SpeechPass};
use crate::{EncodedSpeech, ModelConfig, ModelError, Preset, Regularisation, SpeechT5};

/// The conversion recipe, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VcConfig {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Samples of a micro-batch, of sources or of targets, whichever are longer (`max_tokens`); longer pairs are left out.
    pub batch_samples: usize,
    /// Utterances of a micro-batch at most.
    pub batch_items: usize,
    /// Micro-batches of an update (`update_freq`).
    pub micro_batches: usize,
    /// Distance of predicted and true log-mels.
    pub distance: SpectrogramDistance,
    /// Weight of the stop prediction.
    pub stop: f64,
    /// Weight of a positive stop label.
    pub stop_positive: f64,
    /// Which frames carry a stop label (table D42).
    pub stop_labels: StopLabels,
    /// Weight of the guided attention (table D30); zero removes it.
    pub guided_attention: f64,
    /// Heads of each layer that are guided (table D31).
    pub guided_heads: usize,
    /// When generation stops.
    pub limits: SpeechLimits,
    /// Pairs of utterances that are scored at most, a fixed random choice of the split's.
    pub test_pairs: usize,
}

impl VcConfig {
    /// The recipe of CMU Arctic (spec section 6) under a preset's switches.
    pub fn base(preset: Preset) -> Self {
        let rule = if preset == Preset::Hf { StopRule::Sum } else { StopRule::Any };
        let max_ratio = if preset == Preset::Hf { 20.0 } else { 10.0 };
        Self {
            regularisation: Regularisation::new(0.2, 0.2, [0.05, 0.0], 1.0).preset(preset),
            // 20k tokens, a token being a mel frame of 256 samples (table D46).
            batch_samples: if preset == Preset::Official { 1_280_000 } else { 20_000 * 256 },
            batch_items: 1024,
            micro_batches: if preset == Preset::Official { 3 } else { 1 },
            distance: SpectrogramDistance::L1,
            stop: 1.0,
            stop_positive: 5.0,
            stop_labels: if preset == Preset::Hf { StopLabels::Last } else { StopLabels::Tail },
            guided_attention: if preset == Preset::Hf { 10.0 } else { 1.0 },
            guided_heads: 2,
            limits: SpeechLimits { rule, ..SpeechLimits::up_to(max_ratio) },
            test_pairs: 1200,
        }
    }
}

/// A batch of utterances with what they become.
#[derive(Clone, Debug)]
pub struct VcBatch {
    /// Source waveforms.
    pub waveforms: Waveforms,
    /// Target log-mels and voices.
    pub target: SpeechTarget,
}

/// Loss of a batch, with the states that parity tests look at.
#[derive(Clone, Debug)]
pub struct VcPass {
    /// `vc/spectrogram_before`, `vc/spectrogram_after`, `vc/stop`, `vc/guided_attention`.
    pub losses: Losses,
    /// The encoder's part.
    pub encoded: EncodedSpeech,
    /// Decoder states, `[batch, steps, width]`.
    pub states: Tensor<3>,
    /// Predicted speech.
    pub output: SpeechOutput,
}

impl VcConfig {
    /// The losses of one batch; `noise` drives the pre-net's always-on dropout (off without a key).
    pub fn pass(&self, model: &SpeechT5, batch: &VcBatch, noise: Option<Key>, mode: Mode) -> VcPass {
        let VcBatch { waveforms, target } = batch;
        let masks = SpeechMasks::default();
        let encoded = model.encode_speech(waveforms.samples.clone(), &waveforms.lengths, None, &masks, mode);
        let loss = SpeechLoss {
            task: "vc",
            distance: self.distance,
            stop: self.stop,
            stop_positive: self.stop_positive,
            guided_attention: self.guided_attention,
            guided_heads: self.guided_heads,
        };
        let SpeechPass { losses, states, output } =
            loss.pass(model, &encoded.states, &encoded.lengths, target, noise, mode);
        VcPass { losses, encoded, states, output }
    }
}

/// An utterance and the same sentence in another voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What is converted.
    pub source: usize,
    /// What it should become.
    pub target: usize,
}

impl Pair {
    fn name(self, dataset: &Dataset) -> String {
        format!("{} → {}", dataset.utterance(self.source).id, dataset.utterance(self.target).id)
    }
}

/// All ordered pairs of utterances of a split with the same text in different voices.
pub fn pairs(dataset: &Dataset, split: Split) -> Vec<Pair> {
    let mut by_text: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for index in dataset.split(split) {
        by_text.entry(&dataset.utterance(index).text).or_default().push(index);
    }
    let mut pairs = Vec::new();
    for same in by_text.values() {
        for &source in same {
            let others =
                same.iter().filter(|&&other| dataset.utterance(other).speaker != dataset.utterance(source).speaker);
            pairs.extend(others.map(|&target| Pair { source, target }));
        }
    }
    pairs
}

/// At most `count` of the items, the same random choice every time: an even stride could meet one voice only.
pub fn sample<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    let count = count.min(items.len());
    let mut chosen = rand::seq::index::sample(&mut Key::new(0).fold("sample").rng(), items.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|index| items[index]).collect()
}

/// The conversion objective over a corpus.
#[derive(Debug)]
pub struct Conversion {
    config: VcConfig,
    model: ModelConfig,
    dataset: Arc<Dataset>,
    pairs: Items<Pair>,
    notes: Vec<String>,
    key: Key,
    device: Device,
}

/// A batch of pairs in host memory.
#[derive(Debug)]
pub struct VcData {
    audio: Vec<Arc<[f32]>>,
    mels: Vec<Arc<Frames>>,
    speakers: Vec<Vec<f32>>,
}

/// A converted utterance.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Which utterances.
    pub pair: Pair,
    /// Log-mel after the post-net, `[frames, mel]`.
    pub mel: Frames,
    /// Whether the stop rule ended it, not the length limit.
    pub ended: bool,
    /// Attention focus rate.
    pub focus: f64,
}

impl Conversion {
    /// Trains on pairs of `train`, validates on at most `validation` pairs of `valid`.
    ///
    /// # Errors
    /// A corpus without two voices that say the same sentence.
    pub fn new(
        config: VcConfig,
        model: ModelConfig,
        dataset: Arc<Dataset>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let train = pairs(&dataset, Split::Train);
        if train.is_empty() {
            let message = "no two voices of the `train` split say the same sentence".into();
            return Err(ModelError::Unsuitable { task: "voice conversion", message });
        }
        let lengths = |pair: Pair| [pair.source, pair.target].map(|index| dataset.declared_samples(index));
        let mut notes = Vec::new();
        let why = format!("longer than vc.task.batch_samples = {} samples", config.batch_samples);
        let fits = |&pair: &Pair| lengths(pair).into_iter().all(|length| length <= config.batch_samples);
        let train = keep(train, "training pairs", &why, fits, |&pair| pair.name(&dataset), &mut notes);
        if train.is_empty() {
            let message = "no training pair fits vc.task.batch_samples".into();
            return Err(ModelError::Unsuitable { task: "voice conversion", message });
        }
        let valid = sample(&pairs(&dataset, Split::Valid), validation);
        let limits = Limits { max_tokens: config.batch_samples, max_items: config.batch_items };
        let pairs = Items::new(train, &valid, lengths, limits, config.micro_batches, key.fold("order"))?;
        Ok(Self { config, model, dataset, pairs, notes, key, device })
    }

    /// Converts pairs, `batch` at a time; `progress` hears how many are done.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn convert(
        &self,
        model: &SpeechT5,
        pairs: &[Pair],
        batch: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Converted>, ModelError> {
        let device = self.device.clone().inner();
        let mut converted = Vec::with_capacity(pairs.len());
        // Utterances of one length pad each other least; the first block's norm hears padding.
        let order = self.dataset.by_length(pairs, |pair| pair.source);
        for (n, rows) in order.chunks(batch).enumerate() {
            let pairs: Vec<Pair> = rows.iter().map(|&row| pairs[row]).collect();
            let sources: Vec<usize> = pairs.iter().map(|pair| pair.source).collect();
            let targets: Vec<usize> = pairs.iter().map(|pair| pair.target).collect();
            let waveforms = Waveforms::new(&self.dataset.audio(&sources)?, &device);
            let masks = SpeechMasks::default();
            let encoded = model.encode_speech(waveforms.samples, &waveforms.lengths, None, &masks, Mode::Eval);
            let vectors = self.dataset.speaker_vectors(&targets)?;
            let width = vectors[0].len();
            let speaker = Tensor::from_data(TensorData::new(vectors.concat(), [pairs.len(), width]), &device);
            let noise = self.key.fold("generate").fold(n);
            let mut stepper = SpeechDecoding::new(model, &encoded.states, &encoded.lengths, speaker, Some(noise));
            let spoken = generate_speech(&mut stepper, &encoded.lengths, self.model.mel, &self.config.limits, &device);
            for (pair, speech) in pairs.into_iter().zip(spoken) {
                let refined = model.speech_decoder_postnet.refine(speech.mel.unsqueeze(), Mode::Eval);
                let data = refined.try_into_vec_as::<f32>().expect("log-mels are readable floats");
                let mel = Frames::new(data, self.model.mel);
                converted.push(Converted { pair, mel, ended: speech.ended, focus: speech.focus.unwrap_or(0.0) });
            }
            progress(converted.len());
        }
        Ok(in_order(converted, &order))
    }
}

impl Objective<SpeechT5> for Conversion {
    type Data = VcData;

    fn micro_batches(&self) -> usize {
        self.pairs.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.pairs.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<VcData>, ObjectiveError> {
        let pairs = self.pairs.of(id);
        let (sources, targets): (Vec<usize>, Vec<usize>) = pairs.iter().map(|pair| (pair.source, pair.target)).unzip();
        let (audio, mels) = (self.dataset.audio(&sources)?, self.dataset.mels(&targets)?);
        let heard = Sequences::new("audio", audio.iter().map(|item| item.len()));
        let spoken = Sequences::new("mel", mels.iter().map(|mel| mel.len()));
        Ok(Batch {
            utterances: pairs.iter().map(|pair| pair.name(&self.dataset)).collect(),
            bytes: 4 * (heard.valid + spoken.valid * self.model.mel),
            sequences: vec![heard, spoken],
            data: VcData { audio, mels, speakers: self.dataset.speaker_vectors(&targets)? },
        })
    }

    fn losses(&self, model: &SpeechT5, data: &VcData, id: BatchId) -> Result<Losses, ObjectiveError> {
        let (noise, mode, device) = match id {
            BatchId::Train { update, micro } => {
                let key = update_key(self.key, update, micro);
                (key.fold("prenet"), Mode::Train(key.fold("model")), self.device.clone())
            }
            BatchId::Valid(_) => (self.key.fold("validation"), Mode::Eval, self.device.clone().inner()),
        };
        let (reduction, labels) = (self.model.reduction, self.config.stop_labels);
        let batch = VcBatch {
            waveforms: Waveforms::new(&data.audio, &device),
            target: SpeechTarget::whole(&data.mels, reduction, labels, &data.speakers, &device),
        };
        Ok(self.config.pass(model, &batch, Some(noise), mode).losses)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
