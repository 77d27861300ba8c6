use burn::module::Module;
use burn::tensor::Tensor;
use vocable_nn::{Init, Linear};

/// Lengths that vectors are divided by are at least this.
const LEAST_LENGTH: f64 = 1e-12;

/// Classifies a sequence by its mean state: a linear layer without bias (`speaker_decoder_postnet`, spec section 4.10).
#[derive(Module, Debug)]
pub struct ClassPostnet {
    /// `output_projection`, `[width, classes]`.
    pub projection: Linear,
}

impl ClassPostnet {
    /// A head for `classes` classes.
    pub fn new(width: usize, classes: usize, init: &Init) -> Self {
        Self { projection: Linear::without_bias(width, classes, init) }
    }

    /// States `[batch, time, width]` → logits `[batch, classes]`.
    pub fn forward(&self, states: Tensor<3>) -> Tensor<2> {
        self.projection.forward(states.mean_dim(1).squeeze_dim(1))
    }

    /// States `[batch, time, width]` → cosines between their mean and the weights of each class, `[batch, classes]`.
    pub fn cosines(&self, states: Tensor<3>) -> Tensor<2> {
        let mean: Tensor<2> = states.mean_dim(1).squeeze_dim(1);
        vocable_kernels::linear(unit(mean, 1), unit(self.projection.weight.val(), 0), None)
    }

    /// The same head with weights of length 1 for every class: its logits are in the order of its cosines.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        self.projection.weight = self.projection.weight.map(|weight| {
            let tracked = weight.is_require_grad();
            unit(weight.detach(), 0).detach().set_require_grad(tracked)
        });
        self
    }
}

/// Vectors along a dimension, with length 1. The square is clamped, since the root of 0 has no gradient.
fn unit(x: Tensor<2>, dim: usize) -> Tensor<2> {
    let length = x.clone().square().sum_dim(dim).clamp_min(LEAST_LENGTH * LEAST_LENGTH).sqrt();
    x / length
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vocable_random::Key;

    use super::*;

    #[test]
    fn cosines_are_those_of_the_mean_state_and_logits_of_unit_weights_keep_their_order() {
        let device = Device::flex();
        let head = ClassPostnet::new(4, 5, &Init::new(Key::new(1), &device).with_deviation(1.0));
        let init = Init::new(Key::new(2), &device);
        let states: Tensor<3> = init.normal([3, 2, 4], 1.0);
        let values = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>().unwrap();
        let cosines = values(head.cosines(states.clone()));
        let (weight, all) = (values(head.projection.weight.val()), states.clone().try_into_vec_as::<f32>().unwrap());
        for (row, found) in cosines.chunks(5).enumerate() {
            let mean: Vec<f32> = (0..4).map(|n| (all[row * 8 + n] + all[row * 8 + 4 + n]) / 2.0).collect();
            for (class, found) in found.iter().enumerate() {
                let column: Vec<f32> = (0..4).map(|n| weight[n * 5 + class]).collect();
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let expected = dot(&mean, &column) / (dot(&mean, &mean) * dot(&column, &column)).sqrt();
                // Four products in single precision.
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
        let unit = head.normalised();
        let lengths = unit.projection.weight.val().square().sum_dim(0).try_into_vec_as::<f32>().unwrap();
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-6));
        let order = |row: &[f32]| {
            let mut classes: Vec<usize> = (0..5).collect();
            classes.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
            classes
        };
        for (logits, cosines) in values(unit.forward(states)).chunks(5).zip(cosines.chunks(5)) {
            assert_eq!(order(logits), order(cosines));
        }
    }
}
