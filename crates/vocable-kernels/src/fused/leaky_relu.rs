//! The leaky rectifier.

use super::level::{Level, vectorised};
use super::pointwise::Pointwise;

#[derive(Clone, Debug)]
pub(crate) struct LeakyRelu {
    pub(crate) level: Level,
    pub(crate) slope: f32,
}

impl Pointwise for LeakyRelu {
    fn apply(&self, x: &[f32], y: &mut [f32]) {
        forward(self.level, x, self.slope, y);
    }

    fn differentiate(&self, kept: &[f32], gradients: &mut [f32]) {
        backward(self.level, kept, self.slope, gradients);
    }
}

vectorised! {
    fn forward<const _FMA>(x: &[f32], slope: f32, y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x > 0.0 { x } else { slope * x };
        }
    }
}

vectorised! {
    fn backward<const _FMA>(x: &[f32], slope: f32, g: &mut [f32]) {
        for (g, &x) in g.iter_mut().zip(x) {
            *g *= if x > 0.0 { 1.0 } else { slope };
        }
    }
}
