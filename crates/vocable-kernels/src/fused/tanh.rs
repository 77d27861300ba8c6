//! The hyperbolic tangent.

use super::Kernel;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};
use super::math::{mul_add, tanh};

#[derive(Clone, Debug)]
pub(crate) struct Tanh {
    pub(crate) level: Level,
}

impl Kernel<1> for Tanh {
    /// The output.
    type Saved = Array;

    fn forward(&self, [x]: [Array; 1]) -> (Array, Array) {
        let values = x.values();
        let (y, _) = Parts::rows(values.len(), 1).build(|start, y| forward(self.level, &values[start..], y));
        let y = Array::new(y, x.shape());
        (y.clone(), y)
    }

    fn backward(&self, y: Array, gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let values = y.values();
        let rewrite = |start: usize, g: &mut [f32]| backward(self.level, &values[start..], g);
        [Some(gradient.rewrite(Parts::rows(values.len(), 1), rewrite).0)]
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
