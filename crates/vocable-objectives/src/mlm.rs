//! Masked prediction of cluster labels, as in HuBERT: at every hidden frame the state must be closest, in angle, to the
//! embedding of the frame's cluster.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use vocable_nn::{Init, Linear};

use crate::cross_entropy;

/// Rows of the label embeddings before the first cluster: the special symbols of a dictionary, never a target.
pub const SPECIAL_ROWS: usize = 4;

/// Divisor of the cosines before the softmax.
const TEMPERATURE: f64 = 0.1;

/// Projection of the states, and one embedding per class.
#[derive(Module, Debug)]
pub struct MlmHead {
    /// Model width → width of the label embeddings (official `hubert_layer.final_proj`).
    pub projection: Linear,
    /// `[classes, label width]` (official `hubert_layer.label_embs_concat`).
    pub label_embeddings: Param<Tensor<2>>,
}

/// The prediction of a batch's masked frames.
#[derive(Clone, Debug)]
pub struct MaskedPrediction {
    /// Mean cross-entropy of the masked frames in nats, shape `[1]`; zero and without gradient when there is none.
    pub loss: Tensor<1>,
    /// Number of masked frames that count.
    pub frames: usize,
    /// Number of these whose class was the closest.
    pub correct: usize,
}

impl MaskedPrediction {
    /// Share of correct frames, 0 to 1; zero when there is none.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.frames.max(1) as f64
    }
}

impl MlmHead {
    /// Head over states of `width` for `clusters` clusters and the special rows before them; projection from N(0, 0.02²),
    /// embeddings from U(0, 1) (specification 4.11).
    pub fn new(width: usize, label_width: usize, clusters: usize, init: &Init) -> Self {
        let shape = [clusters + SPECIAL_ROWS, label_width];
        Self {
            projection: Linear::new(width, label_width, &init.fold("projection")),
            label_embeddings: init
                .fold("label_embeddings")
                .parameter(shape, |init, shape| init.uniform(shape, 0.0, 1.0)),
        }
    }

    /// Class of a cluster: its number after the special rows.
    pub fn class(cluster: u32) -> u32 {
        cluster + SPECIAL_ROWS as u32
    }

    /// Predicts the masked frames of `states` (`[batch, time, width]`).
    ///
    /// `masked` tells for each frame whether it was hidden (true = hidden), `classes` its class (see
    /// [`MlmHead::class`]); `lengths` are the valid frames. A frame counts when it is hidden, valid, and its item has a
    /// class for it. Panics when an item is missing or a class does not exist. Source: specification 4.8.
    pub fn forward(
        &self,
        states: Tensor<3>,
        lengths: &[usize],
        masked: &[Vec<bool>],
        classes: &[Vec<u32>],
    ) -> MaskedPrediction {
        let [batch, time, _] = states.dims();
        assert!(
            lengths.len() == batch && masked.len() == batch && classes.len() == batch,
            "masked prediction: every item of the batch needs a length, a mask and classes"
        );
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        for item in 0..batch {
            let frames = masked[item].iter().zip(&classes[item]).take(lengths[item].min(time)).enumerate();
            for (frame, (_, &class)) in frames.filter(|(_, (masked, _))| **masked) {
                rows.push((item * time + frame) as i64);
                targets.push(class);
            }
        }
        if rows.is_empty() {
            return MaskedPrediction { loss: Tensor::zeros([1], &states.device()), frames: 0, correct: 0 };
        }
        let logits = self.logits(states, rows);
        let prediction = cross_entropy(logits.unsqueeze(), &[targets], 0.0);
        MaskedPrediction { loss: prediction.per_token(), frames: prediction.tokens, correct: prediction.correct }
    }

    /// Cosines over temperature of the given rows of the flattened batch: `[rows, classes]`.
    fn logits(&self, states: Tensor<3>, rows: Vec<i64>) -> Tensor<2> {
        let [batch, time, width] = states.dims();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &states.device());
        let hidden = self.projection.forward(states.reshape([batch * time, width]).select(0, rows));
        unit(hidden).matmul(unit(self.label_embeddings.val()).transpose()).div_scalar(TEMPERATURE)
    }
}

/// Rows of length one; the bound keeps a zero row zero.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).clamp_min(1e-16).sqrt();
    rows / norm
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vocable_random::Key;

    use super::*;

    const WIDTH: usize = 3;

    fn head() -> MlmHead {
        MlmHead::new(WIDTH, 2, 3, &Init::new(Key::new(1), &Device::flex().autodiff()))
    }

    fn states() -> Tensor<3> {
        let values: Vec<f32> = (0..2 * 4 * WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
        Tensor::from_data(TensorData::new(values, [2, 4, WIDTH]), &Device::flex().autodiff()).require_grad()
    }

    #[test]
    fn equals_the_formula_on_masked_valid_frames() {
        let head = head();
        let masked = [vec![true, false, true, true], vec![false, true, false, true]];
        let classes = [vec![4, 5, 6, 4], vec![4, 5, 6, 6]];
        let found = head.forward(states(), &[3, 4], &masked, &classes);
        let hidden = head.projection.forward(states()).try_into_vec_as::<f32>().unwrap();
        let labels = head.label_embeddings.val().try_into_vec_as::<f32>().unwrap();
        let (mut loss, mut correct) = (0.0, 0);
        for (row, class) in [(0, 4), (2, 6), (5, 5), (7, 6)] {
            let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let h = &hidden[row * 2..][..2];
            let logits: Vec<f64> = labels
                .chunks(2)
                .map(|label| {
                    let dot: f64 = h.iter().zip(label).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                    dot / (norm(h) * norm(label)) / 0.1
                })
                .collect();
            loss -= logits[class] - logits.iter().map(|x| x.exp()).sum::<f64>().ln();
            correct += usize::from(logits.iter().all(|&x| x <= logits[class]));
        }
        assert_eq!((found.frames, found.correct), (4, correct));
        // Cosines in f32, multiplied by ten.
        assert!((f64::from(found.loss.into_scalar::<f32>()) - loss / 4.0).abs() < 1e-5);
    }

    #[test]
    fn only_counted_frames_have_a_gradient() {
        let states = states();
        let masked = [vec![false, true, false, true], vec![true; 4]];
        // The second item has labels for its first two frames only.
        let out = head().forward(states.clone(), &[3, 4], &masked, &[vec![4; 4], vec![5; 2]]);
        let gradient = states.grad(&out.loss.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        let touched: Vec<usize> =
            (0..8).filter(|frame| gradient[frame * WIDTH..][..WIDTH].iter().any(|&g| g != 0.0)).collect();
        assert_eq!(touched, [1, 4, 5]);
    }

    #[test]
    fn nothing_masked_is_no_loss() {
        let out = head().forward(states(), &[4, 4], &[vec![false; 4], vec![false; 4]], &[vec![4; 4], vec![4; 4]]);
        assert_eq!((out.frames, out.accuracy()), (0, 0.0));
        assert_eq!(out.loss.into_scalar::<f32>(), 0.0);
    }
}
