//! Weights stored in fewer bits than they are multiplied in.

use burn::backend::flex::{FlexQTensor, FlexTensor};
use burn::tensor::quantization::{QuantMode, QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{DType, Tensor, bf16};
use serde::{Deserialize, Serialize};

use crate::composed;
use crate::fused::few_rows::{Element, FEW, Weight};
use crate::fused::{self, Array, Level};

/// How weights are stored, for inference: [`linear`](crate::linear) sums in the type of its input all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// `bf16`: 8 significant bits.
    Bf16,
    /// `int8`, symmetric about zero: of each output, 8 to 255 inputs share an `f32` scale. Where no such number divides
    /// the inputs, a weight stays as it is: it would grow by its scales, and its products would slow down.
    Int8,
}

/// Rows up to which a weight is read as it is stored. With more, a product is bound by its arithmetic.
const ROWS: usize = 4 * FEW;

impl Storage {
    /// A weight `[input, output]` stored so. [`composed::widened`] tells what is left of it.
    ///
    /// # Panics
    /// If the weight is no matrix.
    pub fn store<const D: usize>(self, weight: Tensor<D>) -> Tensor<D> {
        assert_eq!(D, 2, "only matrices are stored in fewer bits");
        match self {
            Self::Bf16 => weight.cast(DType::BF16),
            Self::Int8 => {
                let Some(block) = block(weight.dims()[0]) else { return weight };
                let scheme = QuantScheme::default()
                    .with_mode(QuantMode::Symmetric)
                    .with_value(QuantValue::Q8S)
                    .with_store(QuantStore::Native)
                    .per_block([block, 1], ScaleDtype::F32);
                weight.quantize_dynamic(&scheme)
            }
        }
    }
}

/// How many inputs share a scale: as many as Burn can count, in whole bands of the kernel where they divide so. None where
/// they are too few to gain anything.
fn block(inputs: usize) -> Option<u8> {
    let divides = |rows: &u8| inputs.is_multiple_of(usize::from(*rows));
    (8..=u8::MAX).step_by(8).rfind(divides).or_else(|| (8..=u8::MAX).rfind(divides))
}

/// See [`crate::linear`], where the weight is not of the type of x.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let Some(kept) = Kept::of(&weight).filter(|_| x.dtype() == DType::F32) else {
        let weight = composed::widened(weight, x.dtype());
        return crate::linear(x, weight, bias);
    };
    match kept.product(Level::detect(), &x, bias.as_ref()) {
        Some(y) => y,
        None => crate::linear(x, kept.widened(), bias),
    }
}

/// A stored weight in memory that kernels can read.
#[derive(Debug)]
pub(crate) enum Kept {
    Bf16(FlexTensor),
    Int8(FlexQTensor),
}

impl Kept {
    /// None where the weight is elsewhere or stored otherwise.
    pub(crate) fn of(weight: &Tensor<2>) -> Option<Self> {
        let weight = weight.clone().into_dispatch();
        match fused::plain(&weight, &[DType::BF16]) {
            Some(kept) => Some(Self::Bf16(kept.to_contiguous())),
            None => fused::columns_of_bytes(&weight).map(Self::Int8),
        }
    }

    /// `x · weight + bias` read as it is stored, for up to [`ROWS`] rows of x outside of any graph.
    pub(crate) fn product<const D: usize>(
        &self,
        level: Level,
        x: &Tensor<D>,
        bias: Option<&Tensor<1>>,
    ) -> Option<Tensor<D>> {
        let mut shape = x.dims();
        if shape[..D - 1].iter().product::<usize>() > ROWS {
            return None;
        }
        let x = fused::plain(&x.clone().into_dispatch(), &[DType::F32]).map(Array::from_flex)?;
        let bias = match bias {
            Some(bias) => Some(fused::plain(&bias.clone().into_dispatch(), &[DType::F32]).map(Array::from_flex)?),
            None => None,
        };
        let bias = bias.as_ref().map(Array::values);
        let y = match self {
            Self::Bf16(kept) => product(level, x.values(), Self::halves(kept), bias)?,
            Self::Int8(kept) => product(level, x.values(), Self::bytes(kept), bias)?,
        };
        let [_, width] = self.dims();
        shape[D - 1] = width;
        Some(Array::new(y, &shape).into_tensor())
    }

    /// The weight in `f32`.
    pub(crate) fn widened(&self) -> Tensor<2> {
        let values = match self {
            Self::Bf16(kept) => Self::halves(kept).widened(),
            Self::Int8(kept) => Self::bytes(kept).widened(),
        };
        Array::new(values, &self.dims()).into_tensor()
    }

    fn dims(&self) -> [usize; 2] {
        let layout = match self {
            Self::Bf16(kept) => kept.layout(),
            Self::Int8(kept) => kept.tensor().layout(),
        };
        [layout.shape()[0], layout.shape()[1]]
    }

    fn halves(kept: &FlexTensor) -> Weight<'_, bf16> {
        Weight::new(kept.as_slice().expect("it was made contiguous"), kept.layout().shape()[1])
    }

    fn bytes(kept: &FlexQTensor) -> Weight<'_, i8> {
        let values = kept.tensor().as_slice().expect("quantised matrices are contiguous");
        Weight::scaled(values, kept.tensor().layout().shape()[1], kept.scales())
    }
}

/// None where the kernel cannot work with the weight's sizes.
fn product<E: Element>(level: Level, x: &[f32], weight: Weight<E>, bias: Option<&[f32]>) -> Option<Vec<f32>> {
    let few = FEW * weight.depth();
    let product = |x| weight.product(level, x, bias);
    weight.fits().then(|| x.chunks(few).map(product).collect::<Vec<_>>().concat())
}
