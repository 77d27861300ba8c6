//! Cross-entropy and its gradient in one visit of each row.

use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};
use super::math::{exp, map, max_of, sum_of};
use crate::cross_entropy::smoothed;

/// Sums over rows.
pub(crate) struct Found {
    pub(crate) sum: f64,
    pub(crate) negative_log_likelihood: f64,
    pub(crate) correct: usize,
    /// Of the sum with respect to the logits, where it is wanted.
    pub(crate) gradient: Option<Array>,
}

/// The cross-entropy of `[row, class]`; its contract is that of the function at the crate's root.
pub(crate) fn cross_entropy(
    level: Level,
    logits: &Array,
    targets: &[Option<u32>],
    smoothing: f64,
    with_gradient: bool,
) -> Found {
    let (values, classes) = (logits.values(), logits.width());
    let (share, own) = smoothed(smoothing, classes);
    let weights = Weights { share: share as f32, own: own as f32, all: (own + share * classes as f64) as f32 };
    let parts = Parts::rows(values.len(), classes);
    // The losses of the rows from element `start` on, whose gradients go to `out`.
    let rows = |start: usize, out: &mut [f32]| {
        let mut total = (0.0, 0.0, 0);
        let targets = &targets[start / classes..];
        for ((row, out), target) in
            values[start..].chunks_exact(classes).zip(out.chunks_exact_mut(classes)).zip(targets)
        {
            let Some(target) = *target else { continue };
            let Row { likelihood, spread, correct } = self::row(level, row, target as usize, weights, out);
            // Without a share, an impossible class has none: 0 · ∞ is no number.
            total.0 += own * likelihood + if share > 0.0 { share * spread } else { 0.0 };
            total.1 += likelihood;
            total.2 += usize::from(correct);
        }
        total
    };
    let (gradient, totals) = if with_gradient {
        let (gradient, totals) = parts.build(rows);
        (Some(Array::new(gradient, logits.shape())), totals)
    } else {
        (None, parts.map(|range| rows(range.start, &mut vec![0.0; range.len()])))
    };
    let mut found = Found { sum: 0.0, negative_log_likelihood: 0.0, correct: 0, gradient };
    for (sum, likelihood, correct) in totals {
        found.sum += sum;
        found.negative_log_likelihood += likelihood;
        found.correct += correct;
    }
    found
}

/// What the logarithms of a row's probabilities weigh in its loss.
#[derive(Clone, Copy)]
struct Weights {
    /// Of every class.
    share: f32,
    /// Of the target, beside that.
    own: f32,
    /// Of all together.
    all: f32,
}

struct Row {
    /// −log p of the target.
    likelihood: f64,
    /// The sum of −log p over all classes.
    spread: f64,
    correct: bool,
}

vectorised! {
    /// The loss of a row, and its gradient in `out`.
    fn row<const FMA>(logits: &[f32], target: usize, weights: Weights, out: &mut [f32]) -> Row {
        let max = max_of(logits);
        for (out, &logit) in out.iter_mut().zip(logits) {
            *out = logit - max;
        }
        let below = f64::from(out[target]);
        let total_below = f64::from(sum_of(out, out, |value, _| value));
        map(out, exp::<FMA>);
        let sum = sum_of(out, out, |value, _| value);
        let scale = weights.all / sum;
        for out in out.iter_mut() {
            *out = *out * scale - weights.share;
        }
        out[target] -= weights.own;
        let ln = f64::from(sum).ln();
        Row {
            likelihood: ln - below,
            spread: logits.len() as f64 * ln - total_below,
            correct: logits[target] == max && !logits[..target].contains(&max),
        }
    }
}
