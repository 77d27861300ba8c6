//! The exact Gaussian error linear unit.

use super::level::{Level, vectorised};
use super::math::{mul_add, normal};
use super::pointwise::Pointwise;

#[derive(Clone, Debug)]
pub(crate) struct Gelu {
    pub(crate) level: Level,
}

impl Pointwise for Gelu {
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
            *y = x * normal::<FMA>(x).0;
        }
    }
}

vectorised! {
    /// Multiplies the gradient by Φ(x) + x φ(x).
    fn backward<const FMA>(x: &[f32], g: &mut [f32]) {
        for (g, &x) in g.iter_mut().zip(x) {
            let (integral, density) = normal::<FMA>(x);
            *g *= mul_add::<FMA>(x, density, integral);
        }
    }
}
