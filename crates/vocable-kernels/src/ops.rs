//! The public operations: each checks its arguments, then picks the fused kernel or the composed form.

use burn::tensor::{Bool, DispatchTensor, Tensor};
use vocable_random::Key;

use crate::fused::{self, Dropout, DropoutAdd, Gelu, Hidden, Kernel, LeakyRelu, Level, Linear, Softmax, Tanh};
use crate::{composed, stored};

/// The Gaussian error linear unit x·Φ(x) in its exact (erf) form, element by element (Hendrycks & Gimpel 2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let kernel = Gelu { level: Level::detect() };
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| composed::gelu(tensor::<D>(x)))
}

/// Softmax over the last dimension.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let kernel = Softmax { level: Level::detect() };
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| composed::softmax(tensor::<D>(x)))
}

/// Softmax over those entries of each row of the last dimension that are not hidden (true = hidden); hidden ones are 0,
/// and so are all of a row that has no other. What a hidden entry holds, even NaN, has no influence.
///
/// # Panics
/// If the mask is not of the shape of `x`.
pub fn masked_softmax<const D: usize>(x: Tensor<D>, hidden: Tensor<D, Bool>) -> Tensor<D> {
    assert_eq!(hidden.dims(), x.dims(), "masked softmax: the mask is not of the input's shape");
    let x = x.into_dispatch();
    if !fused::runs_on(&x) {
        return composed::masked_softmax(tensor(x), hidden);
    }
    let (kernel, hidden) = (Softmax { level: Level::detect() }, hidden.into_data().iter::<bool>().collect::<Vec<_>>());
    fused::run_with(&kernel, [x], |x| kernel.masked(Hidden::Mask(&hidden), x))
        .unwrap_or_else(|_| unreachable!("it runs here"))
}

/// [`masked_softmax`] over the first `visible[i]` entries of every row of item `i` along the first dimension.
///
/// # Panics
/// If there is not one number for each item.
pub fn leading_softmax<const D: usize>(x: Tensor<D>, visible: &[usize]) -> Tensor<D> {
    let shape = x.dims();
    assert_eq!(visible.len(), shape[0], "masked softmax: not one number for each item");
    let rows = shape[1..D - 1].iter().product();
    let kernel = Softmax { level: Level::detect() };
    fused::run_with(&kernel, [x.into_dispatch()], |x| kernel.masked(Hidden::From { visible, rows }, x))
        .unwrap_or_else(|[x]| composed::leading_softmax(tensor::<D>(x), visible))
}

/// The hyperbolic tangent, element by element.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let kernel = Tanh { level: Level::detect() };
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| tensor::<D>(x).tanh())
}

/// The leaky rectifier: x above zero, `slope` · x elsewhere (Maas, Hannun and Ng 2013).
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    let kernel = LeakyRelu { level: Level::detect(), slope: slope as f32 };
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| composed::leaky_relu(tensor::<D>(x), slope))
}

/// Zeroes each element with `probability` and scales the others by 1 / (1 − probability).
///
/// The mask is a pure function of the key and of the element's row-major position: the same call drops the same
/// elements on every device, and the backward pass recomputes it. Probability 0 returns `x` itself.
///
/// # Panics
/// Unless 0 ≤ `probability` < 1.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, key: Key) -> Tensor<D> {
    check_probability(probability);
    if probability == 0.0 {
        return x;
    }
    let kernel = Dropout::new(Level::detect(), probability, key);
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| composed::dropout(tensor::<D>(x), probability, key))
}

/// `x + dropout(y)`, the residual sum of a sub-layer: with a probability and a key as in [`dropout`], or none.
///
/// # Panics
/// If the shapes differ, or unless 0 ≤ probability < 1.
pub fn dropout_add<const D: usize>(x: Tensor<D>, y: Tensor<D>, dropout: Option<(f64, Key)>) -> Tensor<D> {
    assert_eq!(x.dims(), y.dims(), "dropout_add: the shapes differ");
    if let Some((probability, _)) = dropout {
        check_probability(probability);
    }
    let level = Level::detect();
    let mask = dropout.map(|(probability, key)| Dropout::new(level, probability, key));
    fused::run(&DropoutAdd { level, dropout: mask }, [x.into_dispatch(), y.into_dispatch()])
        .unwrap_or_else(|[x, y]| composed::dropout_add(tensor::<D>(x), tensor(y), dropout))
}

/// `x · weight + bias` over the last dimension: `[.., in]` times `[in, out]` plus `[out]` gives `[.., out]`.
///
/// The weight may be stored in fewer bits than x ([`Storage`](crate::Storage)) and is then a constant.
///
/// # Panics
/// If the sizes do not fit.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "linear: the last dimension of x is not the weight's first");
    check_bias(&bias, outputs);
    if weight.dtype() != x.dtype() {
        return stored::linear(x, weight, bias);
    }
    with_bias(&Linear, x, weight, bias, composed::linear)
}

pub(crate) fn tensor<const D: usize>(tensor: DispatchTensor) -> Tensor<D> {
    Tensor::from_dispatch(tensor)
}

/// Runs a kernel whose last input, the bias, is optional, or the composed form.
pub(crate) fn with_bias<K: Kernel<2> + Kernel<3>, const D: usize, const W: usize>(
    kernel: &K,
    x: Tensor<D>,
    weight: Tensor<W>,
    bias: Option<Tensor<1>>,
    composed: impl FnOnce(Tensor<D>, Tensor<W>, Option<Tensor<1>>) -> Tensor<D>,
) -> Tensor<D> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    match bias {
        Some(bias) => fused::run(kernel, [x, weight, bias.into_dispatch()])
            .unwrap_or_else(|[x, weight, bias]| composed(tensor(x), tensor(weight), Some(tensor(bias)))),
        None => fused::run(kernel, [x, weight]).unwrap_or_else(|[x, weight]| composed(tensor(x), tensor(weight), None)),
    }
}

pub(crate) fn check_probability(probability: f64) {
    assert!((0.0..1.0).contains(&probability), "dropout probability must be in [0, 1), got {probability}");
}

pub(crate) fn check_bias(bias: &Option<Tensor<1>>, outputs: usize) {
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [outputs], "the bias has not as many elements as there are outputs");
    }
}
