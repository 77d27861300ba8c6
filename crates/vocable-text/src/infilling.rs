//! BART-style infilling: the noise of text pre-training.

use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vocable_random::Key;

use crate::vocabulary::CharVocabulary;

/// Replaces spans of a token sequence by single masks (spec sections 5.3, 15.1 and 15.2; official
/// `data/text_dataset.py`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Infilling {
    /// Share of the inner tokens that spans may cover (official `mask`).
    pub mask_ratio: f32,
    /// Mean of the Poisson distribution of span lengths (official `poisson_lambda`).
    pub poisson_lambda: f64,
    /// Probability that a random token stands where a mask would (official `mask_random`).
    pub mask_random: f64,
    /// Random tokens are drawn from `1..vocabulary`.
    pub vocabulary: u32,
    /// The token that stands for a span.
    pub mask: u32,
}

impl Infilling {
    /// The paper's noise over a vocabulary: 30 % in spans of 3.5 tokens on average, a tenth of the masks random.
    pub fn new(vocabulary: &CharVocabulary) -> Self {
        Self {
            mask_ratio: 0.3,
            poisson_lambda: 3.5,
            mask_random: 0.1,
            vocabulary: vocabulary.len() as u32,
            mask: vocabulary.mask(),
        }
    }

    /// How many of `inner` tokens the spans of a sequence cover together; counted with multiplicity, since spans may
    /// overlap.
    ///
    /// In single precision as officially, which for some lengths is one token more than exact arithmetic would give.
    pub fn budget(&self, inner: usize) -> usize {
        (inner as f32 * self.mask_ratio).ceil() as usize
    }

    /// The sequence `tokens` under noise; its first and last token (`<s>` and `</s>`) are never touched.
    ///
    /// A pure function of its arguments: fold the epoch and the index of the sample into the key.
    ///
    /// # Panics
    /// A parameter is out of its range: `mask_ratio` or `mask_random` not in [0, 1], `poisson_lambda` not in [0.1, 100): shorter
    /// spans are nearly all insertions.
    pub fn infill(&self, tokens: &[u32], key: Key) -> Vec<u32> {
        assert!((0.0..=1.0).contains(&self.mask_ratio), "mask_ratio is {}, not in [0, 1]", self.mask_ratio);
        let inner = tokens.len().saturating_sub(2);
        let budget = self.budget(inner);
        if budget == 0 {
            return tokens.to_vec();
        }
        let rng = &mut key.rng();
        let lengths = self.span_lengths(budget, rng);
        let spans: Vec<usize> = lengths.iter().copied().filter(|length| *length > 0).collect();
        let insertions = lengths.len() - spans.len();
        let masked = self.mask_spans(tokens, &spans, rng);
        if insertions == 0 { masked } else { self.insert(&masked, insertions, rng) }
    }

    /// Poisson lengths up to the one that reaches the budget, which is cut to meet it exactly.
    fn span_lengths(&self, budget: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let distribution = truncated_poisson(self.poisson_lambda);
        let mut lengths = Vec::new();
        let mut left = budget;
        while left > 0 {
            let length = distribution.sample(rng).min(left);
            left -= length;
            lengths.push(length);
        }
        lengths
    }

    /// Puts one token at the start of every span and deletes the rest of it. A span that runs into another one
    /// swallows the other's start; one that runs into the end is cut there.
    fn mask_spans(&self, tokens: &[u32], spans: &[usize], rng: &mut ChaCha8Rng) -> Vec<u32> {
        let last = tokens.len() - 1;
        let mut noised: Vec<Option<u32>> = tokens.iter().copied().map(Some).collect();
        let starts: Vec<usize> = sample(rng, last - 1, spans.len()).into_iter().map(|index| index + 1).collect();
        for &start in &starts {
            let random = rng.random_bool(self.mask_random);
            noised[start] = Some(if random { self.random_token(rng) } else { self.mask });
        }
        for (&start, &length) in starts.iter().zip(spans) {
            noised[start + 1..(start + length).min(last)].fill(None);
        }
        noised.into_iter().flatten().collect()
    }

    /// Inserts tokens, between the first and the last one, for spans of length zero.
    fn insert(&self, tokens: &[u32], wanted: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
        // The official detour over a share of the length, in double precision, at times rounds to one more.
        let share = wanted as f64 / tokens.len() as f64;
        let count = (tokens.len() as f64 * share).ceil() as usize;
        let random = (count as f64 * self.mask_random).ceil() as usize;
        let mut noised: Vec<Option<u32>> = vec![None; tokens.len() + count];
        for (order, place) in sample(rng, noised.len() - 2, count).into_iter().enumerate() {
            noised[place + 1] = Some(if order < random { self.random_token(rng) } else { self.mask });
        }
        let mut rest = tokens.iter().copied();
        noised.into_iter().map(|token| token.or_else(|| rest.next()).expect("a place for every token")).collect()
    }

    fn random_token(&self, rng: &mut ChaCha8Rng) -> u32 {
        rng.random_range(1..self.vocabulary)
    }
}

/// Poisson probabilities up to the first below 1e-7 behind the mean, 128 at most, as officially; where the mean is above 16, those
/// before it are as small.
fn truncated_poisson(lambda: f64) -> WeightedIndex<f64> {
    assert!((0.1..100.0).contains(&lambda), "poisson_lambda is {lambda}, not in [0.1, 100)");
    let mut weights = vec![(-lambda).exp()];
    for k in 1..128 {
        let previous = weights[k - 1];
        if previous < 1e-7 && k as f64 > lambda {
            break;
        }
        weights.push(previous * lambda / k as f64);
    }
    WeightedIndex::new(weights).expect("weights are positive and finite")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: u32 = 2000;
    /// Originals are 1000 and above, random tokens below 81: each output token tells where it is from.
    const NOISE: Infilling =
        Infilling { mask_ratio: 0.3, poisson_lambda: 3.5, mask_random: 0.1, vocabulary: 81, mask: MASK };

    fn sequence(inner: usize) -> Vec<u32> {
        (0..inner as u32 + 2).map(|index| 3000 + index).collect()
    }

    #[test]
    fn spans_of_any_mean_are_drawn() {
        for mean in [0.1, 3.5, 16.0, 16.2, 40.0, 90.0] {
            let noise = Infilling { poisson_lambda: mean, ..NOISE };
            // One budget after another is met by a span or two of such a mean, and cut.
            let lengths = noise.span_lengths(100_000, &mut Key::new(3).rng());
            let found = 100_000.0 / lengths.len() as f64;
            assert!((found - mean).abs() < 0.1 * mean, "{found} in place of {mean}");
        }
    }

    #[test]
    fn the_budget_is_rounded_in_single_precision() {
        let exact = |n: usize| (3 * n).div_ceil(10);
        let more: Vec<usize> = (1..=600).filter(|&n| NOISE.budget(n) != exact(n)).collect();
        assert_eq!(more[..4], [50, 90, 100, 170]);
        assert_eq!(more.len(), 18);
        assert!(more.iter().all(|&n| NOISE.budget(n) == exact(n) + 1));
    }

    #[test]
    fn span_lengths_meet_the_budget_exactly() {
        for seed in 0..500_u64 {
            let budget = 1 + seed as usize % 60;
            let lengths = NOISE.span_lengths(budget, &mut Key::new(seed).rng());
            assert_eq!(lengths.iter().sum::<usize>(), budget);
            assert_ne!(lengths.last(), Some(&0), "the draw ends with the span that meets the budget");
        }
    }

    #[test]
    fn noise_is_keyed_and_keeps_the_ends() {
        for inner in [1, 2, 3, 10, 50, 90, 200] {
            let tokens = sequence(inner);
            for index in 0..200_u64 {
                let key = Key::new(5).fold("epoch").fold(index);
                let noised = NOISE.infill(&tokens, key);
                assert_eq!(noised, NOISE.infill(&tokens, key));
                assert_eq!((noised.first(), noised.last()), (tokens.first(), tokens.last()));
                // What is left of the text is in order and at least 70 % of it, less the rounding of the budget.
                let kept: Vec<u32> = noised.iter().copied().filter(|token| *token >= 3000).collect();
                assert!(kept.is_sorted());
                assert!(kept.len() >= tokens.len() - NOISE.budget(inner));
                assert!(noised.iter().all(|&token| token >= 3000 || token == MASK || (1..81).contains(&token)));
            }
        }
        let tokens = sequence(100);
        assert_ne!(NOISE.infill(&tokens, Key::new(5)), NOISE.infill(&tokens, Key::new(6)));
    }

    #[test]
    fn nothing_to_mask_is_left_alone() {
        for tokens in [vec![], vec![7], vec![0, 2]] {
            assert_eq!(NOISE.infill(&tokens, Key::new(1)), tokens);
        }
        let off = Infilling { mask_ratio: 0.0, ..NOISE };
        assert_eq!(off.infill(&sequence(40), Key::new(1)), sequence(40));
    }

    #[test]
    fn a_span_is_one_mask_and_swallows_what_it_covers() {
        let never_random = Infilling { mask_random: 0.0, ..NOISE };
        let tokens = sequence(6);
        for seed in 0..200 {
            // One span of three: the mask and two deletions, or fewer at the end.
            let noised = never_random.mask_spans(&tokens, &[3], &mut Key::new(seed).rng());
            let at = noised.iter().position(|&token| token == MASK).expect("a mask");
            let gone = 3.min(tokens.len() - 1 - at);
            assert_eq!(noised[..at], tokens[..at]);
            assert_eq!(noised[at + 1..], tokens[at + gone..]);
        }
        // Spans as long as the text leave at least one mask, never two in the place of one token.
        for seed in 0..200 {
            let noised = never_random.mask_spans(&tokens, &[6, 6], &mut Key::new(seed).rng());
            let masks = noised.iter().filter(|&&token| token == MASK).count();
            assert!((1..=2).contains(&masks) && noised.len() <= tokens.len());
        }
    }

    #[test]
    fn insertions_have_a_random_token_among_ten() {
        for wanted in [1, 2, 10, 11] {
            let tokens = sequence(37);
            let noised = NOISE.insert(&tokens, wanted, &mut Key::new(wanted as u64).rng());
            let random = noised.iter().filter(|&&token| token < 81).count();
            let masks = noised.iter().filter(|&&token| token == MASK).count();
            assert!((wanted..=wanted + 1).contains(&(random + masks)));
            assert_eq!(random, (0.1 * (random + masks) as f64).ceil() as usize);
            assert_eq!(noised.into_iter().filter(|&token| token >= 3000).collect::<Vec<_>>(), tokens);
        }
    }

    #[test]
    fn rounding_of_the_insertions_follows_double_precision() {
        // ceil(m · (k / m)) is k + 1 for some (m, k) from k = 3 on, such as these.
        let more = |m: usize| {
            let found = (1..=m).find(|&k| {
                let inserted = NOISE.insert(&sequence(m - 2), k, &mut Key::new(1).rng()).len() - m;
                assert!(inserted == k || inserted == k + 1);
                inserted == k + 1
            });
            found.map(|k| (m, k))
        };
        let first = (3..200).find_map(more).expect("one in this range");
        let (m, k) = (first.0 as f64, first.1 as f64);
        assert!(m * (k / m) > k && first.1 >= 3);
    }

    /// The distribution of the official noise over 5,000 sentences of 60 to 200 characters.
    #[test]
    fn shares_are_those_of_the_official_noise() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/official/masks.json");
        let fixture: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let official = &fixture["text_infilling"];
        let theirs = official["sentences"].as_f64().unwrap();

        const SENTENCES: usize = 20_000;
        // Not `budget_share`: the file has that from exact arithmetic, and the official code spends more (`budget`).
        let mut shares: [Vec<f64>; 4] = Default::default();
        let (mut random_tokens, mut noise_tokens) = (0, 0);
        for index in 0..SENTENCES {
            let key = Key::new(11).fold(index);
            let n = key.fold("length").rng().random_range(60..=200);
            let noised = NOISE.infill(&sequence(n), key.fold("noise"));
            let kept = noised.iter().filter(|&&token| token >= 3000).count() - 2;
            let masks = noised.iter().filter(|&&token| token == MASK).count();
            let random = noised.len() - 2 - kept - masks;
            random_tokens += random;
            noise_tokens += random + masks;
            let counts = [n - kept, masks, random, noised.len() - 2];
            for (share, count) in shares.iter_mut().zip(counts) {
                share.push(count as f64 / n as f64);
            }
        }
        let names = ["removed_share", "mask_token_share", "random_token_share", "output_length_ratio"];
        for (name, share) in names.into_iter().zip(&mut shares) {
            let expected = |what: &str| official[name][what].as_f64().unwrap();
            let ours = SENTENCES as f64;
            let mean = share.iter().sum::<f64>() / ours;
            let std = (share.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ours).sqrt();
            // Four standard errors of the difference of two means: one failure in 16,000 for a right implementation.
            let error = expected("std") * (1.0 / theirs + 1.0 / ours).sqrt();
            assert!((mean - expected("mean")).abs() < 4.0 * error, "{name}: mean {mean}, not {}", expected("mean"));
            // The standard error of their deviation is about 1 % for a normal distribution, a little more here.
            assert!((std / expected("std") - 1.0).abs() < 0.06, "{name}: deviation {std}, not {}", expected("std"));
            share.sort_unstable_by(f64::total_cmp);
            for (what, part) in [("p05", 0.05), ("p50", 0.5), ("p95", 0.95)] {
                // Quantiles of the mass: shares are ratios of small numbers, hence ties of several per cent.
                let value = expected(what);
                let below = share.partition_point(|x| *x < value - 1e-9) as f64 / ours;
                let up_to = share.partition_point(|x| *x <= value + 1e-9) as f64 / ours;
                assert!(below - 0.015 <= part && part <= up_to + 0.015, "{name} {what}: {below}..{up_to}");
            }
        }
        let p = official["random_over_noise_tokens"].as_f64().unwrap();
        let ours = random_tokens as f64 / noise_tokens as f64;
        // As if every noise token were drawn by itself: an upper bound, since part of them are a fixed share.
        let error = (p * (1.0 - p) * (1.0 / noise_tokens as f64) * (1.0 + SENTENCES as f64 / theirs)).sqrt();
        assert!((ours - p).abs() < 4.0 * error, "random share of the noise {ours}, not {p}");
    }
}
