use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use crate::{Init, Precision};

/// `y = x·W + b` over the last dimension.
///
/// The weight is stored `[input, output]`, the transpose of PyTorch's.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[input, output]`.
    pub weight: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// What the product is computed in, unless the weight is stored in fewer bits ([`compressed`](crate::compressed)).
    #[module(skip)]
    pub precision: Precision,
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
        Self { weight: init.parameter([input, output], Init::weights), bias: None, precision: init.precision() }
    }

    /// `[.., input]` → `[.., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        if self.precision.is_f32() || weight.dtype() != DType::F32 {
            return vocable_kernels::linear(x, weight, bias);
        }
        let product = self.precision.product(x, weight);
        match bias {
            Some(bias) => product + bias.unsqueeze(),
            None => product,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use vocable_random::Key;

    use super::*;
    use crate::{Storage, compressed};

    /// Output and gradients of input, weight and bias in a precision.
    fn pass(precision: Precision) -> [TensorData; 4] {
        let device = Device::flex().autodiff();
        let init = Init::new(Key::new(3), &device).with_deviation(0.2).with_precision(precision);
        let layer = Linear::new(24, 5, &init);
        let x = init.fold("x").normal::<3>([2, 3, 24], 1.0).require_grad();
        let y = layer.forward(x.clone());
        // Every output counts otherwise.
        let weights = init.fold("y").normal::<3>([2, 3, 5], 1.0);
        let gradients = (y.clone() * weights).sum().backward();
        let bias = layer.bias.as_ref().unwrap().val();
        [
            y.into_data(),
            x.grad(&gradients).unwrap().into_data(),
            layer.weight.val().grad(&gradients).unwrap().into_data(),
            bias.grad(&gradients).unwrap().into_data(),
        ]
    }

    #[test]
    fn a_stored_weight_is_multiplied_in_f32_whatever_the_precision() {
        let device = Device::flex();
        let x = Init::new(Key::new(4), &device).normal::<3>([2, 3, 24], 1.0);
        for storage in [Storage::Bf16, Storage::Int8] {
            let output = |precision: Precision| {
                let init = Init::new(Key::new(3), &device).with_precision(precision);
                compressed(Linear::new(24, 5, &init), storage).forward(x.clone()).into_data()
            };
            assert_eq!(output(Precision::Bf16), output(Precision::F32));
        }
    }

    #[test]
    fn half_precision_agrees_with_f32_within_its_rounding() {
        let exact = pass(Precision::F32);
        // Both factors and the result are rounded: to 2^-9 of their size, or 2^-12. Of the largest value, three such roundings
        // and the rest of the sum make less than six.
        for (precision, unit) in [(Precision::Bf16, 2_f32.powi(-9)), (Precision::F16, 2_f32.powi(-12))] {
            for (rounded, exact) in pass(precision).iter().zip(&exact) {
                assert_eq!(rounded.dtype(), exact.dtype(), "given and returned in f32");
                let (rounded, exact) = (rounded.as_slice::<f32>().unwrap(), exact.as_slice::<f32>().unwrap());
                let largest = exact.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                let off = rounded.iter().zip(exact).fold(0.0_f32, |off, (a, b)| off.max((a - b).abs()));
                assert!(off < 6.0 * unit * largest, "{precision:?}: {off} of {largest}");
            }
            assert_ne!(pass(precision)[0], exact[0], "{precision:?} rounds");
        }
    }
}
