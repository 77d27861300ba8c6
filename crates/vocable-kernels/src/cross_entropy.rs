//! Cross-entropy of rows of logits, with fairseq's label smoothing.

use burn::tensor::Tensor;

use crate::fused::{self, Level};
use crate::{composed, known_gradient};

/// What [`cross_entropy`] finds, as sums over the rows that have a target.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// The (smoothed) losses in nats, `[1]`, differentiable with respect to the logits.
    pub sum: Tensor<1>,
    /// The unsmoothed negative log-likelihoods in nats.
    pub negative_log_likelihood: f64,
    /// Rows whose target has the largest logit; the first of equal ones counts.
    pub correct: usize,
}

/// Cross-entropy of `logits` (`[row, class]`) against a target for each row; rows without one count for nothing.
///
/// With smoothing ε > 0 and ε_i = ε / (classes − 1), a row's loss is `(1 − ε − ε_i)·nll + ε_i·Σ_c −log p(c)`, as in fairseq's
/// `label_smoothed_cross_entropy`. Reads two sums from the device.
///
/// # Panics
/// If there is not one target a row, a target is no class, or ε is not in `[0, 1)`.
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<u32>], smoothing: f64) -> CrossEntropy {
    let [rows, classes] = logits.dims();
    assert_eq!(targets.len(), rows, "cross-entropy: {} targets for {rows} rows", targets.len());
    assert!((0.0..1.0).contains(&smoothing), "cross-entropy: label smoothing {smoothing} is not in [0, 1)");
    for &target in targets.iter().flatten() {
        assert!((target as usize) < classes, "cross-entropy: target {target} is no class of {classes}");
    }
    let Ok([array]) = fused::arrays([logits.clone().detach().inner().into_dispatch()]) else {
        return composed::cross_entropy(logits, targets, smoothing);
    };
    let found = fused::cross_entropy(Level::detect(), &array, targets, smoothing, logits.is_tracked());
    CrossEntropy {
        sum: match found.gradient {
            Some(gradient) => known_gradient(logits, found.sum, gradient.into_tensor()),
            None => Tensor::from_floats([found.sum as f32], &logits.device()),
        },
        negative_log_likelihood: found.negative_log_likelihood,
        correct: found.correct,
    }
}

/// ε_i: the weight of every class, and the target's own weight beside it.
pub(crate) fn smoothed(smoothing: f64, classes: usize) -> (f64, f64) {
    let share = smoothing / (classes.max(2) - 1) as f64;
    (share, if smoothing > 0.0 { 1.0 - smoothing - share } else { 1.0 })
}
