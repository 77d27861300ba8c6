//! What a quantizer is made of and how it is used.

use serde::{Deserialize, Serialize};

/// How a state chooses its code (specification D18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The nearest code in Euclidean distance, straight through to the state (the paper).
    Nearest,
    /// Gumbel-softmax over linear logits, hard and straight through to the logits (fairseq `GumbelVectorQuantizer`).
    Gumbel,
}

/// How far the use of the codes is from uniform, as a loss (specification D19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diversity {
    /// `Σ_g (1/K) Σ_k p_k ln p_k`; its minimum is −(ln K)/K per group.
    NegEntropy,
    /// `(G·K − Σ_g exp H(p_g)) / (G·K)`; its minimum is 0.
    Perplexity,
}

/// Which states are replaced by their codes (specification D20).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixing {
    /// Share of the time indices, padding included; their number is rounded down.
    pub share: f64,
    /// Every item draws its own indices instead of one set for the whole batch.
    pub per_item: bool,
    /// Also mixes in evaluation, with the same indices in every pass over batches of the same shape.
    pub in_evaluation: bool,
}

/// Temperature of the Gumbel-softmax: `max(start · decayⁿ, floor)` at update n.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// At the first update.
    pub start: f64,
    /// Never below.
    pub floor: f64,
    /// Factor per update.
    pub decay: f64,
}

impl Temperature {
    /// The temperature at the update of index `update` (from 0).
    pub fn at(&self, update: usize) -> f64 {
        (self.start * self.decay.powf(update as f64)).max(self.floor)
    }
}

impl Default for Temperature {
    fn default() -> Self {
        Self { start: 2.0, floor: 0.5, decay: 0.999_995 }
    }
}

/// Everything about a [`Quantizer`](super::Quantizer) but the width of the states.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizerConfig {
    /// How a state chooses its code.
    pub kind: Selection,
    /// The form of the diversity loss.
    pub diversity: Diversity,
    /// Codebooks G; each quantizes its share of the channels.
    pub groups: usize,
    /// Codes K of each codebook.
    pub codes: usize,
    /// Which states are replaced.
    pub mixing: Mixing,
    /// Temperature of the Gumbel-softmax; without effect on the nearest code.
    pub temperature: Temperature,
    /// Computes the loss that pulls codes and states together.
    pub codebook_loss: bool,
}

impl QuantizerConfig {
    /// The paper's: nearest code, negative entropy, two codebooks of 100, a tenth mixed in training.
    pub fn paper() -> Self {
        Self {
            kind: Selection::Nearest,
            diversity: Diversity::NegEntropy,
            groups: 2,
            codes: 100,
            mixing: Mixing { share: 0.1, per_item: false, in_evaluation: false },
            temperature: Temperature::default(),
            codebook_loss: false,
        }
    }

    /// The official code's: Gumbel-softmax, perplexity, mixing in evaluation too.
    pub fn official() -> Self {
        Self {
            kind: Selection::Gumbel,
            diversity: Diversity::Perplexity,
            mixing: Mixing { in_evaluation: true, ..Self::paper().mixing },
            ..Self::paper()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_has_the_reference_values() {
        let temperature = Temperature::default();
        // The reference values have four decimals.
        for (update, expected) in [(0, 2.0), (100_000, 1.2131), (200_000, 0.7358)] {
            assert!((temperature.at(update) - expected).abs() < 5e-5, "{update}: {}", temperature.at(update));
        }
        assert!(temperature.at(277_258) > 0.5);
        assert_eq!(temperature.at(277_259), 0.5);
    }
}
