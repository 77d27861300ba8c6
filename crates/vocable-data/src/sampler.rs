//! Batches of similar length, as a pure function of (seed, epoch, rank, world).
//!
//! Utterances are sorted by length and cut, once, into buckets of similar length that hold whole batches. An epoch
//! shuffles the utterances within each bucket and the order of all batches. The number of batches is therefore the
//! same in every epoch, and the batch of any update can be computed without those before it: a run resumes from its
//! update number alone.

use std::ops::{Range, RangeInclusive};

use rand::seq::SliceRandom;
use vocable_random::Key;

use crate::DataError;

/// Batches that one bucket holds at least (or an utterance would keep its company for ever) and at most.
const BATCHES_PER_BUCKET: RangeInclusive<usize> = 2..=16;
/// A bucket of more batches than the least holds no utterance shorter than this share of its longest.
const NARROW: f64 = 0.9;

/// How large a batch may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest length × number of items, that is, with padding; in the unit of the lengths (samples, tokens).
    pub max_tokens: usize,
    /// Number of items.
    pub max_items: usize,
}

/// A stretch of the sorted utterances from which batches are drawn.
#[derive(Clone, Debug)]
struct Bucket {
    range: Range<usize>,
    batches: usize,
}

/// The endless sequence of batches of one rank.
#[derive(Clone, Debug)]
pub struct BatchSampler {
    key: Key,
    rank: usize,
    world: usize,
    /// Utterances, the longest first.
    sorted: Vec<usize>,
    buckets: Vec<Bucket>,
}

impl BatchSampler {
    /// Batches of the utterances `0..lengths.len()` for a single process.
    ///
    /// # Errors
    /// No utterance at all, or one that alone exceeds `max_tokens` (filter such before), or a limit of zero items.
    pub fn new(lengths: &[usize], limits: Limits, key: Key) -> Result<Self, DataError> {
        if lengths.is_empty() || limits.max_items == 0 {
            let message = format!("no batch can be made of {} utterances with {limits:?}", lengths.len());
            return Err(DataError::Invalid(message));
        }
        if let Some(long) = lengths.iter().position(|&length| length > limits.max_tokens) {
            return Err(DataError::Invalid(format!(
                "item {long} is {} long, more than a whole batch may hold (max_tokens = {}): raise the limit or drop it",
                lengths[long], limits.max_tokens
            )));
        }
        let mut sorted: Vec<usize> = (0..lengths.len()).collect();
        sorted.sort_by_key(|&index| (std::cmp::Reverse(lengths[index]), index));
        let buckets = buckets(&sorted.iter().map(|&index| lengths[index]).collect::<Vec<_>>(), limits);
        Ok(Self { key: key.fold("batches"), rank: 0, world: 1, sorted, buckets })
    }

    /// The part of process `rank` among `world`: in each epoch every process has the same number of batches, no two
    /// share an utterance and together they have all.
    ///
    /// Some batches are split to make the number divisible. Where that is impossible (single utterances only) the
    /// first batches of the epoch are given out twice.
    ///
    /// # Panics
    /// If `rank` is not below `world`, or the sampler is already a part.
    #[must_use]
    pub fn shard(mut self, rank: usize, world: usize) -> Self {
        assert!(rank < world && self.world == 1, "rank {rank} of {world}, already divided by {}", self.world);
        (self.rank, self.world) = (rank, world);
        while !self.total().is_multiple_of(world) {
            let crowd = |bucket: &Bucket| bucket.range.len() as f64 / bucket.batches as f64;
            let fullest = self.buckets.iter_mut().max_by(|a, b| crowd(a).total_cmp(&crowd(b)));
            let Some(bucket) = fullest.filter(|bucket| bucket.batches < bucket.range.len()) else {
                break;
            };
            bucket.batches += 1;
        }
        self
    }

    /// Batches of this rank per epoch; the same in every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.total().div_ceil(self.world)
    }

    /// All batches of epoch `n` of this rank, in order; a batch lists indices into the lengths given to `new`.
    pub fn epoch(&self, n: usize) -> Vec<Vec<usize>> {
        let order = self.order(n);
        (0..self.batches_per_epoch()).map(|position| self.batch(n, self.mine(&order, position))).collect()
    }

    /// The batch of the `draw`-th draw (from 0) of the endless stream of epochs.
    pub fn at(&self, draw: usize) -> Vec<usize> {
        let (epoch, position) = (draw / self.batches_per_epoch(), draw % self.batches_per_epoch());
        self.batch(epoch, self.mine(&self.order(epoch), position))
    }

    /// Batches of all ranks per epoch.
    fn total(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.batches).sum()
    }

    /// (bucket, batch within the bucket) of all ranks in the order of one epoch.
    fn order(&self, epoch: usize) -> Vec<(usize, usize)> {
        let numbered = self.buckets.iter().enumerate();
        let mut order: Vec<_> =
            numbered.flat_map(|(bucket, content)| (0..content.batches).map(move |batch| (bucket, batch))).collect();
        order.shuffle(&mut self.key.fold("order").fold(epoch).rng());
        order
    }

    fn mine(&self, order: &[(usize, usize)], position: usize) -> (usize, usize) {
        order[(position * self.world + self.rank) % order.len()]
    }

    fn batch(&self, epoch: usize, (bucket, batch): (usize, usize)) -> Vec<usize> {
        let Bucket { range, batches } = &self.buckets[bucket];
        let mut members = self.sorted[range.clone()].to_vec();
        members.shuffle(&mut self.key.fold("bucket").fold(bucket).fold(epoch).rng());
        let cut = |n: usize| n * members.len() / batches;
        members[cut(batch)..cut(batch + 1)].to_vec()
    }
}

/// Cuts lengths, sorted from the longest, into buckets: whole batches of what fits the bucket's longest.
fn buckets(sorted: &[usize], limits: Limits) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut start = 0;
    while start < sorted.len() {
        let longest = sorted[start].max(1);
        let capacity = (limits.max_tokens / longest).clamp(1, limits.max_items);
        let near = sorted[start..].iter().take(BATCHES_PER_BUCKET.end() * capacity);
        let near = near.take_while(|&&length| length as f64 >= NARROW * longest as f64).count();
        let end = sorted.len().min(start + (near / capacity).max(*BATCHES_PER_BUCKET.start()) * capacity);
        buckets.push(Bucket { range: start..end, batches: (end - start).div_ceil(capacity) });
        start = end;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngExt;

    use super::*;

    /// Utterances like a speech corpus': many of 2 to 16 s, a few much longer or shorter.
    fn speech(n: usize, key: Key) -> Vec<usize> {
        let mut rng = key.fold("lengths").rng();
        (0..n).map(|_| (16_000.0 * (2.0 + 14.0 * rng.random::<f64>().powi(2))) as usize).collect()
    }

    /// Sizes, limits and worlds, the corners among them.
    fn cases() -> Vec<(Vec<usize>, Limits, usize)> {
        let mut cases = vec![
            (vec![5], Limits { max_tokens: 5, max_items: 1 }, 1),
            (vec![0, 0, 3], Limits { max_tokens: 3, max_items: 2 }, 2),
            (vec![7; 100], Limits { max_tokens: 70, max_items: 64 }, 3),
            ((1..=50).collect(), Limits { max_tokens: 50, max_items: usize::MAX }, 4),
        ];
        for case in 0..40_usize {
            let mut rng = Key::new(9).fold(case).rng();
            let lengths = speech(rng.random_range(20..700), Key::new(11).fold(case));
            let max_tokens = lengths.iter().max().unwrap() * rng.random_range(1..12);
            cases.push((lengths, Limits { max_tokens, max_items: rng.random_range(1..32) }, rng.random_range(1..5)));
        }
        cases
    }

    #[test]
    fn an_epoch_is_a_permutation_within_the_limits() {
        for (lengths, limits, _) in cases() {
            let sampler = BatchSampler::new(&lengths, limits, Key::new(1)).unwrap();
            for epoch in [0, 1, 17] {
                let batches = sampler.epoch(epoch);
                assert_eq!(batches.len(), sampler.batches_per_epoch());
                for batch in &batches {
                    let longest = batch.iter().map(|&index| lengths[index]).max().expect("no batch is empty");
                    assert!(batch.len() <= limits.max_items && longest * batch.len() <= limits.max_tokens, "{batch:?}");
                }
                let mut all = batches.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..lengths.len()));
            }
        }
    }

    #[test]
    fn ranks_have_equal_numbers_of_batches_and_share_no_utterance() {
        for (lengths, limits, world) in cases() {
            let ranks: Vec<_> = (0..world)
                .map(|rank| BatchSampler::new(&lengths, limits, Key::new(2)).unwrap().shard(rank, world).epoch(3))
                .collect();
            assert!(ranks.iter().all(|batches| batches.len() == ranks[0].len()));
            let all: Vec<usize> = ranks.concat().concat();
            let distinct: HashSet<usize> = all.iter().copied().collect();
            assert_eq!(distinct.len(), lengths.len());
            let singles = ranks.concat().iter().all(|batch| batch.len() == 1);
            assert!(all.len() == distinct.len() || singles, "only single utterances may be given out twice");
        }
    }

    #[test]
    fn any_draw_is_found_without_those_before_it() {
        let lengths = speech(300, Key::new(3));
        let limits = Limits { max_tokens: 1_000_000, max_items: 16 };
        for world in [1, 2] {
            let sampler = BatchSampler::new(&lengths, limits, Key::new(4)).unwrap().shard(world - 1, world);
            let stream: Vec<_> = (0..3).flat_map(|epoch| sampler.epoch(epoch)).collect();
            let again = BatchSampler::new(&lengths, limits, Key::new(4)).unwrap().shard(world - 1, world);
            for draw in [0, 1, 5, stream.len() / 2, stream.len() - 1] {
                assert_eq!(again.at(draw), stream[draw]);
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ_in_order_and_in_company() {
        let lengths = speech(300, Key::new(3));
        let limits = Limits { max_tokens: 1_000_000, max_items: 16 };
        let epoch = |seed, n| BatchSampler::new(&lengths, limits, Key::new(seed)).unwrap().epoch(n);
        let sets = |batches: Vec<Vec<usize>>| -> HashSet<Vec<usize>> {
            let sorted = batches.into_iter().map(|mut batch| {
                batch.sort_unstable();
                batch
            });
            sorted.collect()
        };
        assert_eq!(epoch(1, 0), epoch(1, 0));
        for other in [epoch(1, 1), epoch(2, 0)] {
            let (a, b) = (sets(epoch(1, 0)), sets(other));
            // What is left for the last bucket may be a single batch, and that keeps its company.
            assert!(a.intersection(&b).count() <= 2, "{} of {} batches recur", a.intersection(&b).count(), a.len());
        }
    }

    #[test]
    fn little_is_padded_and_batches_are_full() {
        let lengths = speech(2000, Key::new(6));
        let limits = Limits { max_tokens: 1_600_000, max_items: 64 };
        let batches = BatchSampler::new(&lengths, limits, Key::new(7)).unwrap().epoch(0);
        let padded: usize = batches.iter().map(|b| b.len() * b.iter().map(|&i| lengths[i]).max().unwrap()).sum();
        let share = 1.0 - lengths.iter().sum::<usize>() as f64 / padded as f64;
        // A uniform bucket of width 10 % wastes 5 %; random batches of this corpus waste 50 %.
        assert!(share < 0.06, "{share} of the tokens are padding");
        let ideal = padded as f64 / limits.max_tokens as f64;
        assert!((batches.len() as f64) < 1.15 * ideal, "{} batches where {ideal} would do", batches.len());
    }

    #[test]
    fn what_cannot_be_batched_is_refused() {
        let limits = Limits { max_tokens: 10, max_items: 4 };
        assert!(BatchSampler::new(&[], limits, Key::new(0)).is_err());
        assert!(BatchSampler::new(&[1], Limits { max_items: 0, ..limits }, Key::new(0)).is_err());
        let message = BatchSampler::new(&[3, 11], limits, Key::new(0)).unwrap_err().to_string();
        assert!(message.starts_with("item 1 is 11 long"), "{message}");
    }
}
