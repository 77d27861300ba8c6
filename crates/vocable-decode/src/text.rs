//! Autoregressive text: the interface a model offers, and greedy search over it.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::on_pool;

/// A model that continues token sequences, one token at a time.
///
/// The stepper owns whatever belongs to its hypotheses (encoder states, key–value caches, the tokens so far if it needs
/// them: [`Prefixes`]), one row per hypothesis. A search calls [`step`](Self::step) and [`select`](Self::select) in turn,
/// from a thread of rayon's pool.
pub trait TextStepper: Send {
    /// Log-probabilities of the next token, `[hypotheses, vocabulary]`.
    ///
    /// `newest` holds the token that was chosen last for every hypothesis, at first the start token.
    fn step(&mut self, newest: &[u32]) -> Tensor<2>;

    /// Makes hypothesis `rows[i]` the new hypothesis i. Rows that do not occur are dropped, a row that occurs twice is
    /// duplicated: what removes finished utterances from a batch and moves the branches of a beam.
    fn select(&mut self, rows: &[usize]);
}

/// All tokens of all hypotheses, for a stepper that looks at whole prefixes.
#[derive(Clone, Debug, Default)]
pub struct Prefixes(Vec<Vec<u32>>);

impl Prefixes {
    /// Appends the newest token of every hypothesis and returns all prefixes, the start token first.
    pub fn push(&mut self, newest: &[u32]) -> &[Vec<u32>] {
        if self.0.is_empty() {
            self.0.resize(newest.len(), Vec::new());
        }
        assert_eq!(self.0.len(), newest.len(), "one token per hypothesis");
        self.0.iter_mut().zip(newest).for_each(|(prefix, &token)| prefix.push(token));
        &self.0
    }

    /// As [`TextStepper::select`].
    pub fn select(&mut self, rows: &[usize]) {
        self.0 = rows.iter().map(|&row| self.0[row].clone()).collect();
    }
}

/// Where text generation begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextLimits {
    /// First token of every prefix; never part of a result.
    pub start: u32,
    /// Token that ends a sequence; never part of a result.
    pub end: u32,
    /// Tokens a sequence must have before it may end.
    pub min_length: usize,
    /// Tokens after which a sequence is cut.
    pub max_length: usize,
}

/// A generated token sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The tokens without start and end.
    pub tokens: Vec<u32>,
    /// The higher the better. Of greedy decoding the sum of the log-probabilities of the tokens, and of the end token where the
    /// sequence has ended itself; of a beam search the weighted sum over all that scores, the end token always included, divided
    /// by the length to the power of the length penalty.
    pub score: f64,
    /// Whether the sequence has ended itself; otherwise it was cut at the longest length.
    pub ended: bool,
}

/// The most probable token at every step, for `batch` utterances that are rows 0, 1, … of the stepper.
///
/// Tokens in `suppressed` are never chosen; of equally probable tokens the first is. Finished utterances leave the
/// batch. Reads one `[hypotheses, vocabulary]` tensor per step. Panics when a step leaves no token to choose (every
/// permitted log-probability is −∞ or no number).
pub fn greedy(stepper: &mut dyn TextStepper, batch: usize, limits: &TextLimits, suppressed: &[u32]) -> Vec<Hypothesis> {
    on_pool(|| search(stepper, batch, limits, suppressed))
}

fn search(stepper: &mut dyn TextStepper, batch: usize, limits: &TextLimits, suppressed: &[u32]) -> Vec<Hypothesis> {
    let empty = Hypothesis { tokens: Vec::new(), score: 0.0, ended: false };
    let mut hypotheses = vec![empty; batch];
    let mut active: Vec<usize> = (0..batch).collect();
    let mut newest = vec![limits.start; batch];
    for length in 0..limits.max_length {
        if active.is_empty() {
            break;
        }
        let log_probabilities = stepper.step(&newest);
        let vocabulary = log_probabilities.dims()[1];
        let host = log_probabilities.try_into_vec_as::<f32>().expect("log-probabilities are readable floats");
        let mut kept = Vec::with_capacity(active.len());
        newest.clear();
        for (row, scores) in host.chunks_exact(vocabulary).enumerate() {
            let permitted =
                |token: u32| !suppressed.contains(&token) && (token != limits.end || length >= limits.min_length);
            let utterance = active[row];
            let hypothesis = &mut hypotheses[utterance];
            let (token, score) = best(scores, permitted)
                .unwrap_or_else(|| panic!("utterance {utterance}: no token can follow {:?}", hypothesis.tokens));
            hypothesis.score += f64::from(score);
            if token == limits.end {
                hypothesis.ended = true;
            } else {
                hypothesis.tokens.push(token);
                newest.push(token);
                kept.push(row);
            }
        }
        if kept.len() < active.len() {
            if !kept.is_empty() {
                stepper.select(&kept);
            }
            active = kept.iter().map(|&row| active[row]).collect();
        }
    }
    hypotheses
}

/// The first of the largest permitted scores above −∞.
fn best(scores: &[f32], permitted: impl Fn(u32) -> bool) -> Option<(u32, f32)> {
    let mut best = None;
    let mut largest = f32::NEG_INFINITY;
    for (token, &score) in (0_u32..).zip(scores) {
        if score > largest && permitted(token) {
            largest = score;
            best = Some((token, score));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    const LIMITS: TextLimits = TextLimits { start: 0, end: 1, min_length: 1, max_length: 6 };

    /// Prefers to write its sentence, then the end; every choice has probability 0.5, the rest share the other half.
    struct Scribe {
        sentences: Vec<Vec<u32>>,
        prefixes: Prefixes,
        seen: Vec<usize>,
    }

    impl Scribe {
        fn new(sentences: &[&[u32]]) -> Self {
            let sentences = sentences.iter().map(|s| s.to_vec()).collect();
            Self { sentences, prefixes: Prefixes::default(), seen: Vec::new() }
        }
    }

    impl TextStepper for Scribe {
        fn step(&mut self, newest: &[u32]) -> Tensor<2> {
            assert_eq!(newest.len(), self.sentences.len());
            self.seen.push(newest.len());
            let prefixes = self.prefixes.push(newest);
            let rows: Vec<f32> = prefixes
                .iter()
                .zip(&self.sentences)
                .flat_map(|(prefix, sentence)| {
                    let next = sentence.get(prefix.len() - 1).copied().unwrap_or(LIMITS.end);
                    (0..5).map(move |token| if token == next { 0.5_f32.ln() } else { 0.125_f32.ln() })
                })
                .collect();
            Tensor::from_data(TensorData::new(rows, [prefixes.len(), 5]), &Device::flex())
        }

        fn select(&mut self, rows: &[usize]) {
            self.prefixes.select(rows);
            self.sentences = rows.iter().map(|&row| self.sentences[row].clone()).collect();
        }
    }

    #[test]
    fn a_batch_is_decoded_as_its_singles_and_shrinks() {
        let sentences: [&[u32]; 3] = [&[2, 3], &[4, 4, 4, 4], &[3]];
        let mut scribe = Scribe::new(&sentences);
        let found = greedy(&mut scribe, 3, &LIMITS, &[]);
        for (hypothesis, sentence) in found.iter().zip(sentences) {
            assert_eq!(hypothesis.tokens, sentence);
            assert!(hypothesis.ended);
            // Each token and the end at ln 0.5, in f32.
            let expected = (sentence.len() + 1) as f64 * 0.5_f64.ln();
            assert!((hypothesis.score - expected).abs() < 1e-6);
            let single = greedy(&mut Scribe::new(&[sentence]), 1, &LIMITS, &[]);
            assert_eq!(&single[0], hypothesis);
        }
        assert_eq!(scribe.seen, [3, 3, 2, 1, 1]);
    }

    #[test]
    fn lengths_are_kept_between_the_limits() {
        let long = greedy(&mut Scribe::new(&[&[2; 9]]), 1, &LIMITS, &[]);
        assert_eq!((long[0].tokens.as_slice(), long[0].ended), ([2; 6].as_slice(), false));
        // The end is blocked at the first step: the first of the other tokens is taken.
        let short = greedy(&mut Scribe::new(&[&[]]), 1, &LIMITS, &[]);
        assert_eq!((short[0].tokens.as_slice(), short[0].ended), ([0].as_slice(), true));
    }

    #[test]
    fn suppressed_tokens_never_appear() {
        let found = greedy(&mut Scribe::new(&[&[2, 3, 2]]), 1, &LIMITS, &[0, 2]);
        // 3 is the first permitted token while the end is blocked; later the end comes before it among equals.
        assert_eq!((found[0].tokens.as_slice(), found[0].ended), ([3, 3].as_slice(), true));
    }

    #[test]
    fn no_utterances_are_no_hypotheses() {
        assert_eq!(greedy(&mut Scribe::new(&[]), 0, &LIMITS, &[]), []);
    }

    #[test]
    #[should_panic(expected = "utterance 0: no token can follow []")]
    fn nothing_to_choose_is_a_bug() {
        greedy(&mut Scribe::new(&[&[2]]), 1, &LIMITS, &[0, 1, 2, 3, 4]);
    }
}
