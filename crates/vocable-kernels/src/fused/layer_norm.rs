//! Layer normalisation over rows.

use super::Kernel;
use super::buffer::{Array, Parts, sum};
use super::level::{Level, vectorised};
use super::math::{mul_add, sum_of};

#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) level: Level,
    pub(crate) eps: f32,
}

/// What normalised a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    mean: f32,
    /// 1 / √(variance + ε).
    inverse_deviation: f32,
}

#[derive(Clone, Debug)]
pub(crate) struct Saved {
    x: Array,
    weight: Array,
    /// Of each row.
    moments: Vec<Moments>,
}

impl Kernel<3> for LayerNorm {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: [Array; 3]) -> (Array, Saved) {
        let (values, width) = (x.values(), x.width());
        let (y, moments) = Parts::rows(values.len(), width).build(|start, y| {
            let rows = y.chunks_exact_mut(width).zip(values[start..].chunks_exact(width));
            rows.map(|(y, x)| forward(self.level, x, weight.values(), bias.values(), self.eps, y)).collect::<Vec<_>>()
        });
        (Array::new(y, x.shape()), Saved { moments: moments.concat(), x, weight })
    }

    fn backward(&self, saved: Saved, gradient: Array, _: [bool; 3]) -> [Option<Array>; 3] {
        let (values, weight, width) = (saved.x.values(), saved.weight.values(), saved.x.width());
        let (dx, parameters) = gradient.rewrite(Parts::rows(values.len(), width), |start, g| {
            let mut parameters = vec![0.0; 2 * width];
            let (d_weight, d_bias) = parameters.split_at_mut(width);
            let moments = &saved.moments[start / width..];
            for ((g, x), &moments) in g.chunks_exact_mut(width).zip(values[start..].chunks_exact(width)).zip(moments) {
                backward(self.level, x, weight, moments, g, d_weight, d_bias);
            }
            parameters
        });
        let mut parameters = sum(parameters);
        parameters.resize(2 * width, 0.0);
        let d_bias = parameters.split_off(width);
        [Some(dx), Some(Array::new(parameters, &[width])), Some(Array::new(d_bias, &[width]))]
    }
}

vectorised! {
    fn forward<const FMA>(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, y: &mut [f32]) -> Moments {
        let n = x.len() as f32;
        let mean = sum_of(x, x, |x, _| x) / n;
        let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / n;
        let inverse_deviation = 1.0 / (variance + eps).sqrt();
        for (((y, &x), &weight), &bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = mul_add::<FMA>((x - mean) * inverse_deviation, weight, bias);
        }
        Moments { mean, inverse_deviation }
    }
}

vectorised! {
    /// Turns a row of gradients into those of `x` and adds what the row contributes to the parameters' gradients.
    fn backward<const FMA>(
        x: &[f32],
        weight: &[f32],
        moments: Moments,
        g: &mut [f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let Moments { mean, inverse_deviation } = moments;
        for (((d_weight, d_bias), &g), &x) in d_weight.iter_mut().zip(d_bias).zip(g.iter()).zip(x) {
            *d_weight = mul_add::<FMA>(g, (x - mean) * inverse_deviation, *d_weight);
            *d_bias += g;
        }
        for (g, &weight) in g.iter_mut().zip(weight) {
            *g *= weight;
        }
        let n = x.len() as f32;
        let mean_g = sum_of(g, g, |g, _| g) / n;
        let mean_gx = sum_of(g, x, |g, x| g * ((x - mean) * inverse_deviation)) / n;
        for (g, &x) in g.iter_mut().zip(x) {
            let normalised = (x - mean) * inverse_deviation;
            *g = inverse_deviation * (*g - mean_g - normalised * mean_gx);
        }
    }
}
