//! Normalisations.

use burn::tensor::Tensor;

use crate::composed;
use crate::fused::{self, Array, BatchNorm, GroupNormOverTime, LayerNorm, Level, Spread};
use crate::ops::tensor;

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

/// What [`batch_norm`] returns.
#[derive(Clone, Debug)]
pub struct BatchNormed {
    /// The normalised input, `[batch, time, channel]`.
    pub y: Tensor<3>,
    /// The batch's mean of each channel, a constant.
    pub mean: Tensor<1>,
    /// The batch's biased variance of each channel, a constant.
    pub variance: Tensor<1>,
}

/// Batch normalisation in training (Ioffe & Szegedy 2015): each channel of `[batch, time, channel]` is normalised over batch
/// and time (biased variance), then scaled and shifted by `weight` and `bias`, both `[channel]`. Padding takes part.
pub fn batch_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> BatchNormed {
    let [batch, time, channels] = x.dims();
    check_norm(channels, &weight, &bias);
    let Ok([array]) = fused::arrays([x.clone().detach().inner().into_dispatch()]) else {
        return composed::batch_norm(x, weight, bias, eps);
    };
    let level = Level::detect();
    let spread = fused::spreads(level, &array, batch * time * channels).pop();
    drop(array);
    let spread = spread.unwrap_or_else(|| Spread { mean: vec![0.0; channels], variance: vec![0.0; channels] });
    let [mean, variance] =
        [&spread.mean, &spread.variance].map(|values| Tensor::from_floats(values.as_slice(), &x.device()));
    let kernel = BatchNorm { level, eps: eps as f32, spread, fixed: false };
    let y = fused::run(&kernel, [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()]);
    BatchNormed { y: y.unwrap_or_else(|_| unreachable!("the input is where kernels run")), mean, variance }
}

/// Batch normalisation in evaluation: [`batch_norm`] of `[batch, time, channel]` with a given mean and (biased or unbiased)
/// variance of each channel, both constants. They, `weight` and `bias` are `[channel]`.
pub fn batch_norm_with(
    x: Tensor<3>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<3> {
    check_norm(x.dims()[2], &weight, &bias);
    let constants = [mean, variance].map(|tensor| tensor.detach().inner().into_dispatch());
    let [mean, variance] = match fused::arrays(constants) {
        Ok(constants) => constants.map(|array: Array| array.values().to_vec()),
        Err(constants) => {
            let [mean, variance] = constants.map(tensor);
            return composed::batch_norm_with(x, mean, variance, weight, bias, eps);
        }
    };
    let kernel = BatchNorm { level: Level::detect(), eps: eps as f32, spread: Spread { mean, variance }, fixed: true };
    fused::run(&kernel, [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()]).unwrap_or_else(
        |[x, weight, bias]| {
            let x = tensor::<3>(x);
            let constant = |values: &[f32]| Tensor::from_data(values, (&x.device(), x.dtype()));
            let [mean, variance] = [constant(&kernel.spread.mean), constant(&kernel.spread.variance)];
            composed::batch_norm_with(x.clone(), mean, variance, tensor(weight), tensor(bias), eps)
        },
    )
}

fn check_norm(channels: usize, weight: &Tensor<1>, bias: &Tensor<1>) {
    assert_eq!(weight.dims(), [channels], "the norm's weight has not as many elements as there are channels");
    assert_eq!(bias.dims(), [channels], "the norm's bias has not as many elements as there are channels");
}
