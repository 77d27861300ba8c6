//! Normalisations against their composed forms in `f64`.

use burn::tensor::{Device, Tensor};

use super::{compare, numbers, pick, rounds, shape2};
use crate::{batch_norm, batch_norm_with, composed, group_norm_over_time, layer_norm};

#[test]
fn layer_norm_is_exact() {
    for key in rounds("layer norm") {
        let [rows, width] = shape2(key);
        // One channel has no deviation: the result is the bias, and the gradient is all rounding.
        let width = width.max(2);
        compare(
            "layer norm",
            key,
            &[rows * width, width, width],
            |t| layer_norm(t[0].clone().reshape([rows, width]), t[1].clone(), t[2].clone(), 1e-5).flatten(0, 1),
            |t| {
                composed::layer_norm(t[0].clone().reshape([rows, width]), t[1].clone(), t[2].clone(), 1e-5)
                    .flatten(0, 1)
            },
        );
    }
}

#[test]
fn group_norm_is_exact() {
    for key in rounds("group norm") {
        let [batch, time, channels] =
            [pick(key.fold("b"), 1, 4), pick(key.fold("t"), 2, 900), [1, 5, 16, 64, 100][pick(key.fold("c"), 0, 5)]];
        let shape = [batch, time, channels];
        compare(
            "group norm",
            key,
            &[batch * time * channels, channels, channels],
            |t| group_norm_over_time(t[0].clone().reshape(shape), t[1].clone(), t[2].clone(), 1e-5).flatten(0, 2),
            |t| {
                composed::group_norm_over_time(t[0].clone().reshape(shape), t[1].clone(), t[2].clone(), 1e-5)
                    .flatten(0, 2)
            },
        );
    }
}

#[test]
fn norms_of_constant_input_are_the_bias() {
    let device = Device::flex();
    let bias = Tensor::<1>::from_floats([1.0, -2.0, 3.0], &device);
    let x = Tensor::<3>::ones([2, 1, 3], &device) * 5.0;
    let expected = [1.0, -2.0, 3.0, 1.0, -2.0, 3.0];
    let weight = Tensor::ones([3], &device);
    for y in [layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5), group_norm_over_time(x, weight, bias, 1e-5)] {
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), expected);
    }
}

#[test]
fn batch_norm_is_exact() {
    for key in rounds("batch norm") {
        let [batch, time, channels] =
            [pick(key.fold("b"), 1, 4), pick(key.fold("t"), 2, 900), [1, 5, 16, 80, 256][pick(key.fold("c"), 0, 5)]];
        let (shape, flat) = ([batch, time, channels], batch * time * channels);
        let x = |t: &[Tensor<1>]| t[0].clone().reshape(shape);
        compare(
            "batch norm",
            key,
            &[flat, channels, channels],
            |t| batch_norm(x(t), t[1].clone(), t[2].clone(), 1e-5).y.flatten(0, 2),
            |t| composed::batch_norm(x(t), t[1].clone(), t[2].clone(), 1e-5).y.flatten(0, 2),
        );
        let constant = |t: &Tensor<1>, name: &str, low: f32| {
            let values: Vec<f32> = numbers(key.fold(name), channels).iter().map(|x| x.abs() + low).collect();
            Tensor::<1>::from_data(values.as_slice(), (&t.device(), t.dtype()))
        };
        compare(
            "batch norm with given moments",
            key,
            &[flat, channels, channels],
            |t| {
                let (mean, variance) = (constant(&t[0], "mean", 0.0), constant(&t[0], "variance", 0.1));
                batch_norm_with(x(t), mean, variance, t[1].clone(), t[2].clone(), 1e-5).flatten(0, 2)
            },
            |t| {
                let (mean, variance) = (constant(&t[0], "mean", 0.0), constant(&t[0], "variance", 0.1));
                composed::batch_norm_with(x(t), mean, variance, t[1].clone(), t[2].clone(), 1e-5).flatten(0, 2)
            },
        );
    }
}

#[test]
fn batch_norm_tells_its_moments() {
    let x = Tensor::<3>::from_floats([[[1.0, 5.0], [3.0, 5.0]], [[2.0, 5.0], [6.0, 5.0]]], &Device::flex());
    let (weight, bias) = (Tensor::ones([2], &Device::flex()), Tensor::zeros([2], &Device::flex()));
    for found in [
        batch_norm(x.clone(), weight.clone(), bias.clone(), 1e-5),
        composed::batch_norm(x.clone(), weight.clone(), bias.clone(), 1e-5),
    ] {
        assert_eq!(found.mean.into_data().try_to_vec::<f32>().unwrap(), [3.0, 5.0]);
        assert_eq!(found.variance.into_data().try_to_vec::<f32>().unwrap(), [3.5, 0.0]);
    }
}
