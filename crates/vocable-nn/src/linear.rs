use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::Init;

/// `y = x·W + b` over the last dimension.
///
/// The weight is stored `[input, output]`, the transpose of PyTorch's.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[input, output]`.
    pub weight: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Bias zero.
    pub fn new(input: usize, output: usize, init: &Init) -> Self {
        Self {
            bias: Some(Param::from_tensor(Tensor::zeros([output], init.device()))),
            ..Self::without_bias(input, output, init)
        }
    }

    /// The same without a bias.
    pub fn without_bias(input: usize, output: usize, init: &Init) -> Self {
        Self { weight: init.parameter([input, output], Init::weights), bias: None }
    }

    /// `[.., input]` → `[.., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        vocable_kernels::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
