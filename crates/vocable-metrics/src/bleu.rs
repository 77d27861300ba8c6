//! BLEU (Papineni et al. 2002) of a corpus, as sacrebleu (Post 2018) computes it.

use std::collections::HashMap;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// Longest n-grams that are compared.
const ORDER: usize = 4;

/// BLEU of hypotheses with one reference each, 0 to 100; `None` where there is no text. See [`BleuCounts::score`].
///
/// Panics where the numbers of texts differ.
pub fn bleu(references: &[impl AsRef<str>], hypotheses: &[impl AsRef<str>]) -> Option<f64> {
    assert_eq!(references.len(), hypotheses.len(), "references and hypotheses differ in number");
    let pairs = references.iter().zip(hypotheses);
    let counts: BleuCounts = pairs.map(|(reference, said)| BleuCounts::of(reference.as_ref(), said.as_ref())).sum();
    counts.score()
}

/// What BLEU counts of a text; a corpus has the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BleuCounts {
    /// n-grams of the hypothesis that the reference has too, by order.
    hits: [usize; ORDER],
    /// n-grams of the hypothesis, by order.
    totals: [usize; ORDER],
    /// Tokens of the reference.
    wanted: usize,
    /// Tokens of the hypothesis.
    found: usize,
    texts: usize,
}

impl BleuCounts {
    /// How the score is computed, in sacrebleu's words.
    pub const SIGNATURE: &str = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

    /// Of one hypothesis and its reference, cut into tokens as mteval's version 13a does.
    pub fn of(reference: &str, hypothesis: &str) -> Self {
        let [reference, hypothesis] = [tokens(reference), tokens(hypothesis)];
        let mut all = Self { wanted: reference.len(), found: hypothesis.len(), texts: 1, ..Self::default() };
        for order in 1..=ORDER {
            let (truth, said) = (counts(&reference, order), counts(&hypothesis, order));
            all.totals[order - 1] = said.values().sum();
            all.hits[order - 1] = said.iter().map(|(gram, count)| *truth.get(gram).unwrap_or(&0).min(count)).sum();
        }
        all
    }

    /// The geometric mean of the precisions of 1- to 4-grams, times the penalty for being shorter than the references, 0 to
    /// 100; `None` where there is no text.
    ///
    /// Case counts, and orders without any hit are smoothed exponentially: see [`SIGNATURE`](Self::SIGNATURE).
    pub fn score(&self) -> Option<f64> {
        let Self { hits, totals, wanted, found, texts } = *self;
        if texts == 0 {
            return None;
        }
        if hits == [0; ORDER] || totals.contains(&0) {
            return Some(0.0);
        }
        let mut smoothing = 1.0;
        let mut logarithms = 0.0;
        for (&hits, &total) in hits.iter().zip(&totals) {
            let hits = if hits == 0 {
                smoothing *= 2.0;
                1.0 / smoothing
            } else {
                hits as f64
            };
            logarithms += (hits / total as f64).ln();
        }
        let penalty = (1.0 - wanted as f64 / found as f64).min(0.0);
        Some(100.0 * (penalty + logarithms / ORDER as f64).exp())
    }
}

impl Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |a, b| Self {
            hits: std::array::from_fn(|order| a.hits[order] + b.hits[order]),
            totals: std::array::from_fn(|order| a.totals[order] + b.totals[order]),
            wanted: a.wanted + b.wanted,
            found: a.found + b.found,
            texts: a.texts + b.texts,
        })
    }
}

fn counts(tokens: &[String], order: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    tokens.windows(order).for_each(|gram| *counts.entry(gram).or_default() += 1);
    counts
}

/// Tokens of mteval-v13a: punctuation stands by itself, but for apostrophes, hyphens after letters, and periods and commas
/// inside numbers.
fn tokens(text: &str) -> Vec<String> {
    let mut text = text.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, character);
    }
    let alone = |c: char| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    let mut spaced = String::from(" ");
    for c in text.chars() {
        if alone(c) { spaced.extend([' ', c, ' ']) } else { spaced.push(c) }
    }
    spaced.push(' ');
    let point = |c: char| matches!(c, '.' | ',');
    let digit = |c: char| c.is_ascii_digit();
    let spaced = part(&spaced, |a, b| (!digit(a) && point(b)).then(|| format!("{a} {b} ")));
    let spaced = part(&spaced, |a, b| (point(a) && !digit(b)).then(|| format!(" {a} {b}")));
    let spaced = part(&spaced, |a, b| (digit(a) && b == '-').then(|| format!("{a} {b} ")));
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// Replaces pairs of neighbours from the left; a character belongs to one pair at most.
fn part(text: &str, replacement: impl Fn(char, char) -> Option<String>) -> String {
    let mut parted = String::with_capacity(2 * text.len());
    let mut rest = text.chars().peekable();
    while let Some(a) = rest.next() {
        match rest.peek().and_then(|&b| replacement(a, b)) {
            Some(pair) => {
                parted += &pair;
                rest.next();
            }
            None => parted.push(a),
        }
    }
    parted
}
