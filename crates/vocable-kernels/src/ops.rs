//! The public operations: each checks its arguments, then picks the fused kernel or the composed form.

use burn::tensor::{DispatchTensor, Tensor};
use vocable_random::Key;

use crate::composed;
use crate::fused::{self, Conv, Dropout, Gelu, GroupNormOverTime, Kernel, LayerNorm, Level, Linear, Softmax};

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

/// Layer normalisation over the last dimension (Ba et al. 2016): biased variance, then `weight` and `bias`, both
/// `[channel]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    check_norm(x.dims()[D - 1], &weight, &bias);
    let kernel = LayerNorm { level: Level::detect(), eps: eps as f32 };
    fused::run(&kernel, [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()])
        .unwrap_or_else(|[x, weight, bias]| composed::layer_norm(tensor::<D>(x), tensor(weight), tensor(bias), eps))
}

/// Group normalisation with one group per channel: each channel of each item of `[batch, time, channel]` is normalised
/// over time (biased variance), then scaled and shifted by `weight` and `bias`, both `[channel]`.
///
/// Padding is not masked: the statistics run over all of `time`, as in wav2vec 2.0's first convolution.
pub fn group_norm_over_time(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    check_norm(x.dims()[2], &weight, &bias);
    let kernel = GroupNormOverTime { level: Level::detect(), eps: eps as f32 };
    fused::run(&kernel, [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()]).unwrap_or_else(
        |[x, weight, bias]| composed::group_norm_over_time(tensor(x), tensor(weight), tensor(bias), eps),
    )
}

/// Zeroes each element with `probability` and scales the others by 1 / (1 − probability).
///
/// The mask is a pure function of the key and of the element's row-major position: the same call drops the same
/// elements on every device, and the backward pass recomputes it. Probability 0 returns `x` itself.
///
/// # Panics
/// Unless 0 ≤ `probability` < 1.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, key: Key) -> Tensor<D> {
    assert!((0.0..1.0).contains(&probability), "dropout probability must be in [0, 1), got {probability}");
    if probability == 0.0 {
        return x;
    }
    let kernel = Dropout::new(Level::detect(), probability, key);
    fused::run(&kernel, [x.into_dispatch()]).unwrap_or_else(|[x]| composed::dropout(tensor::<D>(x), probability, key))
}

/// `x · weight + bias` over the last dimension: `[.., in]` times `[in, out]` plus `[out]` gives `[.., out]`.
///
/// # Panics
/// If the sizes do not fit.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "linear: the last dimension of x is not the weight's first");
    check_bias(&bias, outputs);
    with_bias(&Linear, x, weight, bias, composed::linear)
}

/// Convolution over time of `[batch, time, in]`, giving `[batch, conv1d_length(..), out]`.
///
/// `weight` is `[kernel * in, out]`; row `j * in + i` holds tap `j` of input channel `i`. `padding` zeros are added on
/// both sides. As everywhere in deep learning this is a correlation: tap 0 meets the earliest sample.
///
/// # Panics
/// If the sizes do not fit, or the padded input is shorter than the kernel.
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<3> {
    let [_, time, channels] = x.dims();
    let [depth, outputs] = weight.dims();
    assert_eq!(kernel * channels, depth, "conv1d: the weight's first dimension is not kernel * in");
    check_bias(&bias, outputs);
    check_length(time, kernel, stride, padding);
    let composed = |x, weight, bias| composed::conv1d(x, weight, bias, kernel, stride, padding);
    with_bias(&Conv { groups: 1, kernel, stride, padding }, x, weight, bias, composed)
}

/// [`conv1d`] in groups: group `g` maps input channels `g * in / groups ..` to output channels `g * out / groups ..`.
///
/// `weight` is `[groups, kernel * (in / groups), out / groups]`, the tap slower than the channel.
///
/// # Panics
/// If the sizes do not fit, or the padded input is shorter than the kernel.
pub fn conv1d_grouped(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<3> {
    let [_, time, channels] = x.dims();
    let [groups, depth, outputs] = weight.dims();
    assert_eq!(channels % groups, 0, "conv1d_grouped: the groups do not divide the input channels");
    assert_eq!(kernel * (channels / groups), depth, "conv1d_grouped: the weight's depth is not kernel * in / groups");
    check_bias(&bias, groups * outputs);
    check_length(time, kernel, stride, padding);
    let composed = |x, weight, bias| composed::conv1d_grouped(x, weight, bias, kernel, stride, padding);
    with_bias(&Conv { groups, kernel, stride, padding }, x, weight, bias, composed)
}

/// The number of output steps of a convolution over `time` steps; 0 where the padded input is shorter than the kernel.
pub fn conv1d_length(time: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    match (time + 2 * padding).checked_sub(kernel) {
        Some(room) => room / stride + 1,
        None => 0,
    }
}

fn tensor<const D: usize>(tensor: DispatchTensor) -> Tensor<D> {
    Tensor::from_dispatch(tensor)
}

/// Runs a kernel whose last input, the bias, is optional, or the composed form.
fn with_bias<K: Kernel<2> + Kernel<3>, const D: usize, const W: usize>(
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

fn check_norm(channels: usize, weight: &Tensor<1>, bias: &Tensor<1>) {
    assert_eq!(weight.dims(), [channels], "the norm's weight has not as many elements as there are channels");
    assert_eq!(bias.dims(), [channels], "the norm's bias has not as many elements as there are channels");
}

fn check_bias(bias: &Option<Tensor<1>>, outputs: usize) {
    if let Some(bias) = bias {
        assert_eq!(bias.dims(), [outputs], "the bias has not as many elements as there are outputs");
    }
}

fn check_length(time: usize, kernel: usize, stride: usize, padding: usize) {
    assert!(
        conv1d_length(time, kernel, stride, padding) > 0,
        "a convolution of kernel {kernel} has no room in {time} steps padded by {padding}"
    );
}
