//! Label-smoothed cross-entropy over token logits, as fairseq defines it.

use burn::tensor::Tensor;

/// The cross-entropy of a batch, as sums over its target tokens.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// Sum of the (smoothed) losses in nats, shape `[1]`.
    pub sum: Tensor<1>,
    /// Sum of the unsmoothed negative log-likelihoods in nats.
    pub negative_log_likelihood: f64,
    /// Number of target sequences.
    pub sentences: usize,
    /// Number of target tokens.
    pub tokens: usize,
    /// Number of target tokens whose logit is the largest of its row.
    pub correct: usize,
}

impl CrossEntropy {
    /// Mean loss of a token, shape `[1]`; zero when there is no token.
    pub fn per_token(&self) -> Tensor<1> {
        self.sum.clone().div_scalar(self.tokens.max(1) as f64)
    }

    /// Sum of the losses divided by the number of sentences, shape `[1]` (`sentence_avg`).
    pub fn per_sentence(&self) -> Tensor<1> {
        self.sum.clone().div_scalar(self.sentences.max(1) as f64)
    }

    /// Share of correct tokens, 0 to 1; zero when there is no token.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.tokens.max(1) as f64
    }
}

/// Cross-entropy of `logits` (`[batch, time, classes]`) against one target sequence per item; positions after the end of
/// a sequence are padding and count for nothing.
///
/// With smoothing ε > 0 and ε_i = ε/(classes − 1), a target's loss is `(1 − ε − ε_i)·nll + ε_i·Σ_c −log p(c)`.
/// Reads two sums from the device. Panics when a target is longer than the logits or no class, or ε is not in `[0, 1)`.
/// Source: fairseq `criterions/label_smoothed_cross_entropy.py`; specification 6.1.
pub fn cross_entropy(logits: Tensor<3>, targets: &[Vec<u32>], smoothing: f64) -> CrossEntropy {
    let [batch, time, classes] = logits.dims();
    assert_eq!(targets.len(), batch, "cross-entropy: {} targets for a batch of {batch}", targets.len());
    let found =
        vocable_kernels::cross_entropy(logits.reshape([batch * time, classes]), &padded(targets, time), smoothing);
    CrossEntropy {
        sum: found.sum,
        negative_log_likelihood: found.negative_log_likelihood,
        sentences: batch,
        tokens: targets.iter().map(Vec::len).sum(),
        correct: found.correct,
    }
}

/// The target of each of `time` positions of every item; none behind an item's last.
fn padded(targets: &[Vec<u32>], time: usize) -> Vec<Option<u32>> {
    let mut rows = vec![None; targets.len() * time];
    for (item, target) in targets.iter().enumerate() {
        assert!(target.len() <= time, "cross-entropy: item {item} has {} targets, the logits {time}", target.len());
        for (row, &id) in rows[item * time..].iter_mut().zip(target) {
            *row = Some(id);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const LOGITS: [[[f32; 3]; 2]; 2] = [[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[0.3, 0.2, 0.1], [2.0, 2.0, -1.0]]];

    fn logits() -> Tensor<3> {
        Tensor::from_floats(LOGITS, &Device::flex().autodiff()).require_grad()
    }

    fn log_probability(row: [f32; 3], class: usize) -> f64 {
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        f64::from(row[class]) - sum.ln()
    }

    #[test]
    fn smoothed_loss_equals_the_formula() {
        for smoothing in [0.0, 0.1] {
            let found = cross_entropy(logits(), &[vec![1, 2], vec![2]], smoothing);
            let share = smoothing / 2.0;
            let (mut expected, mut nll) = (0.0, 0.0);
            for (row, class) in [(LOGITS[0][0], 1), (LOGITS[0][1], 2), (LOGITS[1][0], 2)] {
                let spread: f64 = (0..3).map(|c| -log_probability(row, c)).sum();
                nll -= log_probability(row, class);
                expected += -(1.0 - smoothing - share) * log_probability(row, class) + share * spread;
            }
            // f32 sums of a dozen terms of order one.
            assert!((f64::from(found.sum.clone().into_scalar::<f32>()) - expected).abs() < 1e-5);
            assert!((found.negative_log_likelihood - nll).abs() < 1e-5);
            assert_eq!((found.tokens, found.correct, found.sentences), (3, 2, 2));
            assert!((found.accuracy() - 2.0 / 3.0).abs() < 1e-12);
            assert!((f64::from(found.per_token().into_scalar::<f32>()) - expected / 3.0).abs() < 1e-5);
            assert!((f64::from(found.per_sentence().into_scalar::<f32>()) - expected / 2.0).abs() < 1e-5);
        }
    }

    #[test]
    fn padding_has_no_gradient_and_no_tokens_no_loss() {
        let logits = logits();
        let found = cross_entropy(logits.clone(), &[vec![1], vec![]], 0.2);
        let gradient = logits.grad(&found.sum.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        assert!(gradient[..3].iter().all(|&g| g != 0.0));
        assert!(gradient[3..].iter().all(|&g| g == 0.0));
        let empty = cross_entropy(logits, &[vec![], vec![]], 0.0);
        assert_eq!((empty.tokens, empty.accuracy()), (0, 0.0));
        assert_eq!(empty.per_token().into_scalar::<f32>(), 0.0);
    }

    #[test]
    #[should_panic(expected = "target 3 is no class of 3")]
    fn a_target_beyond_the_classes_is_a_bug() {
        let _ = cross_entropy(logits(), &[vec![3], vec![]], 0.0);
    }
}
