//! The exact Gaussian error linear unit.

use super::Kernel;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};
use super::math::{mul_add, normal};

#[derive(Clone, Debug)]
pub(crate) struct Gelu {
    pub(crate) level: Level,
}

impl Kernel<1> for Gelu {
    type Saved = Array;

    fn forward(&self, [x]: [Array; 1]) -> (Array, Array) {
        let values = x.values();
        let (y, _) = Parts::rows(values.len(), 1).build(|start, y| forward(self.level, &values[start..], y));
        (Array::new(y, x.shape()), x)
    }

    fn backward(&self, x: Array, gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let values = x.values();
        let rewrite = |start: usize, g: &mut [f32]| backward(self.level, &values[start..], g);
        [Some(gradient.rewrite(Parts::rows(values.len(), 1), rewrite).0)]
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
