//! The operations written with ordinary Burn operations: what runs on devices without a fused kernel, and what the
//! fused kernels are tested against. Contracts are those of the functions of the same name at the crate's root.

use burn::tensor::{Tensor, TensorData, activation, s};
use vocable_random::Key;

use crate::fused::{Dropout, Level};

/// See [`crate::gelu`].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// See [`crate::softmax`].
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softmax(x, D - 1)
}

/// See [`crate::layer_norm`].
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    normalise(x, D - 1, eps) * weight.unsqueeze() + bias.unsqueeze()
}

/// See [`crate::group_norm_over_time`].
pub fn group_norm_over_time(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    normalise(x, 1, eps) * weight.unsqueeze() + bias.unsqueeze()
}

/// Zero mean and unit (biased) variance along `dim`.
fn normalise<const D: usize>(x: Tensor<D>, dim: usize, eps: f64) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(dim);
    let variance = centred.clone().square().mean_dim(dim);
    centred / (variance + eps).sqrt()
}

/// See [`crate::dropout`]. The mask is drawn on the host: the bits must not depend on the device.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, key: Key) -> Tensor<D> {
    let dropout = Dropout::new(Level::Baseline, probability, key);
    let mask: Vec<f32> = (0..x.shape().num_elements()).map(|i| dropout.factor(i)).collect();
    let mask = Tensor::from_data(TensorData::new(mask, x.shape()), (&x.device(), x.dtype()));
    x * mask
}

/// See [`crate::linear`].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut shape = x.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = outputs;
    let y = x.reshape([rows, inputs]).matmul(weight);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
    .reshape(shape)
}

/// See [`crate::conv1d`].
pub fn conv1d(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<3> {
    linear(
        windows(x.unsqueeze_dim::<4>(2), kernel, stride, padding).squeeze_dim(2),
        weight,
        bias,
    )
}

/// See [`crate::conv1d_grouped`].
pub fn conv1d_grouped(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<3> {
    let [batch, time, channels] = x.dims();
    let [groups, depth, outputs] = weight.dims();
    let x = windows(
        x.reshape([batch, time, groups, channels / groups]),
        kernel,
        stride,
        padding,
    );
    let time = x.dims()[1];
    let x = x.permute([2, 0, 1, 3]).reshape([groups, batch * time, depth]);
    let y = x.matmul(weight).reshape([groups, batch, time, outputs]);
    let y = y.permute([1, 2, 0, 3]).reshape([batch, time, groups * outputs]);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

/// The receptive field of every output step, `[batch, time', group, kernel * channel]` with the tap slowest, from
/// `[batch, time, group, channel]`.
fn windows(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let [batch, _, groups, channels] = x.dims();
    let x = if padding == 0 {
        x
    } else {
        let edge = Tensor::zeros([batch, padding, groups, channels], (&x.device(), x.dtype()));
        Tensor::cat(vec![edge.clone(), x, edge], 1)
    };
    let steps = (x.dims()[1] - kernel) / stride;
    let tap = |tap: usize| x.clone().slice(s![.., tap..tap + steps * stride + 1;stride, .., ..]);
    Tensor::cat((0..kernel).map(tap).collect(), 3)
}
