//! A scalar with its gradient.

use super::Kernel;
use super::buffer::{Array, Parts};

/// Inputs: x, and the gradient of the value with respect to it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) value: f32,
}

impl Kernel<2> for Known {
    /// The gradient.
    type Saved = Array;

    fn forward(&self, [_, gradient]: [Array; 2]) -> (Array, Array) {
        (Array::new(vec![self.value], &[1]), gradient)
    }

    fn backward(&self, gradient: Array, outer: Array, _: [bool; 2]) -> [Option<Array>; 2] {
        let factor = outer.values()[0];
        let length = gradient.values().len();
        let (gradient, _) = gradient.rewrite(Parts::rows(length, 1), |_, part| {
            part.iter_mut().for_each(|value| *value *= factor);
        });
        [Some(gradient), None]
    }
}
