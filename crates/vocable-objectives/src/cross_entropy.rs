//! Label-smoothed cross-entropy over token logits, as fairseq defines it.

use burn::tensor::{Bool, Int, Tensor, TensorData, activation};

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
    assert!((0.0..1.0).contains(&smoothing), "cross-entropy: label smoothing {smoothing} is not in [0, 1)");
    let device = logits.device();
    let (ids, padding) = padded(targets, time, classes);
    let rows = batch * time;
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), &device);
    let padding = Tensor::<2, Bool>::from_data(TensorData::new(padding, [rows, 1]), &device);
    let logits = logits.reshape([rows, classes]);
    let hits = logits.clone().detach().argmax(1).equal(ids.clone()).bool_and(padding.clone().bool_not());
    let log_probabilities = activation::log_softmax(logits, 1);
    let nll = log_probabilities.clone().gather(1, ids).neg().mask_fill(padding.clone(), 0.0).sum();
    let sum = if smoothing > 0.0 {
        let share = smoothing / (classes.max(2) - 1) as f64;
        let spread = log_probabilities.sum_dim(1).neg().mask_fill(padding, 0.0).sum();
        nll.clone().mul_scalar(1.0 - smoothing - share) + spread.mul_scalar(share)
    } else {
        nll.clone()
    };
    CrossEntropy {
        sum,
        negative_log_likelihood: nll.detach().into_scalar::<f32>().into(),
        sentences: batch,
        tokens: targets.iter().map(Vec::len).sum(),
        correct: hits.int().sum().into_scalar::<i64>() as usize,
    }
}

/// Targets and padding mask (true = padding) in rows of `time`; class 0 stands where there is no target.
fn padded(targets: &[Vec<u32>], time: usize, classes: usize) -> (Vec<i64>, Vec<bool>) {
    let mut ids = vec![0; targets.len() * time];
    let mut padding = vec![true; targets.len() * time];
    for (item, target) in targets.iter().enumerate() {
        assert!(target.len() <= time, "cross-entropy: item {item} has {} targets, the logits {time}", target.len());
        for (position, &id) in target.iter().enumerate() {
            assert!((id as usize) < classes, "cross-entropy: target {id} is no class of {classes}");
            ids[item * time + position] = i64::from(id);
            padding[item * time + position] = false;
        }
    }
    (ids, padding)
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
