//! AdamW's update of a parameter in one pass over its memory, and the squares that its clipping adds up.

use rayon::prelude::*;

use super::buffer::{Array, JOB, Parts};
use super::level::{Level, vectorised};
use super::math::mul_add;
use crate::AdamW;

/// Updates a parameter and its moments in place.
pub(crate) fn adamw(
    level: Level,
    step: &AdamW,
    parameter: &mut Array,
    gradient: &Array,
    [first, second]: [&mut Array; 2],
) {
    let constants = Constants::new(step);
    let (weights, first, second) = (parameter.values_mut(), first.values_mut(), second.values_mut());
    let gradient = gradient.values();
    if weights.len() <= JOB {
        // Waking another thread costs more than a single job.
        return update(level, constants, gradient, weights, first, second);
    }
    (gradient.par_chunks(JOB), weights.par_chunks_mut(JOB), first.par_chunks_mut(JOB), second.par_chunks_mut(JOB))
        .into_par_iter()
        .for_each(|(gradient, weights, first, second)| update(level, constants, gradient, weights, first, second));
}

/// The sum of all squares.
pub(crate) fn square_sum(level: Level, array: &Array) -> f64 {
    let values = array.values();
    Parts::rows(values.len(), 1).map(|range| squares(level, &values[range])).into_iter().sum()
}

/// An update's numbers, worked out in `f64`.
#[derive(Clone, Copy)]
struct Constants {
    scale: f32,
    beta1: f32,
    fresh1: f32,
    beta2: f32,
    fresh2: f32,
    /// 1 − weight decay · learning rate
    decay: f32,
    /// The learning rate over the first moment's correction.
    rate: f32,
    /// One over the second moment's correction.
    correction: f32,
    eps: f32,
}

impl Constants {
    fn new(step: &AdamW) -> Self {
        let &AdamW { beta1, beta2, eps, weight_decay, learning_rate, gradient_scale, time } = step;
        let start = |beta: f64| 1.0 - beta.powf(time as f64);
        Self {
            scale: gradient_scale as f32,
            beta1: beta1 as f32,
            fresh1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            fresh2: (1.0 - beta2) as f32,
            decay: (1.0 - weight_decay * learning_rate) as f32,
            rate: (learning_rate / start(beta1)) as f32,
            correction: (1.0 / start(beta2)) as f32,
            eps: eps as f32,
        }
    }
}

vectorised! {
    fn update<const FMA>(
        constants: Constants,
        gradient: &[f32],
        weights: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let Constants { scale, beta1, fresh1, beta2, fresh2, decay, rate, correction, eps } = constants;
        for (((weight, first), second), &g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = g * scale;
            let m = mul_add::<FMA>(beta1, *first, fresh1 * g);
            let v = mul_add::<FMA>(beta2, *second, fresh2 * g * g);
            *first = m;
            *second = v;
            *weight = mul_add::<FMA>(*weight, decay, -rate * m / ((v * correction).sqrt() + eps));
        }
    }
}

vectorised! {
    fn squares<const FMA>(values: &[f32]) -> f64 {
        const LANES: usize = 32;
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &value) in lanes.iter_mut().zip(block) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        lanes.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()
    }
}
