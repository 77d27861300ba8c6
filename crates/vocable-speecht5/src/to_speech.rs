//! The tasks that end in speech: one recipe and one objective for whatever the encoder hears or reads first (spec
//! sections 6.2, 6.4 and 6.5).

use std::borrow::Borrow;
use std::fmt::Debug;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocable_audio::Frames;
use vocable_data::manifest::Split;
use vocable_data::sampler::Limits;
use vocable_decode::{SpeechLimits, generate_speech};
use vocable_nn::{Mode, constant_beside};
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_train::{Batch, BatchId, Items, Objective, ObjectiveError, Sequences, keep, update_key, usable};

use crate::batch::{Guide, Prediction, SpeechTarget};
use crate::data::{Dataset, bad_file, in_order, sample};
use crate::decode::SpeechDecoding;
use crate::speech_loss::{SpeechLoss, SpeechPass};
use crate::{ModelConfig, ModelError, Regularisation, SpeechT5};

/// What the encoder hears or reads before the decoder speaks.
pub trait SpeechInput: Clone + Debug + Send + Sync + 'static {
    /// What keys, stages and the terms of the loss call the task.
    const TASK: &'static str;
    /// What sentences call the task.
    const NAME: &'static str;
    /// Why there may be nothing to train on.
    const NONE: &'static str = "the `train` split is empty";
    /// Inputs of a batch in host memory.
    type Data: Debug + Send + Sync;
    /// The same as tensors.
    type Batch;

    /// What becomes what in a split: every utterance itself, unless said otherwise.
    fn pairs(&self, dataset: &Dataset, split: Split) -> Vec<Pair> {
        dataset.split(split).into_iter().map(Pair::same).collect()
    }

    /// Whether an input can be encoded: a recording that is heard must not be shorter than the receptive field.
    fn encodable(&self, model: &ModelConfig, dataset: &Dataset, pair: Pair) -> bool {
        dataset.makes_a_frame(&model.extractor(), pair.source)
    }

    /// Whether one that can be encoded is short enough to train on, apart from its samples.
    fn fits(&self, _dataset: &Dataset, _pair: Pair) -> bool {
        true
    }

    /// Reads the inputs of a batch; `key` and the utterance draw what is random in them.
    ///
    /// # Errors
    /// An unusable recording, by name.
    fn read(&self, dataset: &Dataset, pairs: &[Pair], key: Key) -> Result<Self::Data, ModelError>;

    /// How long they are.
    fn sequences(data: &Self::Data) -> Sequences;

    /// Pads them.
    fn batch(&self, data: &Self::Data, device: &Device) -> Self::Batch;

    /// Encoder states `[batch, time, width]` and their valid lengths.
    fn encode(&self, model: &SpeechT5, batch: &Self::Batch, mode: Mode) -> (Tensor<3>, Vec<usize>);

    /// Encoder positions of each input that guided attention counts: as many as are valid, unless said otherwise.
    fn guided_positions(&self, _model: &SpeechT5, _batch: &Self::Batch, lengths: &[usize]) -> Vec<usize> {
        lengths.to_vec()
    }

    /// Log-mels that predictions are relative to, of as many frames as the targets.
    fn guide<'a>(&self, _data: &'a Self::Data) -> Option<(Prediction, &'a [Frames])> {
        None
    }

    /// The sound that the encoder hears (16 kHz), if it hears; drawn as in [`read`](Self::read).
    ///
    /// # Errors
    /// An unusable recording, by name.
    fn heard(&self, _dataset: &Dataset, _pair: Pair, _key: Key) -> Result<Option<Arc<[f32]>>, ModelError> {
        Ok(None)
    }

    /// Speaker vectors that the decoder is told with these inputs.
    ///
    /// # Errors
    /// A vector file that cannot be used, by name.
    fn voices(&self, dataset: &Dataset, pairs: &[Pair], _data: &Self::Data) -> Result<Vec<Vec<f32>>, ModelError> {
        dataset.speaker_vectors(&targets(pairs))
    }
}

/// Samples of a recording at most in the paper's recipes, 30 s (spec section 6).
pub const LONGEST: usize = 480_256;

/// The recipe of a task, apart from the step loop's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechTaskConfig<I> {
    /// Dropouts.
    pub regularisation: Regularisation,
    /// Samples of a micro-batch, of sources or of targets, whichever are longer (`max_tokens`); longer pairs are left out.
    pub batch_samples: usize,
    /// Samples of a source or target at most, where that is less than a micro-batch; longer pairs are left out (spec section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_samples: Option<usize>,
    /// Utterances of a micro-batch at most.
    pub batch_items: usize,
    /// Micro-batches of an update (`update_freq`).
    pub micro_batches: usize,
    /// Updates at the beginning in which pre-net and encoder stay as they are.
    pub freeze_encoder_updates: usize,
    /// What is trained on.
    pub loss: SpeechLoss,
    /// When generation stops.
    pub limits: SpeechLimits,
    /// Pairs of utterances that are scored at most, a fixed random choice of the split's.
    pub test_pairs: usize,
    /// What the encoder hears or reads.
    pub input: I,
}

/// A batch of inputs with what they become.
#[derive(Clone, Debug)]
pub struct SpeechBatch<B> {
    /// Inputs.
    pub input: B,
    /// Target log-mels and voices.
    pub target: SpeechTarget,
}

impl<I: SpeechInput> SpeechTaskConfig<I> {
    /// The losses of one batch; `noise` drives the pre-net's always-on dropout (off without a key).
    pub fn pass(&self, model: &SpeechT5, batch: &SpeechBatch<I::Batch>, noise: Option<Key>, mode: Mode) -> SpeechPass {
        let (memory, lengths) = self.input.encode(model, &batch.input, mode);
        let positions = self.input.guided_positions(model, &batch.input, &lengths);
        self.loss.pass(I::TASK, model, memory, &lengths, &positions, &batch.target, noise, mode)
    }
}

/// An utterance and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What is heard or read.
    pub source: usize,
    /// What is said.
    pub target: usize,
}

impl Pair {
    /// An utterance that is said again.
    pub fn same(index: usize) -> Self {
        Self { source: index, target: index }
    }

    fn name(self, dataset: &Dataset) -> String {
        let name = |index: usize| &dataset.utterance(index).id;
        match self.source == self.target {
            true => name(self.source).clone(),
            false => format!("{} → {}", name(self.source), name(self.target)),
        }
    }
}

pub(crate) fn targets(pairs: &[Pair]) -> Vec<usize> {
    pairs.iter().map(|pair| pair.target).collect()
}

/// The objective over a corpus.
#[derive(Debug)]
pub struct ToSpeech<I> {
    config: SpeechTaskConfig<I>,
    model: ModelConfig,
    dataset: Arc<Dataset>,
    pairs: Items<Pair>,
    notes: Vec<String>,
    key: Key,
    device: Device,
}

/// A batch of pairs in host memory.
#[derive(Debug)]
pub struct SpeechData<D> {
    input: D,
    mels: Vec<Arc<Frames>>,
    voices: Vec<Vec<f32>>,
}

/// Generated speech.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// Which utterances.
    pub pair: Pair,
    /// Log-mel after the post-net, `[frames, mel]`.
    pub mel: Frames,
    /// Whether the stop rule ended it, not the length limit.
    pub ended: bool,
    /// Attention focus rate.
    pub focus: f64,
}

impl<I: SpeechInput> ToSpeech<I> {
    /// Trains on pairs of `train`, validates on at most `validation` pairs of `valid`.
    ///
    /// # Errors
    /// A corpus without anything to train on.
    pub fn new(
        config: SpeechTaskConfig<I>,
        model: ModelConfig,
        dataset: Arc<Dataset>,
        validation: usize,
        key: Key,
        device: Device,
    ) -> Result<Self, ModelError> {
        let unsuitable = |message: String| ModelError::Unsuitable { task: I::NAME, message };
        let train = config.input.pairs(&dataset, Split::Train);
        if train.is_empty() {
            return Err(unsuitable(I::NONE.into()));
        }
        let lengths = |pair: Pair| [pair.source, pair.target].map(|index| dataset.declared_samples(index));
        let mut notes = Vec::new();
        let name = |pair: &Pair| pair.name(&dataset);
        let (setting, longest) = match config.max_samples.filter(|&most| most < config.batch_samples) {
            Some(most) => ("max_samples", most),
            None => ("batch_samples", config.batch_samples),
        };
        let why = format!("longer than {}.task.{setting} = {longest} samples", I::TASK);
        let short = |&pair: &Pair| lengths(pair).into_iter().all(|length| length <= longest);
        let train = keep(train, "training pairs", &why, short, name, &mut notes);
        let why = format!("an input beyond the limits of {}.task.input or shorter than the receptive field", I::TASK);
        let fits = |&pair: &Pair| config.input.encodable(&model, &dataset, pair) && config.input.fits(&dataset, pair);
        let train = keep(train, "training pairs", &why, fits, name, &mut notes);
        if train.is_empty() {
            return Err(unsuitable(format!("no training pair fits the limits of {}.task", I::TASK)));
        }
        let mut valid = config.input.pairs(&dataset, Split::Valid);
        valid.retain(fits);
        let valid = sample(&valid, validation);
        let limits = Limits { max_tokens: config.batch_samples, max_items: config.batch_items };
        let pairs = Items::new(train, &valid, lengths, limits, config.micro_batches, key.fold("order"))?;
        Ok(Self { config, model, dataset, pairs, notes, key, device })
    }

    /// Pairs to score, of those whose input can be encoded: at most as many as the recipe says.
    pub fn test(&self, split: Split) -> Vec<Pair> {
        let mut pairs = self.config.input.pairs(&self.dataset, split);
        pairs.retain(|&pair| self.config.input.encodable(&self.model, &self.dataset, pair));
        sample(&pairs, self.config.test_pairs)
    }

    /// What the encoder hears of a pair in [`generate`](Self::generate) (16 kHz), if it hears.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn heard(&self, pair: Pair) -> Result<Option<Arc<[f32]>>, ModelError> {
        self.config.input.heard(&self.dataset, pair, self.key.fold("test"))
    }

    /// Says what the pairs become, `batch` at a time; `progress` hears how many are done, and may stop it.
    ///
    /// # Errors
    /// An unusable recording, by name; what `progress` says.
    pub fn generate<E: From<ModelError>>(
        &self,
        model: &SpeechT5,
        pairs: &[Pair],
        batch: usize,
        mut progress: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Spoken>, E> {
        let mut spoken = Vec::with_capacity(pairs.len());
        // Utterances of one length pad each other least; the first block's norm hears padding.
        let order = self.dataset.by_length(pairs, |pair| pair.source);
        for (n, rows) in order.chunks(batch).enumerate() {
            let pairs: Vec<Pair> = rows.iter().map(|&row| pairs[row]).collect();
            spoken.extend(self.generate_batch(model, &pairs, self.key.fold("generate").fold(n))?);
            progress(spoken.len())?;
        }
        Ok(in_order(spoken, &order))
    }

    fn generate_batch(&self, model: &SpeechT5, pairs: &[Pair], noise: Key) -> Result<Vec<Spoken>, ModelError> {
        let device = self.device.clone().inner();
        let input = &self.config.input;
        let data = input.read(&self.dataset, pairs, self.key.fold("test"))?;
        let (memory, lengths) = input.encode(model, &input.batch(&data, &device), Mode::Eval);
        let voices = input.voices(&self.dataset, pairs, &data)?;
        if let Some(target) = self.guided(&data, &voices, &device) {
            // Everything that the decoder reads is there from the start: one pass says all frames.
            let (read, steps) = (target.input.clone(), &target.steps);
            let (speaker, mode) = (Some(target.speaker.clone()), Mode::Eval);
            let decoded = model.decode_speech(read, steps, speaker, memory, &lengths, Some(noise), false, mode);
            let (before, _) = target.unrefined(model, decoded.states);
            // The post-net would hear the frames behind the end of shorter ones.
            let said = before.iter_dim(0).zip(&target.lengths).map(|(mel, &frames)| mel.narrow(1, 0, frames));
            let mels = said.map(|mel| model.speech_decoder_postnet.refine(mel, mode));
            return Ok(pairs.iter().zip(mels).map(|(&pair, mel)| self.spoken(pair, mel, true, 0.0)).collect());
        }
        let width = voices[0].len();
        let speaker = Tensor::from_data(TensorData::new(voices.concat(), [pairs.len(), width]), &device);
        let mut stepper = SpeechDecoding::new(model, &memory, &lengths, speaker, Some(noise));
        let said = generate_speech(&mut stepper, &lengths, self.model.mel, &self.config.limits, &device);
        Ok(pairs
            .iter()
            .zip(said)
            .map(|(&pair, said)| {
                let refined = model.speech_decoder_postnet.refine(said.mel.unsqueeze(), Mode::Eval);
                self.spoken(pair, refined, said.ended, said.focus.unwrap_or(0.0))
            })
            .collect())
    }

    /// How the decoder attends to its input while it says this log-mel for a pair: for every step the weights over the
    /// encoder's positions, of the sharpest head of any layer. The log-mel is given, so that one pass shows all steps; where
    /// predictions are relative to what is heard, the decoder has read that and not its own.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn alignment(&self, model: &SpeechT5, pair: Pair, mel: &Frames) -> Result<Frames, ModelError> {
        let device = self.device.clone().inner();
        let input = &self.config.input;
        let data = input.read(&self.dataset, &[pair], self.key.fold("test"))?;
        let (memory, lengths) = input.encode(model, &input.batch(&data, &device), Mode::Eval);
        let voices = input.voices(&self.dataset, &[pair], &data)?;
        let target = self.guided(&data, &voices, &device).unwrap_or_else(|| self.target(&[mel], &voices, &device));
        let (speaker, noise) = (Some(target.speaker), Some(self.key.fold("alignment")));
        let decoded =
            model.decode_speech(target.input, &target.steps, speaker, memory, &lengths, noise, true, Mode::Eval);
        let heads = decoded.cross_weights.into_iter().flat_map(|layer| layer.iter_dim(1).collect::<Vec<_>>());
        let sharpness = |head: &Tensor<4>| head.clone().max_dim(3).mean().into_scalar::<f32>();
        let sharpest = heads.max_by(|a, b| sharpness(a).total_cmp(&sharpness(b))).expect("a decoder has layers");
        let positions = sharpest.dims()[3];
        let weights = sharpest.try_into_vec_as::<f32>().expect("attention weights are readable floats");
        Ok(Frames::new(weights, positions))
    }

    /// Of a log-mel `[1, frames, mel]`.
    fn spoken(&self, pair: Pair, mel: Tensor<3>, ended: bool, focus: f64) -> Spoken {
        let data = mel.try_into_vec_as::<f32>().expect("log-mels are readable floats");
        Spoken { pair, mel: Frames::new(data, self.model.mel), ended, focus }
    }

    /// What is said relative to log-mels, in these voices, if the task is such.
    fn guided(&self, data: &I::Data, voices: &[Vec<f32>], device: &Device) -> Option<SpeechTarget> {
        let (prediction, mels) = self.config.input.guide(data)?;
        let target = self.target(mels, voices, device);
        Some(target.clone().guided(Guide::new(prediction, target.frames)))
    }

    /// Log-mels as what is to be said, in these voices.
    fn target(&self, mels: &[impl Borrow<Frames>], voices: &[Vec<f32>], device: &Device) -> SpeechTarget {
        SpeechTarget::whole(mels, self.model.reduction, self.config.loss.stop_labels, voices, device)
    }

    /// A batch of these pairs, all of which must be readable.
    fn batch(&self, pairs: &[Pair], id: BatchId) -> Result<Batch<SpeechData<I::Data>>, ModelError> {
        let key = match id {
            BatchId::Train { update, micro } => update_key(self.key, update, micro).fold("input"),
            BatchId::Valid(_) => self.key.fold("validation"),
        };
        let input = self.config.input.read(&self.dataset, pairs, key)?;
        let mels = self.dataset.mels(&targets(pairs))?;
        let voices = self.config.input.voices(&self.dataset, pairs, &input)?;
        let given = I::sequences(&input);
        let spoken = Sequences::new("mel", mels.iter().map(|mel| mel.len()));
        Ok(Batch {
            utterances: pairs.iter().map(|pair| pair.name(&self.dataset)).collect(),
            bytes: 4 * (given.valid + spoken.valid * self.model.mel),
            sequences: vec![given, spoken],
            data: SpeechData { input, mels, voices },
            left_out: Vec::new(),
        })
    }

    /// The losses of a batch whose encoder is frozen or learns.
    fn on_device(
        &self,
        model: &SpeechT5,
        data: &SpeechData<I::Data>,
        frozen: bool,
        noise: Key,
        mode: Mode,
        device: &Device,
    ) -> Losses {
        let input = &self.config.input;
        let guide = input.guide(&data.input);
        let guide = guide.and_then(|(kind, mels)| Guide::new(kind, self.target(mels, &data.voices, device).frames));
        let target = self.target(&data.mels, &data.voices, device).guided(guide);
        let (batch, memory, lengths) = match frozen {
            // Without a graph from the start: what a detached one holds would stay in memory.
            true => {
                let batch = input.batch(&data.input, &device.clone().inner());
                let (memory, lengths) = input.encode(&model.valid(), &batch, mode);
                (batch, constant_beside(memory, &target.frames), lengths)
            }
            false => {
                let batch = input.batch(&data.input, device);
                let (memory, lengths) = input.encode(model, &batch, mode);
                (batch, memory, lengths)
            }
        };
        let positions = input.guided_positions(model, &batch, &lengths);
        self.config.loss.pass(I::TASK, model, memory, &lengths, &positions, &target, Some(noise), mode).losses
    }
}

impl<I: SpeechInput> Objective<SpeechT5> for ToSpeech<I> {
    type Data = SpeechData<I::Data>;

    fn micro_batches(&self) -> usize {
        self.pairs.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.pairs.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Self::Data>, ObjectiveError> {
        usable(&self.pairs.of(id), |pairs| self.batch(pairs, id), bad_file, |pair| pair.name(&self.dataset))
    }

    fn losses(&self, model: &SpeechT5, data: &Self::Data, id: BatchId) -> Result<Losses, ObjectiveError> {
        Ok(match id {
            BatchId::Train { update, micro } => {
                let key = update_key(self.key, update, micro);
                let frozen = update < self.config.freeze_encoder_updates;
                let mode = Mode::Train(key.fold("model"));
                self.on_device(model, data, frozen, key.fold("prenet"), mode, &self.device)
            }
            BatchId::Valid(_) => {
                let (noise, device) = (self.key.fold("validation"), self.device.clone().inner());
                self.on_device(model, data, false, noise, Mode::Eval, &device)
            }
        })
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
