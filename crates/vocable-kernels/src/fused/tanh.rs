//! The hyperbolic tangent.

use super::level::{Level, vectorised};
use super::math::{mul_add, tanh};
use super::pointwise::Pointwise;

#[derive(Clone, Debug)]
pub(crate) struct Tanh {
    pub(crate) level: Level,
}

impl Pointwise for Tanh {
    const OF_OUTPUT: bool = true;

    fn apply(&self, x: &[f32], y: &mut [f32]) {
        forward(self.level, x, y);
    }

    fn differentiate(&self, kept: &[f32], gradients: &mut [f32]) {
        backward(self.level, kept, gradients);
    }
}

vectorised! {
    fn forward<const FMA>(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = tanh::<FMA>(x);
        }
    }
}

vectorised! {
    /// Multiplies the gradient by 1 − y².
    fn backward<const FMA>(y: &[f32], g: &mut [f32]) {
        for (g, &y) in g.iter_mut().zip(y) {
            *g *= mul_add::<FMA>(-y, y, 1.0);
        }
    }
}
