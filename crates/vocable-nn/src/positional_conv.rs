use burn::module::{Module, Param};
use burn::tensor::Tensor;
use vocable_kernels::Window;

use crate::Init;

/// wav2vec 2.0's convolutional position encoding: a grouped convolution over time with weight norm per tap, then GELU.
///
/// Padding frames are not zeroed before the convolution, as in the official code (spec section 4.1).
#[derive(Module, Debug)]
pub struct PositionalConv {
    /// Direction of the weight (`weight_v`), `[groups, kernel, width / groups, width / groups]`: group, tap, input,
    /// output.
    pub direction: Param<Tensor<4>>,
    /// Length of the weight at each tap (`weight_g`), `[kernel]`.
    pub gain: Param<Tensor<1>>,
    /// `[width]`.
    pub bias: Param<Tensor<1>>,
}

impl PositionalConv {
    /// Direction from N(0, 4 / (kernel · width)), gain its norm, bias zero.
    pub fn new(width: usize, kernel: usize, groups: usize, init: &Init) -> Self {
        assert!(width.is_multiple_of(groups), "the width {width} does not divide into {groups} groups");
        let deviation = (4.0 / (kernel * width) as f64).sqrt();
        let share = width / groups;
        let shape = [groups, kernel, share, share];
        let draw = move |init: &Init| init.normal(shape, deviation);
        Self {
            direction: init.parameter(shape, move |init, _| draw(init)),
            gain: init.parameter([kernel], move |init, _| Self::tap_norms(draw(init))),
            bias: Param::from_tensor(Tensor::zeros([width], init.device())),
        }
    }

    /// `[batch, time, width]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let time = x.dims()[1];
        let direction = self.direction.val();
        let [groups, kernel, input, output] = direction.dims();
        let scale = (self.gain.val() / Self::tap_norms(direction.clone())).reshape([1, kernel, 1, 1]);
        let weight = (direction * scale).reshape([groups, kernel * input, output]);
        let window = Window { padding: kernel / 2, ..Window::new(kernel) };
        let y = vocable_kernels::conv1d_grouped(x, weight, Some(self.bias.val()), window);
        // An even kernel yields one frame too many at the end.
        vocable_kernels::gelu(y.narrow(1, 0, time))
    }

    /// Euclidean norm of each tap over groups, inputs and outputs: `[kernel]`.
    fn tap_norms(direction: Tensor<4>) -> Tensor<1> {
        let kernel = direction.dims()[1];
        direction.square().sum_dims(&[0, 2, 3]).reshape([kernel]).sqrt()
    }
}
