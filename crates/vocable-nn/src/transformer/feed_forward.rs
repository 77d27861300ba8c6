use burn::module::Module;
use burn::tensor::Tensor;

use super::TransformerConfig;
use crate::{Dropout, Init, Linear, Mode};

/// Linear → GELU → dropout → linear.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `fc1` in the official code.
    pub inner: Linear,
    /// `fc2`.
    pub outer: Linear,
    activation_dropout: f64,
}

impl FeedForward {
    pub(super) fn new(config: &TransformerConfig, init: &Init) -> Self {
        Self {
            inner: Linear::new(config.width, config.feed_forward, &init.fold("inner")),
            outer: Linear::new(config.feed_forward, config.width, &init.fold("outer")),
            activation_dropout: config.activation_dropout,
        }
    }

    /// `[batch, time, width]` → the same shape.
    pub fn forward(&self, x: Tensor<3>, mode: Mode) -> Tensor<3> {
        let hidden = vocable_kernels::gelu(self.inner.forward(x));
        self.outer.forward(Dropout(self.activation_dropout).forward(hidden, mode))
    }
}
