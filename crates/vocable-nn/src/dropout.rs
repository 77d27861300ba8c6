use burn::tensor::Tensor;
use vocable_random::Key;

use crate::Mode;

/// Inverted dropout with a keyed mask: zero with the given probability, else scaled by `1 / (1 - probability)`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout(pub f64);

impl Dropout {
    /// Drops elements in training, returns `x` unchanged in evaluation. Any shape.
    pub fn forward<const D: usize>(self, x: Tensor<D>, mode: Mode) -> Tensor<D> {
        match self.mask(mode) {
            Some((probability, key)) => vocable_kernels::dropout(x, probability, key),
            None => x,
        }
    }

    /// `x` plus [`forward`](Self::forward) of `y`: a residual sum. Any shape, the same for both.
    pub fn add<const D: usize>(self, x: Tensor<D>, y: Tensor<D>, mode: Mode) -> Tensor<D> {
        vocable_kernels::dropout_add(x, y, self.mask(mode))
    }

    /// Probability and key of the mask; none where nothing is dropped.
    fn mask(self, mode: Mode) -> Option<(f64, Key)> {
        mode.key().filter(|_| self.0 > 0.0).map(|key| (self.0, key))
    }
}
