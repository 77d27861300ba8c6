//! What a task gives the step loop: batches and their losses, for training and for validation.

use burn::module::Module;
use vocable_objectives::Losses;

/// Any error of a task; the step loop adds the update and the batch.
pub type ObjectiveError = Box<dyn std::error::Error + Send + Sync>;

/// Which batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchId {
    /// Micro-batch `micro` (from 0) of the update with index `update` (from 0).
    Train {
        /// Index of the update.
        update: usize,
        /// Index of the micro-batch in the update.
        micro: usize,
    },
    /// A batch of held-out data, from 0; the same in every validation.
    Valid(usize),
}

/// A batch in host memory.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// What the losses are computed from.
    pub data: T,
    /// Names of the utterances or sentences, for the records and for messages about numbers that are not finite.
    pub utterances: Vec<String>,
    /// The padded sequences: the one whose length the task counts its input by, then any others.
    pub sequences: Vec<Sequences>,
    /// Memory that `data` takes, in bytes; the validation batches that are kept are counted by it.
    pub bytes: usize,
}

/// The lengths of sequences that are padded to the longest of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// What they are: `audio`, `text`.
    pub name: &'static str,
    /// Samples, frames or tokens.
    pub valid: usize,
    /// The same with padding.
    pub padded: usize,
}

impl Sequences {
    /// Sequences of these lengths.
    pub fn new(name: &'static str, lengths: impl IntoIterator<Item = usize>) -> Self {
        let (mut count, mut longest, mut valid) = (0, 0, 0);
        for length in lengths {
            (count, longest, valid) = (count + 1, longest.max(length), valid + length);
        }
        Self { name, valid, padded: count * longest }
    }

    /// The share of padding, from 0 to 1.
    pub fn padding(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.valid as f64 / self.padded as f64 }
    }
}

/// What is minimised and how it is watched.
///
/// Everything is a **pure function** of the arguments and the data the objective holds: the order of the data, crops,
/// masks and dropout keys follow from the [`BatchId`]. There is therefore no loader state to save, and an interrupted
/// run sees the same batches when it continues.
pub trait Objective<M: Module>: Sync {
    /// What the losses of a batch are computed from: host memory without tensors, so that other threads can prepare it
    /// while the device is busy.
    type Data: Send + Sync + 'static;

    /// Micro-batches per update; the gradient is the mean of theirs. A parameter that a micro-batch does not touch
    /// counts as a zero gradient in that mean.
    fn micro_batches(&self) -> usize {
        1
    }

    /// Batches of held-out data; zero if there is nothing to validate on.
    fn validation_batches(&self) -> usize {
        0
    }

    /// Reads, decodes and draws whatever a batch needs; called on other threads, ahead of its turn.
    fn prepare(&self, id: BatchId) -> Result<Batch<Self::Data>, ObjectiveError>;

    /// The losses of a batch that [`prepare`](Self::prepare) made for the same `id`.
    ///
    /// Terms of the same name are averaged over the micro-batches that report them, so modalities that share an update
    /// prefix their terms (`speech/mlm`, `text/ce`). In validation the model is without autodiff (`model.valid()`), the
    /// terms alone count, and they are averaged over the batches by their utterances.
    fn losses(&self, model: &M, data: &Self::Data, id: BatchId) -> Result<Losses, ObjectiveError>;

    /// What should be known about the data, such as recordings that are left out; a line each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
