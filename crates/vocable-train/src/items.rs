//! What a task trains and validates on, batch by batch.

use vocable_data::DataError;
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_random::Key;

use crate::BatchId;

/// Items of a validation batch at most.
const VALIDATED_TOGETHER: usize = 16;
/// How many of the items that are left out a note names.
const NAMED: usize = 5;

/// Utterances, or pairs of them, in batches of similar length: those to train on in shuffled order, the held-out ones
/// always the same.
#[derive(Debug)]
pub struct Items<T> {
    train: Vec<T>,
    batches: BatchSampler,
    micro_batches: usize,
    valid: Vec<Vec<T>>,
}

impl<T: Copy> Items<T> {
    /// `lengths` tells how long an item's sequences are; `limits` bound a micro-batch of training.
    ///
    /// # Errors
    /// Nothing to train on, or an item longer than a batch.
    pub fn new<const K: usize>(
        train: Vec<T>,
        valid: &[T],
        lengths: impl Fn(T) -> [usize; K],
        limits: Limits,
        micro_batches: usize,
        key: Key,
    ) -> Result<Self, DataError> {
        let of = |items: &[T]| items.iter().map(|&item| lengths(item)).collect::<Vec<_>>();
        let batches = BatchSampler::new(&of(&train), limits, key)?;
        let valid = match of(valid) {
            lengths if lengths.is_empty() => Vec::new(),
            lengths => {
                let longest = lengths.iter().flatten().copied().max().unwrap_or(0);
                let max_items = limits.max_items.min(VALIDATED_TOGETHER);
                let limits = Limits { max_tokens: limits.max_tokens.max(longest), max_items };
                let batches = BatchSampler::new(&lengths, limits, key.fold("valid"))?.epoch(0);
                batches.into_iter().map(|batch| batch.into_iter().map(|n| valid[n]).collect()).collect()
            }
        };
        Ok(Self { train, batches, micro_batches, valid })
    }

    /// Micro-batches of an update.
    pub fn micro_batches(&self) -> usize {
        self.micro_batches
    }

    /// Batches of held-out items.
    pub fn validation_batches(&self) -> usize {
        self.valid.len()
    }

    /// The items of a batch.
    pub fn of(&self, id: BatchId) -> Vec<T> {
        match id {
            BatchId::Train { update, micro } => {
                let batch = self.batches.at(update * self.micro_batches + micro);
                batch.into_iter().map(|n| self.train[n]).collect()
            }
            BatchId::Valid(index) => self.valid[index].clone(),
        }
    }
}

/// What a micro-batch of training draws from.
pub fn update_key(key: Key, update: usize, micro: usize) -> Key {
    key.fold("update").fold(update).fold(micro)
}

/// Keeps the items that fit; the others are left out of training, and `notes` says how many of what, why, and which.
pub fn keep<T>(
    items: Vec<T>,
    what: &str,
    why: &str,
    fits: impl Fn(&T) -> bool,
    name: impl Fn(&T) -> String,
    notes: &mut Vec<String>,
) -> Vec<T> {
    let total = items.len();
    let (kept, left_out): (Vec<T>, Vec<T>) = items.into_iter().partition(fits);
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().take(NAMED).map(name).collect();
        let more = if left_out.len() > NAMED { ", …" } else { "" };
        notes.push(format!("left out {} of {total} {what}, {why}: {}{more}", left_out.len(), names.join(", ")));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_validated_once_and_training_goes_round() {
        let train: Vec<usize> = (100..130).collect();
        let valid: Vec<usize> = (0..40).collect();
        let limits = Limits { max_tokens: 200, max_items: 64 };
        let items = Items::new(train, &valid, |item| [item % 50 + 1, 3], limits, 2, Key::new(1)).unwrap();
        let batches: Vec<Vec<usize>> = (0..items.validation_batches()).map(|n| items.of(BatchId::Valid(n))).collect();
        assert!(batches.iter().all(|batch| batch.len() <= VALIDATED_TOGETHER));
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, valid);
        // The validation batches hold what is of one length.
        let spread = |batch: &Vec<usize>| batch.iter().max().unwrap() - batch.iter().min().unwrap();
        assert!(batches.iter().all(|batch| spread(batch) < 25), "{batches:?}");
        let draw = |n: usize| items.of(BatchId::Train { update: n / 2, micro: n % 2 });
        let mut epoch: Vec<usize> = (0..items.batches.batches_per_epoch()).flat_map(draw).collect();
        epoch.sort_unstable();
        assert!(epoch.into_iter().eq(100..130));
    }

    #[test]
    fn nothing_to_validate_on_is_no_error() {
        let limits = Limits { max_tokens: 9, max_items: 4 };
        let items = Items::new(vec![1_usize, 2], &[], |item| [item], limits, 1, Key::new(1)).unwrap();
        assert_eq!(items.validation_batches(), 0);
    }

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let mut notes = Vec::new();
        let kept = keep((1..=9).collect(), "utterances", "too long", |n| *n < 3, |n| format!("u{n}"), &mut notes);
        assert_eq!(kept, [1, 2]);
        keep(vec![1, 9], "pairs", "too long", |n| *n < 3, |n| format!("u{n}"), &mut notes);
        keep(vec![1, 2], "pairs", "too long", |n| *n < 3, |n| format!("u{n}"), &mut notes);
        assert_eq!(
            notes,
            ["left out 7 of 9 utterances, too long: u3, u4, u5, u6, u7, …", "left out 1 of 2 pairs, too long: u9"]
        );
    }
}
