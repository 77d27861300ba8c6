//! Functions of each element by itself.

use std::fmt::Debug;

use super::Kernel;
use super::buffer::{Array, Parts};

/// A function of each element by itself, and its derivative.
pub(crate) trait Pointwise: Clone + Debug + Send + Sync + 'static {
    /// Whether the derivative is a function of the output instead of the input.
    const OF_OUTPUT: bool = false;

    /// Writes the function of every element of `x` into `y`.
    fn apply(&self, x: &[f32], y: &mut [f32]);

    /// Multiplies the gradients by the derivatives at the inputs, or at the outputs, that were kept.
    fn differentiate(&self, kept: &[f32], gradients: &mut [f32]);
}

impl<F: Pointwise> Kernel<1> for F {
    /// The input or the output.
    type Saved = Array;

    fn forward(&self, [x]: [Array; 1]) -> (Array, Array) {
        let values = x.values();
        let (y, _) = Parts::rows(values.len(), 1).build(|start, y| self.apply(&values[start..], y));
        let y = Array::new(y, x.shape());
        let kept = if F::OF_OUTPUT { y.clone() } else { x };
        (y, kept)
    }

    fn backward(&self, kept: Array, gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let values = kept.values();
        let rewrite = |start: usize, gradients: &mut [f32]| self.differentiate(&values[start..], gradients);
        [Some(gradient.rewrite(Parts::rows(values.len(), 1), rewrite).0)]
    }
}
