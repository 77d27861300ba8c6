//! Softmax over rows.

use super::Kernel;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};
use super::math::{exp, map, max_of, sum_of};

#[derive(Clone, Debug)]
pub(crate) struct Softmax {
    pub(crate) level: Level,
}

impl Kernel<1> for Softmax {
    /// The probabilities.
    type Saved = Array;

    fn forward(&self, [x]: [Array; 1]) -> (Array, Array) {
        let (values, width) = (x.values(), x.width());
        let (y, _) = Parts::rows(values.len(), width).build(|start, y| {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                y.copy_from_slice(&values[start + row * width..][..width]);
                softmax(self.level, y);
            }
        });
        let y = Array::new(y, x.shape());
        (y.clone(), y)
    }

    fn backward(&self, y: Array, gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        let (values, width) = (y.values(), y.width());
        let rewrite = |start: usize, g: &mut [f32]| {
            for (row, g) in g.chunks_exact_mut(width).enumerate() {
                backward(self.level, &values[start + row * width..][..width], g);
            }
        };
        [Some(gradient.rewrite(Parts::rows(values.len(), width), rewrite).0)]
    }
}

vectorised! {
    /// Turns a row of logits into probabilities.
    pub(crate) fn softmax<const FMA>(row: &mut [f32]) {
        let max = max_of(row);
        map(row, |value| exp::<FMA>(value - max));
        let scale = 1.0 / sum_of(row, row, |value, _| value);
        for value in row.iter_mut() {
            *value *= scale;
        }
    }
}

vectorised! {
    /// Turns the gradient of probabilities `y` into that of their logits.
    pub(crate) fn backward<const FMA>(y: &[f32], g: &mut [f32]) {
        let mean = sum_of(y, g, |y, g| y * g);
        for (g, &y) in g.iter_mut().zip(y) {
            *g = y * (*g - mean);
        }
    }
}
