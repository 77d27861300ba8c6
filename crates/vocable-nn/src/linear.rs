use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use vocable_random::Key;

use crate::init;

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
    /// Weight from N(0, 0.02²), bias zero (spec section 4.11, `--bert-init`).
    pub fn new(input: usize, output: usize, key: Key, device: &Device) -> Self {
        Self {
            bias: Some(Param::from_tensor(Tensor::zeros([output], device))),
            ..Self::without_bias(input, output, key, device)
        }
    }

    /// The same without a bias.
    pub fn without_bias(input: usize, output: usize, key: Key, device: &Device) -> Self {
        Self { weight: Param::from_tensor(init::normal([input, output], init::BERT_STD, key, device)), bias: None }
    }

    /// `[.., input]` → `[.., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        vocable_kernels::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
