//! One update of AdamW, and the norm that clips its gradients.

use burn::tensor::Tensor;

use crate::composed;
use crate::fused::{self, Array, Level};

/// One update of AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019).
///
/// With the gradient g after scaling, m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g²; the parameter shrinks by
/// `weight_decay · learning_rate` and moves by `learning_rate` times m̂ / (√v̂ + ε), where m̂ and v̂ are m and v
/// corrected for their start at zero.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Decay β₁ of the first moment.
    pub beta1: f64,
    /// Decay β₂ of the second moment.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// A parameter shrinks by `weight_decay · learning_rate`.
    pub weight_decay: f64,
    /// Step size.
    pub learning_rate: f64,
    /// Factor on the gradient: clipping, the mean over micro-batches.
    pub gradient_scale: f64,
    /// Updates of this parameter, this one included; the correction depends on it.
    pub time: usize,
}

impl AdamW {
    /// The parameter and its two moments after the update; all tensors have the same shape and are outside of any
    /// graph. They are updated in their own memory where nobody else holds it.
    pub fn update<const D: usize>(
        &self,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        [first, second]: [Tensor<D>; 2],
    ) -> (Tensor<D>, [Tensor<D>; 2]) {
        let shape = parameter.dims();
        assert!(
            [&gradient, &first, &second].iter().all(|tensor| tensor.dims() == shape),
            "AdamW: the gradient or the moments are not of the parameter's shape {shape:?}"
        );
        let tensors = [parameter, gradient, first, second].map(Tensor::into_dispatch);
        match fused::arrays(tensors) {
            Ok([mut parameter, gradient, mut first, mut second]) => {
                fused::adamw(Level::detect(), self, &mut parameter, &gradient, [&mut first, &mut second]);
                let [parameter, first, second] = [parameter, first, second].map(Array::into_tensor);
                (parameter, [first, second])
            }
            Err(tensors) => {
                let [parameter, gradient, first, second] = tensors.map(Tensor::from_dispatch);
                composed::adamw(self, parameter, gradient, [first, second])
            }
        }
    }
}

/// The Euclidean norm over all elements of some tensors outside of any graph.
///
/// On the CPU, in `f32`, squares are added up in `f64` and independently of the number of threads; elsewhere each tensor's in
/// its own type, and the sums in `f64`, with one read from the device.
pub fn norm(tensors: Vec<Tensor<1>>) -> f64 {
    let (mut squares, mut others) = (0.0, Vec::new());
    for tensor in tensors {
        match fused::arrays([tensor.into_dispatch()]) {
            Ok([array]) => squares += fused::square_sum(Level::detect(), &array),
            Err([tensor]) => others.push(Tensor::from_dispatch(tensor)),
        }
    }
    (squares + composed::square_sum(others)).sqrt()
}
