//! One row of attention weights at a time.

use crate::fused::level::vectorised;
use crate::fused::math::{exp, map, max_of, sum_of};

vectorised! {
    /// Turns logits into weights; returns the logarithm of the sum of their exponentials. Where all logits are −∞ the
    /// weights are zero and the normaliser is ∞.
    pub(in crate::fused) fn softmax<const FMA>(row: &mut [f32]) -> f32 {
        let max = max_of(row);
        // The maximum ignores NaNs: they must not pass for an unseen row.
        if max == f32::NEG_INFINITY && row.iter().all(|&value| value == max) {
            row.fill(0.0);
            return f32::INFINITY;
        }
        map(row, |value| exp::<FMA>(value - max));
        let sum = sum_of(row, row, |value, _| value);
        let scale = 1.0 / sum;
        for value in row.iter_mut() {
            *value *= scale;
        }
        max + sum.ln()
    }
}

vectorised! {
    /// Turns logits into the weights that [`softmax`] had found.
    pub(super) fn weights<const FMA>(row: &mut [f32], normaliser: f32) {
        map(row, |value| exp::<FMA>(value - normaliser));
    }
}

vectorised! {
    /// Turns the gradients of the dropped-out weights into those of the logits.
    ///
    /// With `weights` p and `dropped` p·m, the gradient is p · (m·g − Σ p·m·g).
    pub(super) fn backward<const FMA>(weights: &[f32], dropped: &[f32], gradients: &mut [f32]) {
        let mean = sum_of(dropped, gradients, |p, g| p * g);
        for ((g, &p), &dropped) in gradients.iter_mut().zip(weights).zip(dropped) {
            *g = dropped * *g - p * mean;
        }
    }
}

vectorised! {
    /// Adds one slice to another.
    pub(in crate::fused) fn add<const FMA>(from: &[f32], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}
