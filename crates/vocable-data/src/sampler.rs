//! Batches of similar length, as a pure function of (seed, epoch).
//!
//! Utterances are divided, once, into buckets of similar length that hold whole batches. An epoch shuffles the
//! utterances within each bucket and the order of all batches. The number of batches is therefore the same in every
//! epoch, and the batch of any update can be computed without those before it: a run resumes from its update number
//! alone.
//!
//! An item may have several lengths, one for each sequence that is padded (a recording and its transcript; a source
//! and its target). Buckets are then narrow in all of them: the utterances are halved along the length that would pad
//! most until nothing pads much or only two batches are left.

use std::cmp::Reverse;

use rand::seq::SliceRandom;
use vocable_random::Key;

use crate::DataError;

/// Batches that a bucket holds at least: with one, an utterance would keep its company for ever.
const LEAST: usize = 2;
/// A bucket of twice the least is divided further while this share of it would be padding.
const PADDING: f64 = 0.04;

/// How large a batch may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest length × number of items, that is, with padding; in the unit of the lengths (samples, tokens). Of items
    /// with several lengths, the longest of all.
    pub max_tokens: usize,
    /// Number of items.
    pub max_items: usize,
}

/// Utterances of similar length.
#[derive(Clone, Debug)]
struct Bucket {
    items: Vec<usize>,
    batches: usize,
}

/// The endless sequence of batches.
#[derive(Clone, Debug)]
pub struct BatchSampler {
    key: Key,
    buckets: Vec<Bucket>,
}

impl BatchSampler {
    /// Batches of the utterances `0..lengths.len()`; each has a length for every sequence of it that
    /// is padded.
    ///
    /// # Errors
    /// No utterance at all, or one that alone exceeds `max_tokens` (filter such before), or a limit of zero items.
    pub fn new<const K: usize>(lengths: &[[usize; K]], limits: Limits, key: Key) -> Result<Self, DataError> {
        if lengths.is_empty() || limits.max_items == 0 {
            let message = format!("no batch can be made of {} utterances with {limits:?}", lengths.len());
            return Err(DataError::Invalid(message));
        }
        let longest = |index: usize| lengths[index].into_iter().max().unwrap_or(0);
        if let Some(long) = (0..lengths.len()).find(|&index| longest(index) > limits.max_tokens) {
            return Err(DataError::Invalid(format!(
                "item {long} is {} long, more than a whole batch may hold (max_tokens = {}): raise the limit or drop it",
                longest(long),
                limits.max_tokens
            )));
        }
        let mut buckets = Vec::new();
        divide((0..lengths.len()).collect(), lengths, limits, &mut buckets);
        Ok(Self { key: key.fold("batches"), buckets })
    }

    /// Batches per epoch; the same in every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.batches).sum()
    }

    /// All batches of epoch `n`, in order; a batch lists indices into the lengths given to `new`.
    pub fn epoch(&self, n: usize) -> Vec<Vec<usize>> {
        self.order(n).into_iter().map(|place| self.batch(n, place)).collect()
    }

    /// The batch of the `draw`-th draw (from 0) of the endless stream of epochs.
    pub fn at(&self, draw: usize) -> Vec<usize> {
        let (epoch, position) = (draw / self.batches_per_epoch(), draw % self.batches_per_epoch());
        self.batch(epoch, self.order(epoch)[position])
    }

    /// (bucket, batch within the bucket) in the order of one epoch.
    fn order(&self, epoch: usize) -> Vec<(usize, usize)> {
        let numbered = self.buckets.iter().enumerate();
        let mut order: Vec<_> =
            numbered.flat_map(|(bucket, content)| (0..content.batches).map(move |batch| (bucket, batch))).collect();
        order.shuffle(&mut self.key.fold("order").fold(epoch).rng());
        order
    }

    fn batch(&self, epoch: usize, (bucket, batch): (usize, usize)) -> Vec<usize> {
        let Bucket { items, batches } = &self.buckets[bucket];
        let mut members = items.clone();
        members.shuffle(&mut self.key.fold("bucket").fold(bucket).fold(epoch).rng());
        let cut = |n: usize| n * members.len() / batches;
        members[cut(batch)..cut(batch + 1)].to_vec()
    }
}

/// Divides utterances into buckets of whole batches.
fn divide<const K: usize>(mut items: Vec<usize>, lengths: &[[usize; K]], limits: Limits, buckets: &mut Vec<Bucket>) {
    let longest: [usize; K] = std::array::from_fn(|k| items.iter().map(|&item| lengths[item][k]).max().unwrap_or(0));
    let capacity = limits.max_tokens / longest.into_iter().max().unwrap_or(0).max(1);
    let capacity = capacity.clamp(1, limits.max_items);
    let batches = items.len().div_ceil(capacity);
    // What would be padding if each batch held one of the longest utterances.
    let padding = longest.map(|longest| (longest * items.len()) as f64);
    let padding: [f64; K] = std::array::from_fn(|k| {
        let total: usize = items.iter().map(|&item| lengths[item][k]).sum();
        if total == 0 { 0.0 } else { 1.0 - total as f64 / padding[k] }
    });
    let widest = (0..K).max_by(|&a, &b| padding[a].total_cmp(&padding[b]).then(b.cmp(&a)));
    match widest.filter(|&k| batches >= 2 * LEAST && padding[k] > PADDING) {
        None => buckets.push(Bucket { items, batches }),
        Some(k) => {
            items.sort_by_key(|&item| (Reverse(lengths[item][k]), item));
            let shorter = items.split_off(batches / 2 * capacity);
            divide(items, lengths, limits, buckets);
            divide(shorter, lengths, limits, buckets);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use rand::RngExt;
    use rand_distr::{Distribution, LogNormal, Normal};

    use super::*;
    use crate::{Manifest, Split, Utterance};

    /// Utterances like a speech corpus': many of 2 to 16 s, a few much longer or shorter.
    fn speech(n: usize, key: Key) -> Vec<[usize; 1]> {
        let mut rng = key.fold("lengths").rng();
        (0..n).map(|_| [(16_000.0 * (2.0 + 14.0 * rng.random::<f64>().powi(2))) as usize]).collect()
    }

    /// Recordings of `seconds` with their transcripts: samples and characters, about `rate` a second.
    fn transcribed(seconds: impl Iterator<Item = f64>, rate: f64, key: Key) -> Vec<[usize; 2]> {
        let mut rng = key.fold("characters").rng();
        let spread = LogNormal::new(0.0, 0.12).unwrap();
        let lengths = seconds.map(|seconds| {
            let characters = seconds * rate * spread.sample(&mut rng);
            [(16_000.0 * seconds) as usize, 1 + characters as usize]
        });
        lengths.collect()
    }

    /// The share of padding in each sequence over some epochs.
    fn padding<const K: usize>(lengths: &[[usize; K]], sampler: &BatchSampler) -> [f64; K] {
        let batches: Vec<Vec<usize>> = (0..5).flat_map(|epoch| sampler.epoch(epoch)).collect();
        std::array::from_fn(|k| {
            let longest = |batch: &Vec<usize>| batch.iter().map(|&item| lengths[item][k]).max().unwrap();
            let padded: usize = batches.iter().map(|batch| batch.len() * longest(batch)).sum();
            1.0 - batches.iter().flatten().map(|&item| lengths[item][k]).sum::<usize>() as f64 / padded as f64
        })
    }

    /// Sizes and limits, the corners among them.
    fn cases() -> Vec<(Vec<[usize; 1]>, Limits)> {
        let mut cases = vec![
            (vec![[5]], Limits { max_tokens: 5, max_items: 1 }),
            (vec![[0], [0], [3]], Limits { max_tokens: 3, max_items: 2 }),
            (vec![[7]; 100], Limits { max_tokens: 70, max_items: 64 }),
            ((1..=50).map(|length| [length]).collect(), Limits { max_tokens: 50, max_items: usize::MAX }),
        ];
        for case in 0..40_usize {
            let mut rng = Key::new(9).fold(case).rng();
            let lengths = speech(rng.random_range(20..700), Key::new(11).fold(case));
            let max_tokens = lengths.iter().max().unwrap()[0] * rng.random_range(1..12);
            cases.push((lengths, Limits { max_tokens, max_items: rng.random_range(1..32) }));
        }
        cases
    }

    #[test]
    fn an_epoch_is_a_permutation_within_the_limits() {
        for (lengths, limits) in cases() {
            let sampler = BatchSampler::new(&lengths, limits, Key::new(1)).unwrap();
            for epoch in [0, 1, 17] {
                let batches = sampler.epoch(epoch);
                assert_eq!(batches.len(), sampler.batches_per_epoch());
                for batch in &batches {
                    let longest = batch.iter().map(|&index| lengths[index][0]).max().expect("no batch is empty");
                    assert!(batch.len() <= limits.max_items && longest * batch.len() <= limits.max_tokens, "{batch:?}");
                }
                let mut all = batches.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..lengths.len()));
            }
        }
    }

    #[test]
    fn any_draw_is_found_without_those_before_it() {
        let lengths = speech(300, Key::new(3));
        let limits = Limits { max_tokens: 1_000_000, max_items: 16 };
        let sampler = BatchSampler::new(&lengths, limits, Key::new(4)).unwrap();
        let stream: Vec<_> = (0..3).flat_map(|epoch| sampler.epoch(epoch)).collect();
        let again = BatchSampler::new(&lengths, limits, Key::new(4)).unwrap();
        for draw in [0, 1, 5, stream.len() / 2, stream.len() - 1] {
            assert_eq!(again.at(draw), stream[draw]);
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
    fn an_utterance_meets_many_others() {
        let lengths = speech(300, Key::new(3));
        let limits = Limits { max_tokens: 1_000_000, max_items: 16 };
        let sampler = BatchSampler::new(&lengths, limits, Key::new(1)).unwrap();
        let mut met = vec![HashSet::<usize>::new(); lengths.len()];
        let batches: Vec<Vec<usize>> = (0..50).flat_map(|epoch| sampler.epoch(epoch)).collect();
        for batch in &batches {
            batch.iter().for_each(|&item| met[item].extend(batch));
        }
        let size = |item: usize| batches.iter().filter(|batch| batch.contains(&item)).map(Vec::len).max().unwrap();
        let alone = (0..lengths.len()).filter(|&item| met[item].len() <= size(item)).count();
        // Those of a last bucket of a single batch at most.
        assert!(alone <= 16, "{alone} utterances never change company");
    }

    #[test]
    fn less_than_a_twentieth_is_padding_in_every_sequence() {
        let check = |name: &str, lengths: &[[usize; 2]], max_tokens: usize| {
            let limits = Limits { max_tokens, max_items: 1024 };
            let shares = padding(lengths, &BatchSampler::new(lengths, limits, Key::new(7)).unwrap());
            assert!(shares.iter().all(|&share| share < 0.05), "{name}: {shares:?} of the batches is padding");
        };
        // Recognition and conversion on the shipped corpus in the batches of scale mini, 12 s.
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
        let manifest = Manifest::read(manifest).unwrap();
        let train: Vec<&Utterance> =
            manifest.split(Split::Train).into_iter().map(|index| &manifest.utterances[index]).collect();
        let samples = |utterance: &Utterance| (utterance.seconds * 16_000.0) as usize;
        let heard: Vec<[usize; 2]> = train.iter().map(|u| [samples(u), u.text.chars().count() + 1]).collect();
        check("mini", &heard, 192_000);
        let pairs = train.iter().flat_map(|a| {
            let others = train.iter().filter(|b| b.text == a.text && b.speaker != a.speaker);
            others.map(|b| [samples(a), samples(b)])
        });
        check("pairs of mini", &pairs.collect::<Vec<_>>(), 192_000);
        // Strings of digits, 2 to 4 s.
        let mut rng = Key::new(1).rng();
        let digits = (0..2_400).map(|_| 2.0 + rng.random::<f64>() + rng.random::<f64>());
        check("digits", &transcribed(digits, 9.0, Key::new(1)), 192_000);
        // LibriSpeech's hundred hours: most utterances are 12 to 16 s long; the official batch is 100 s.
        let (mut rng, long) = (Key::new(2).rng(), Normal::new(14.0, 1.5_f64).unwrap());
        let libri = (0..28_539).map(|_| match rng.random_bool(0.2) {
            true => rng.random_range(2.0..11.0),
            false => long.sample(&mut rng).clamp(2.0, 24.5),
        });
        check("LibriSpeech", &transcribed(libri, 14.3, Key::new(2)), 1_600_000);
    }

    #[test]
    fn batches_are_full() {
        let lengths = speech(2000, Key::new(6));
        let limits = Limits { max_tokens: 1_600_000, max_items: 64 };
        let sampler = BatchSampler::new(&lengths, limits, Key::new(7)).unwrap();
        assert!(padding(&lengths, &sampler)[0] < 0.05);
        let ideal = lengths.iter().flatten().sum::<usize>() as f64 / limits.max_tokens as f64;
        let batches = sampler.batches_per_epoch();
        assert!((batches as f64) < 1.2 * ideal, "{batches} batches where {ideal} would do");
    }

    #[test]
    fn what_cannot_be_batched_is_refused() {
        let limits = Limits { max_tokens: 10, max_items: 4 };
        assert!(BatchSampler::new::<1>(&[], limits, Key::new(0)).is_err());
        assert!(BatchSampler::new(&[[1]], Limits { max_items: 0, ..limits }, Key::new(0)).is_err());
        let message = BatchSampler::new(&[[3, 1], [4, 11]], limits, Key::new(0)).unwrap_err().to_string();
        assert!(message.starts_with("item 1 is 11 long"), "{message}");
    }
}
