//! Keyed initial values: a tensor is a pure function of (shape, distribution, key).

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::distr::{Distribution, Uniform};
use rand_distr::Normal;
use vocable_random::{Branch, Key};

use crate::Precision;

/// What a constructor draws initial values from: a random stream, the scale of linear layers and embeddings, a device; and
/// the precision that linear layers compute in.
#[derive(Clone, Debug)]
pub struct Init {
    key: Key,
    deviation: f64,
    device: Device,
    precision: Precision,
}

impl Init {
    /// Linear layers and embeddings from N(0, 0.02²), as `--bert-init` draws them (spec section 4.11).
    pub fn new(key: Key, device: &Device) -> Self {
        Self { key, deviation: 0.02, device: device.clone(), precision: Precision::F32 }
    }

    /// The same with another standard deviation: narrow models need larger weights for signals of the same size.
    #[must_use]
    pub fn with_deviation(self, deviation: f64) -> Self {
        Self { deviation, ..self }
    }

    /// The same for layers that compute in another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What linear layers compute in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What a child called `branch` draws from.
    #[must_use]
    pub fn fold(&self, branch: impl Branch) -> Self {
        Self { key: self.key.fold(branch), ..self.clone() }
    }

    /// Where the values lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A parameter that `draw` makes of the shape when it is first read: what a file fills before is never drawn.
    pub fn parameter<const D: usize>(
        &self,
        shape: impl Into<Shape>,
        draw: impl FnOnce(&Self, Shape) -> Tensor<D> + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        let (init, shape) = (self.clone(), shape.into());
        let size = shape.clone();
        let draw = move |device: &Device, tracked| {
            draw(&Self { device: device.clone(), ..init }, size).set_require_grad(tracked)
        };
        Param::uninitialized(ParamId::new(), draw, self.device.clone(), true, shape)
    }

    /// Weights of a linear layer or an embedding.
    pub fn weights<const D: usize>(&self, shape: impl Into<Shape>) -> Tensor<D> {
        self.normal(shape, self.deviation)
    }

    /// Independent draws from U(low, high).
    pub fn uniform<const D: usize>(&self, shape: impl Into<Shape>, low: f64, high: f64) -> Tensor<D> {
        self.draw(shape.into(), Uniform::new(low as f32, high as f32).expect("low < high"))
    }

    /// Independent draws from N(0, deviation²).
    pub fn normal<const D: usize>(&self, shape: impl Into<Shape>, deviation: f64) -> Tensor<D> {
        self.draw(shape.into(), Normal::new(0.0_f32, deviation as f32).expect("a finite deviation"))
    }

    fn draw<const D: usize>(&self, shape: Shape, values: impl Distribution<f32>) -> Tensor<D> {
        let values: Vec<f32> = values.sample_iter(self.key.rng()).take(shape.num_elements()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}
