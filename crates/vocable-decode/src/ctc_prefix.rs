//! CTC's opinion of text prefixes: the probability that an utterance's alignment spells a given beginning.
//!
//! Let φ(t) be the probability of all alignments of the frames up to t that spell a prefix. The prefix continued by a
//! label c then has the probability ψ = Σ_t φ(t−1) · p(t, c): whatever follows is free. Scoring all continuations is
//! one product of φ with the frames' probabilities; only what a search keeps pays for a recursion of its own.
//! Source: specification 7.1; Watanabe et al. 2017, "Hybrid CTC/attention architecture", algorithm 2; ESPnet's
//! `CTCPrefixScore`.

/// The CTC output of one utterance.
#[derive(Clone, Debug)]
pub struct CtcPrefixScorer {
    /// `[frame, class]`
    log_probabilities: Vec<f64>,
    /// The same, exponentiated.
    probabilities: Vec<f64>,
    classes: usize,
    blank: usize,
    end: usize,
}

/// A prefix, as far as CTC is concerned.
#[derive(Clone, Debug)]
pub struct CtcPrefix {
    /// Of every frame: the log-probabilities of the alignments up to it that spell the prefix and end in its last
    /// label, or in a blank.
    ends: Vec<[f64; 2]>,
    last: Option<u32>,
    /// ln ψ: the log-probability that the utterance begins with this prefix.
    pub log_probability: f64,
}

impl CtcPrefixScorer {
    /// `log_probabilities` holds the valid frames of one utterance, `[frame, class]` row by row.
    ///
    /// # Panics
    /// If the rows are not whole, or `blank` or `end` is no class.
    pub fn new(log_probabilities: &[f32], classes: usize, blank: u32, end: u32) -> Self {
        let (blank, end) = (blank as usize, end as usize);
        assert!(blank < classes && end < classes, "CTC prefixes: blank {blank} or end {end} is no class of {classes}");
        assert!(log_probabilities.len().is_multiple_of(classes), "CTC prefixes: the last frame has too few classes");
        let log_probabilities: Vec<f64> = log_probabilities.iter().map(|&value| value.into()).collect();
        let probabilities = log_probabilities.iter().map(|value| value.exp()).collect();
        Self { log_probabilities, probabilities, classes, blank, end }
    }

    /// The empty prefix.
    pub fn start(&self) -> CtcPrefix {
        let mut silence = 0.0;
        let blanks = self.log_probabilities.chunks_exact(self.classes).map(|frame| {
            silence += frame[self.blank];
            [f64::NEG_INFINITY, silence]
        });
        CtcPrefix { ends: blanks.collect(), last: None, log_probability: 0.0 }
    }

    /// ln ψ of the prefix continued by every class, `[class]`; −∞ for the blank. Continued by the end token it is the
    /// log-probability that the utterance spells exactly the prefix.
    pub fn continuations(&self, prefix: &CtcPrefix) -> Vec<f64> {
        let (scale, before) = self.reached(prefix, false);
        let mut sums = vec![0.0; self.classes];
        for (weight, frame) in before.iter().zip(self.probabilities.chunks_exact(self.classes)) {
            if *weight > 0.0 {
                for (sum, probability) in sums.iter_mut().zip(frame) {
                    *sum += weight * probability;
                }
            }
        }
        let mut scores: Vec<f64> = sums.into_iter().map(|sum| scale + sum.ln()).collect();
        if let Some(last) = prefix.last {
            scores[last as usize] = self.repetition(prefix, last as usize);
        }
        scores[self.blank] = f64::NEG_INFINITY;
        scores[self.end] = match prefix.ends.last() {
            Some(&[label, blank]) => log_add(label, blank),
            None if prefix.last.is_none() => 0.0,
            None => f64::NEG_INFINITY,
        };
        scores
    }

    /// The prefix continued by a label, whose ln ψ [`continuations`](Self::continuations) has given.
    pub fn extend(&self, prefix: &CtcPrefix, label: u32, log_probability: f64) -> CtcPrefix {
        let repeated = prefix.last == Some(label);
        let (mut in_label, mut in_blank) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        // Before the first frame only the empty prefix has been spelled.
        let mut before = [f64::NEG_INFINITY, if prefix.last.is_none() { 0.0 } else { f64::NEG_INFINITY }];
        let ends = self.log_probabilities.chunks_exact(self.classes).zip(&prefix.ends).map(|(frame, &ends)| {
            let entered = if repeated { before[1] } else { log_add(before[0], before[1]) };
            let next = log_add(in_label, entered) + frame[label as usize];
            in_blank = log_add(in_label, in_blank) + frame[self.blank];
            in_label = next;
            before = ends;
            [in_label, in_blank]
        });
        CtcPrefix { ends: ends.collect(), last: Some(label), log_probability }
    }

    /// φ of the frame before each frame, divided by its largest value; and the logarithm of that value. A label that
    /// repeats the last one can only follow a blank.
    fn reached(&self, prefix: &CtcPrefix, repeated: bool) -> (f64, Vec<f64>) {
        let first = if prefix.last.is_none() { 0.0 } else { f64::NEG_INFINITY };
        let earlier = prefix.ends.iter().take(prefix.ends.len().saturating_sub(1));
        let logs = earlier.map(|&[label, blank]| if repeated { blank } else { log_add(label, blank) });
        let logs: Vec<f64> = std::iter::once(first).chain(logs).collect();
        let scale = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if scale == f64::NEG_INFINITY {
            return (scale, vec![0.0; logs.len()]);
        }
        (scale, logs.into_iter().map(|log| (log - scale).exp()).collect())
    }

    fn repetition(&self, prefix: &CtcPrefix, last: usize) -> f64 {
        let (scale, before) = self.reached(prefix, true);
        let frames = self.probabilities.chunks_exact(self.classes);
        let sum: f64 = before.iter().zip(frames).map(|(weight, frame)| weight * frame[last]).sum();
        scale + sum.ln()
    }
}

/// ln(eᵃ + eᵇ).
fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::RngExt;
    use vocable_random::Key;

    use super::*;
    use crate::collapse;

    const CLASSES: usize = 4;
    const BLANK: u32 = 3;
    const END: u32 = 0;

    fn emissions(frames: usize, key: usize) -> Vec<f32> {
        let mut rng = Key::new(5).fold(key).rng();
        let mut values: Vec<f32> = (0..frames * CLASSES).map(|_| rng.random_range(-3.0..1.0)).collect();
        for frame in values.chunks_exact_mut(CLASSES) {
            let sum: f32 = frame.iter().map(|x| x.exp()).sum();
            frame.iter_mut().for_each(|x| *x -= sum.ln());
        }
        values
    }

    /// The probability of every label sequence, by listing all alignments. The end token is never aligned.
    fn sequences(emissions: &[f32]) -> HashMap<Vec<u32>, f64> {
        let frames = emissions.len() / CLASSES;
        let mut found = HashMap::new();
        for code in 0..CLASSES.pow(frames as u32) {
            let path: Vec<u32> = (0..frames).map(|t| (code / CLASSES.pow(t as u32) % CLASSES) as u32).collect();
            let log: f32 = path.iter().enumerate().map(|(t, &class)| emissions[t * CLASSES + class as usize]).sum();
            *found.entry(collapse(&path, BLANK)).or_insert(0.0) += f64::from(log).exp();
        }
        found
    }

    #[test]
    fn every_prefix_has_the_probability_of_all_its_alignments() {
        for (key, frames) in [1, 2, 3, 5, 6].into_iter().enumerate() {
            let emissions = emissions(frames, key);
            let all = sequences(&emissions);
            let scorer = CtcPrefixScorer::new(&emissions, CLASSES, BLANK, END);
            let mut open = vec![(Vec::new(), scorer.start())];
            while let Some((prefix, state)) = open.pop() {
                let found = scorer.continuations(&state);
                assert_eq!(found[BLANK as usize], f64::NEG_INFINITY);
                let close = |found: f64, expected: f64, what: &str| {
                    // Sums of a few thousand products of f32 log-probabilities.
                    let right = (found.exp() - expected).abs() < 1e-6;
                    assert!(right, "{frames} frames, {prefix:?} {what}: {} instead of {expected}", found.exp());
                };
                close(found[END as usize], all.get(&prefix).copied().unwrap_or(0.0), "ends");
                for label in [1, 2] {
                    let longer: Vec<u32> = prefix.iter().copied().chain([label]).collect();
                    let expected = all.iter().filter(|(text, _)| text.starts_with(&longer)).map(|(_, p)| p).sum();
                    close(found[label as usize], expected, "continues");
                    if longer.len() <= frames {
                        let next = scorer.extend(&state, label, found[label as usize]);
                        open.push((longer, next));
                    }
                }
            }
        }
    }

    #[test]
    fn a_thousand_hopeless_frames_do_not_underflow() {
        // Every class is improbable: the log-probabilities need not be normalised to be compared.
        let emissions = vec![-20.0; 1000 * CLASSES];
        let scorer = CtcPrefixScorer::new(&emissions, CLASSES, BLANK, END);
        let mut prefix = scorer.start();
        for label in [1, 2, 2, 1] {
            let scores = scorer.continuations(&prefix);
            assert!(scores[label as usize].is_finite());
            prefix = scorer.extend(&prefix, label, scores[label as usize]);
        }
        assert!(scorer.continuations(&prefix)[END as usize] > -20_001.0);
    }

    #[test]
    fn no_frames_spell_nothing() {
        let scorer = CtcPrefixScorer::new(&[], CLASSES, BLANK, END);
        let scores = scorer.continuations(&scorer.start());
        assert_eq!(scores[END as usize], 0.0);
        assert_eq!(scores[1], f64::NEG_INFINITY);
        let next = scorer.extend(&scorer.start(), 1, scores[1]);
        assert_eq!(scorer.continuations(&next)[END as usize], f64::NEG_INFINITY);
    }
}
