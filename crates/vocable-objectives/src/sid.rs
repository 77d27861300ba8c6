//! Speaker identification: one class per utterance.

use burn::tensor::Tensor;

use crate::{CrossEntropy, cross_entropy};

/// Cross-entropy of class `logits` (`[batch, classes]`, of the pooled decoder state) against one speaker per utterance.
///
/// An utterance is a sentence of one token, so [`CrossEntropy::per_sentence`] is the mean loss and
/// [`CrossEntropy::accuracy`] the share of utterances whose speaker has the largest logit. Source: specification 6.6.
pub fn speaker_loss(logits: Tensor<2>, speakers: &[u32]) -> CrossEntropy {
    let targets: Vec<Vec<u32>> = speakers.iter().map(|&speaker| vec![speaker]).collect();
    cross_entropy(logits.unsqueeze_dim(1), &targets, 0.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn equals_the_mean_negative_log_probability() {
        let logits = Tensor::<2>::from_floats([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &Device::flex());
        let loss = speaker_loss(logits, &[2, 1]);
        let expected = (3.0_f64.ln() + ((2.0 + 1.0_f64.exp()).ln() - 1.0)) / 2.0;
        // Two f32 log-softmax values.
        assert!((f64::from(loss.per_sentence().into_scalar::<f32>()) - expected).abs() < 1e-6);
        assert_eq!(loss.correct, 1);
    }
}
