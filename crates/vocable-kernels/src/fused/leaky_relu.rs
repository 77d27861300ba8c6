//! The leaky rectifier.

use super::Kernel;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};

#[derive(Clone, Debug)]
pub(crate) struct LeakyRelu {
    pub(crate) level: Level,
    pub(crate) slope: f32,
}

impl Kernel<1> for LeakyRelu {
    /// The input.
    type Saved = Array;

    fn forward(&self, [x]: [Array; 1]) -> (Array, Array) {
        let values = x.values();
        let run = |start: usize, y: &mut [f32]| forward(self.level, &values[start..], self.slope, y);
        let (y, _) = Parts::rows(values.len(), 1).build(run);
        (Array::new(y, x.shape()), x)
    }

    fn backward(&self, x: Array, gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let values = x.values();
        let rewrite = |start: usize, g: &mut [f32]| backward(self.level, &values[start..], self.slope, g);
        [Some(gradient.rewrite(Parts::rows(values.len(), 1), rewrite).0)]
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
