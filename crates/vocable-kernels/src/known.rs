//! Functions whose gradient is worked out together with their value.

use burn::tensor::Tensor;

use crate::composed;
use crate::fused::{self, Known};

/// A number computed from `x` outside of the graph, `[1]`, whose gradient with respect to `x` is known: the way into the
/// graph for a loss whose gradient is better worked out by hand.
///
/// # Panics
/// If the gradient is not of the shape of `x`.
pub fn known_gradient<const D: usize>(x: Tensor<D>, value: f64, gradient: Tensor<D>) -> Tensor<1> {
    assert_eq!(x.dims(), gradient.dims(), "a gradient has the shape of what it belongs to");
    fused::run(&Known { value: value as f32 }, [x.into_dispatch(), gradient.into_dispatch()]).unwrap_or_else(
        |[x, gradient]| composed::known_gradient::<D>(Tensor::from_dispatch(x), value, Tensor::from_dispatch(gradient)),
    )
}
