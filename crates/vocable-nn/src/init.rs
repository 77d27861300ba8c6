//! Keyed initial values: a tensor is a pure function of (shape, distribution, key).

use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::distr::{Distribution, Uniform};
use rand_distr::Normal;
use vocable_random::Key;

/// Standard deviation that `--bert-init` gives every linear layer and embedding (spec section 4.11).
pub const BERT_STD: f64 = 0.02;

/// Independent draws from U(low, high).
pub fn uniform<const D: usize>(
    shape: impl Into<Shape>,
    low: f64,
    high: f64,
    key: Key,
    device: &Device,
) -> Tensor<D> {
    draw(shape.into(), Uniform::new(low as f32, high as f32).expect("low < high"), key, device)
}

/// Independent draws from N(0, deviation²).
pub fn normal<const D: usize>(shape: impl Into<Shape>, deviation: f64, key: Key, device: &Device) -> Tensor<D> {
    draw(shape.into(), Normal::new(0.0_f32, deviation as f32).expect("a finite deviation"), key, device)
}

fn draw<const D: usize>(shape: Shape, values: impl Distribution<f32>, key: Key, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.sample_iter(key.rng()).take(shape.num_elements()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
