use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// The numbers that the products of linear layers are computed in while training.
///
/// Only the products: weights, their gradients as the optimiser sees them, normalisation, softmax, attention, convolutions and
/// losses stay f32 (Micikevicius et al. 2018, "Mixed precision training"). The gradients of half the width that flow through a
/// product in [`Self::F16`] vanish below 6e-8 and overflow above 65504, so the loss wants scaling there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of mantissa.
    #[default]
    F32,
    /// 8 bits of mantissa, the range of f32.
    Bf16,
    /// 11 bits of mantissa, a narrow range.
    F16,
}

impl Precision {
    /// Whether nothing is rounded.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    /// `x·W` `[.., input] · [input, output]` in this precision, given and returned in f32.
    pub(crate) fn product<const D: usize>(self, x: Tensor<D>, weight: Tensor<2>) -> Tensor<D> {
        let dtype = match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        };
        let [input, output] = weight.dims();
        let mut dims = x.dims();
        let rows = dims[..D - 1].iter().product::<usize>();
        dims[D - 1] = output;
        let product = x.reshape([rows, input]).cast(dtype).matmul(weight.cast(dtype));
        product.cast(FloatDType::F32).reshape(dims)
    }
}
