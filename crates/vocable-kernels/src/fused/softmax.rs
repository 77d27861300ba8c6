//! Softmax over rows, whole or masked.

use super::Kernel;
use super::attention::rows;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};
use super::math::{exp, map, max_of, sum_of};

#[derive(Clone, Debug)]
pub(crate) struct Softmax {
    pub(crate) level: Level,
}

/// Which entries of the rows are left out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hidden<'a> {
    /// Those from the number on that belongs to the row's item of `rows` rows.
    From { visible: &'a [usize], rows: usize },
    /// Those with true.
    Mask(&'a [bool]),
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

impl Softmax {
    /// The forward pass over what is not hidden. Hidden entries become 0, so the backward pass need not know them.
    pub(crate) fn masked(&self, hidden: Hidden, [x]: [Array; 1]) -> (Array, Array) {
        let (values, width) = (x.values(), x.width());
        let (y, _) = Parts::rows(values.len(), width).build(|start, y| {
            for (index, y) in (start / width..).zip(y.chunks_exact_mut(width)) {
                let row = &values[index * width..][..width];
                match hidden {
                    Hidden::From { visible, rows } => {
                        let visible = visible[index / rows].min(width);
                        y[..visible].copy_from_slice(&row[..visible]);
                        rows::softmax(self.level, &mut y[..visible]);
                    }
                    Hidden::Mask(hidden) => {
                        for ((y, &x), &hidden) in y.iter_mut().zip(row).zip(&hidden[index * width..]) {
                            *y = if hidden { f32::NEG_INFINITY } else { x };
                        }
                        rows::softmax(self.level, y);
                    }
                }
            }
        });
        let y = Array::new(y, x.shape());
        (y.clone(), y)
    }
}

vectorised! {
    /// Turns a row of logits into probabilities.
    fn softmax<const FMA>(row: &mut [f32]) {
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
    fn backward<const FMA>(y: &[f32], g: &mut [f32]) {
        let mean = sum_of(y, g, |y, g| y * g);
        for (g, &y) in g.iter_mut().zip(y) {
            *g = y * (*g - mean);
        }
    }
}
