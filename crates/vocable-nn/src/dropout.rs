use burn::tensor::Tensor;
use vocable_random::Key;

use crate::Mode;

/// Inverted dropout with a keyed mask: zero with the given probability, else scaled by `1 / (1 - probability)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout(pub f64);

impl Dropout {
    /// Drops elements in training, returns `x` unchanged in evaluation. Any shape.
    pub fn forward<const D: usize>(self, x: Tensor<D>, mode: Mode) -> Tensor<D> {
        match mode {
            Mode::Train(key) if self.0 > 0.0 => vocable_kernels::dropout(x, self.0, key),
            _ => x,
        }
    }

    /// `x` plus [`forward`](Self::forward) of `y`: a residual sum. Any shape, the same for both.
    pub fn add<const D: usize>(self, x: Tensor<D>, y: Tensor<D>, mode: Mode) -> Tensor<D> {
        match mode {
            Mode::Train(key) => vocable_kernels::dropout_add(x, y, self.0, key),
            // Without a mask the key has no meaning.
            Mode::Eval => vocable_kernels::dropout_add(x, y, 0.0, Key::new(0)),
        }
    }
}
