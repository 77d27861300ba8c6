//! Speaker identification: one class per utterance.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{CrossEntropy, cross_entropy};

/// Cross-entropy of class `logits` (`[batch, classes]`, of the pooled decoder state) against one speaker per utterance.
///
/// An utterance is a sentence of one token, so [`CrossEntropy::per_sentence`] is the mean loss and
/// [`CrossEntropy::accuracy`] the share of utterances whose speaker has the largest logit. Source: specification 6.6.
pub fn speaker_loss(logits: Tensor<2>, speakers: &[u32]) -> CrossEntropy {
    let targets: Vec<Vec<u32>> = speakers.iter().map(|&speaker| vec![speaker]).collect();
    cross_entropy(logits.unsqueeze_dim(1), &targets, 0.0)
}

/// By how much, in training, the true speaker must beat the others (table D39: `am_softmax`, `aam_softmax`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Margin {
    /// A cosine that is smaller by the margin (AM-softmax, Wang et al. 2018).
    AmSoftmax {
        /// Taken off the true speaker's cosine.
        margin: f64,
        /// Logits per cosine.
        scale: f64,
    },
    /// An angle that is larger by the margin (AAM-softmax, Deng et al. 2019).
    AamSoftmax {
        /// Added to the true speaker's angle, in radians, from 0 to π.
        margin: f64,
        /// Logits per cosine.
        scale: f64,
    },
}

impl Margin {
    /// AM-softmax with what the official code's documentation calls usual: 0.2 and 30. Its options leave both off (0 and 1).
    pub fn usual() -> Self {
        Self::AmSoftmax { margin: 0.2, scale: 30.0 }
    }

    /// What no margin can be, if anything.
    ///
    /// # Errors
    /// The field and what is expected.
    pub fn check(self) -> Result<(), String> {
        let (Self::AmSoftmax { margin, scale } | Self::AamSoftmax { margin, scale }) = self;
        if !(0.0..=std::f64::consts::PI).contains(&margin) {
            return Err(format!("margin is {margin}, where 0 to π is expected"));
        }
        match scale.is_finite() && scale > 0.0 {
            true => Ok(()),
            false => Err(format!("scale is {scale}, where a positive number is expected")),
        }
    }

    /// Logits `[batch, classes]` of cosines `[batch, classes]`; in training, `speakers` are the true ones.
    ///
    /// # Panics
    /// If there are not as many speakers as rows, or one of them is no class.
    pub fn logits(self, cosines: Tensor<2>, speakers: Option<&[u32]>) -> Tensor<2> {
        let (Self::AmSoftmax { scale, .. } | Self::AamSoftmax { scale, .. }) = self;
        let Some(speakers) = speakers else { return cosines.mul_scalar(scale) };
        let [batch, classes] = cosines.dims();
        assert_eq!(speakers.len(), batch, "{} speakers for a batch of {batch}", speakers.len());
        assert!(speakers.iter().all(|&speaker| (speaker as usize) < classes), "{speakers:?} in {classes} classes");
        let mut chosen = vec![0.0_f32; batch * classes];
        speakers.iter().enumerate().for_each(|(row, &speaker)| chosen[row * classes + speaker as usize] = 1.0);
        let chosen = Tensor::from_data(TensorData::new(chosen, [batch, classes]), &cosines.device());
        let with_margin = match self {
            Self::AmSoftmax { margin, .. } => cosines - chosen.mul_scalar(margin),
            Self::AamSoftmax { margin, .. } => {
                let (sine, cosine) = margin.sin_cos();
                let sines = cosines.clone().square().neg().add_scalar(1.0).clamp_min(LEAST).sqrt();
                let turned = cosines.clone().mul_scalar(cosine) - sines.mul_scalar(sine);
                // Beyond a half turn the cosine would rise again; a straight line goes on falling.
                let beyond = cosines.clone().lower_equal_scalar(-cosine);
                let turned = turned.mask_where(beyond, cosines.clone().sub_scalar(margin * sine));
                cosines.clone() + chosen * (turned - cosines)
            }
        };
        with_margin.mul_scalar(scale)
    }
}

/// Keeps the root of 1 − cos² differentiable at a cosine of ±1.
const LEAST: f64 = 1e-10;

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

    /// The logits of a row of angles by the definitions.
    fn defined(margin: Margin, angles: &[f64], speaker: Option<usize>) -> Vec<f64> {
        let logit = |(n, &angle): (usize, &f64)| match (margin, speaker == Some(n)) {
            (Margin::AmSoftmax { scale, .. } | Margin::AamSoftmax { scale, .. }, false) => scale * angle.cos(),
            (Margin::AmSoftmax { margin, scale }, true) => scale * (angle.cos() - margin),
            (Margin::AamSoftmax { margin, scale }, true) if angle + margin < std::f64::consts::PI => {
                scale * (angle + margin).cos()
            }
            (Margin::AamSoftmax { margin, scale }, true) => scale * (angle.cos() - margin * margin.sin()),
        };
        angles.iter().enumerate().map(logit).collect()
    }

    #[test]
    fn margins_are_as_they_are_defined() {
        let angles: Vec<f64> = (0..48).map(|n| 0.05 + f64::from(n) * 0.063).collect();
        let cosines: Vec<f32> = angles.iter().map(|angle| angle.cos() as f32).collect();
        let cosines = Tensor::<2>::from_data(TensorData::new(cosines, [8, 6]), &Device::flex());
        for margin in [
            Margin::usual(),
            Margin::AamSoftmax { margin: 0.2, scale: 30.0 },
            Margin::AamSoftmax { margin: 0.5, scale: 2.0 },
        ] {
            let speakers = [0, 5, 2, 3, 4, 1, 2, 5];
            for training in [true, false] {
                let found = margin.logits(cosines.clone(), training.then_some(speakers.as_slice()));
                let found = found.try_into_vec_as::<f32>().unwrap();
                for (row, (found, angles)) in found.chunks(6).zip(angles.chunks(6)).enumerate() {
                    let expected = defined(margin, angles, training.then_some(speakers[row] as usize));
                    for (found, expected) in found.iter().zip(expected) {
                        // Sines of small angles lose half of single precision's digits, thirtyfold.
                        assert!((f64::from(*found) - expected).abs() < 2e-4, "{margin:?}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_are_finite_where_a_cosine_is_one() {
        let device = Device::flex().autodiff();
        for margin in [Margin::usual(), Margin::AamSoftmax { margin: 0.2, scale: 30.0 }] {
            let cosines = Tensor::<2>::from_floats([[1.0, -1.0, 0.0], [0.5, 1.0, -1.0]], &device).require_grad();
            let loss = speaker_loss(margin.logits(cosines.clone(), Some(&[0, 2])), &[0, 2]).per_sentence();
            let gradient = cosines.grad(&loss.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
            assert!(gradient.iter().all(|value| value.is_finite()), "{margin:?}: {gradient:?}");
        }
    }
}
