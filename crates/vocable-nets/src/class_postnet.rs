use burn::module::Module;
use burn::tensor::Tensor;
use vocable_nn::{Init, Linear};

/// Classifies a sequence by its mean state: a linear layer without bias (`speaker_decoder_postnet`, spec section 4.10).
#[derive(Module, Debug)]
pub struct ClassPostnet {
    /// `output_projection`, `[width, classes]`.
    pub projection: Linear,
}

impl ClassPostnet {
    /// A head for `classes` classes.
    pub fn new(width: usize, classes: usize, init: &Init) -> Self {
        Self { projection: Linear::without_bias(width, classes, init) }
    }

    /// States `[batch, time, width]` → logits `[batch, classes]`.
    pub fn forward(&self, states: Tensor<3>) -> Tensor<2> {
        self.projection.forward(states.mean_dim(1).squeeze_dim(1))
    }
}
