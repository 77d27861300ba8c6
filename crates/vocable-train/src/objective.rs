//! What a task gives the step loop: batches and their losses, for training and for validation.

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vocable_objectives::Losses;
use vocable_random::Key;

use crate::update_key;

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

impl BatchId {
    /// What a pass of the model over the batch is told, of a run's key and device: in training what its noise is drawn from, and the
    /// device; in validation no noise, and the device without gradients.
    pub fn pass(self, key: Key, device: &Device) -> (Option<Key>, Device) {
        match self {
            Self::Train { update, micro } => (Some(update_key(key, update, micro).fold("model")), device.clone()),
            Self::Valid(_) => (None, device.clone().inner()),
        }
    }

    /// Index of the update that it is trained on in, none in validation.
    pub fn update(self) -> Option<usize> {
        match self {
            Self::Train { update, .. } => Some(update),
            Self::Valid(_) => None,
        }
    }

    /// Its place among the batches of its update, or of its validation.
    pub(crate) fn position(self) -> usize {
        match self {
            Self::Train { micro, .. } => micro,
            Self::Valid(index) => index,
        }
    }
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
    /// What belongs into the batch and cannot be used.
    pub left_out: Vec<LeftOut>,
}

/// An utterance that is not in its batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub utterance: String,
    /// Why, in a line that begins with the file that is to blame: the files are counted by it.
    pub reason: String,
}

/// The error of a batch of which nothing can be used; the update is skipped.
#[derive(Clone, Debug, thiserror::Error)]
#[error("nothing of the batch can be used: {}", .0.iter().map(|left| left.reason.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Unusable(pub Vec<LeftOut>);

/// Prepares a batch of the items that can be used.
///
/// `prepare` makes a batch of the items it is given, `blame` says why an error leaves an item out, or none if the error
/// is another one, and `name` names an item. Nothing is done twice as long as every item can be used.
///
/// # Errors
/// [`Unusable`] if no item is left, and whatever `prepare` refuses for another reason.
pub fn usable<I: Clone, T, E: std::error::Error + Send + Sync + 'static>(
    items: &[I],
    prepare: impl Fn(&[I]) -> Result<Batch<T>, E>,
    blame: impl Fn(&E) -> Option<String>,
    name: impl Fn(&I) -> String,
) -> Result<Batch<T>, ObjectiveError> {
    let error = match prepare(items) {
        Ok(batch) => return Ok(batch),
        Err(error) if blame(&error).is_none() => return Err(error.into()),
        Err(error) => error,
    };
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for item in items {
        match prepare(std::slice::from_ref(item)) {
            Ok(_) => kept.push(item.clone()),
            Err(error) => {
                let Some(reason) = blame(&error) else { return Err(error.into()) };
                left_out.push(LeftOut { utterance: name(item), reason });
            }
        }
    }
    match (kept.is_empty(), left_out.is_empty()) {
        (true, _) => Err(Unusable(left_out).into()),
        // Each by itself can be used, so it is not for one of them.
        (false, true) => Err(error.into()),
        (false, false) => {
            let mut batch = prepare(&kept)?;
            batch.left_out.extend(left_out);
            Ok(batch)
        }
    }
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
        padding(self.valid, self.padded)
    }
}

/// The share of padding in sequences that are `valid` long, `padded` with padding.
pub(crate) fn padding(valid: usize, padded: usize) -> f64 {
    if padded == 0 { 0.0 } else { 1.0 - valid as f64 / padded as f64 }
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
    /// terms alone count, and they are averaged over the batches by their utterances; a batch that names none counts as one.
    fn losses(&self, model: &M, data: &Self::Data, id: BatchId) -> Result<Losses, ObjectiveError>;

    /// What should be known about the data, such as recordings that are left out; a line each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Wrong {
        #[error("{0}.wav: no such file")]
        File(usize),
        #[error("no memory")]
        Other,
    }

    /// Prepares items of which some cannot be read, and counts the attempts.
    fn attempt(items: &[usize], bad: &[usize], other: bool) -> (Result<Batch<Vec<usize>>, ObjectiveError>, usize) {
        let attempts = std::cell::Cell::new(0);
        let prepare = |items: &[usize]| {
            attempts.set(attempts.get() + 1);
            match items.iter().find(|item| bad.contains(item)) {
                _ if other => Err(Wrong::Other),
                Some(&item) => Err(Wrong::File(item)),
                None => {
                    let (data, sequences) = (items.to_vec(), Vec::new());
                    Ok(Batch { data, utterances: Vec::new(), sequences, bytes: 0, left_out: Vec::new() })
                }
            }
        };
        let blame = |error: &Wrong| matches!(error, Wrong::File(_)).then(|| error.to_string());
        let batch = usable(items, prepare, blame, |item| format!("utterance {item}"));
        (batch, attempts.get())
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_named() {
        let (batch, attempts) = attempt(&[1, 2, 3], &[], false);
        assert_eq!((batch.unwrap().data, attempts), (vec![1, 2, 3], 1));
        let batch = attempt(&[1, 2, 3], &[1, 3], false).0.unwrap();
        let left = |item: usize| LeftOut {
            utterance: format!("utterance {item}"),
            reason: format!("{item}.wav: no such file"),
        };
        assert_eq!((batch.data, batch.left_out), (vec![2], vec![left(1), left(3)]));
        let error = attempt(&[4], &[4], false).0.unwrap_err();
        assert_eq!(error.to_string(), "nothing of the batch can be used: 4.wav: no such file");
        assert_eq!(error.downcast::<Unusable>().unwrap().0, [left(4)]);
        assert_eq!(attempt(&[1, 2], &[1], true).0.unwrap_err().to_string(), "no memory");
    }
}
