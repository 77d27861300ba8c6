//! Normalisation of each channel over time, and over a whole batch.
//!
//! Time is split into jobs; each finds its own moments in one visit of the cache, and those are merged in order.

use super::Kernel;
use super::buffer::{Array, Parts, sum};
use super::level::{Level, vectorised};
use super::math::mul_add;

/// Each channel of each item of `[batch, time, channel]` over time.
#[derive(Clone, Debug)]
pub(crate) struct GroupNormOverTime {
    pub(crate) level: Level,
    pub(crate) eps: f32,
}

/// Each channel of `[batch, time, channel]` over batch and time.
#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    pub(crate) level: Level,
    pub(crate) eps: f32,
    pub(crate) spread: Spread,
    /// Whether the spread is a constant, rather than that of the input.
    pub(crate) fixed: bool,
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

/// What normalised the channels of an item.
#[derive(Clone, Debug)]
struct Moments {
    mean: Vec<f32>,
    /// 1 / √(variance + ε).
    inverse_deviation: Vec<f32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Saved {
    x: Array,
    weight: Array,
    /// The elements of an item: what shares its moments.
    item: usize,
    /// Of each item.
    moments: Vec<Moments>,
}

impl Kernel<3> for GroupNormOverTime {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: [Array; 3]) -> (Array, Saved) {
        let [_, time, channels] = x.dims();
        let spreads = spreads(self.level, &x, time * channels);
        let moments = spreads.into_iter().map(|spread| spread.moments(self.eps)).collect();
        normalise(self.level, Saved { x, weight, item: time * channels, moments }, &bias)
    }

    fn backward(&self, saved: Saved, gradient: Array, _: [bool; 3]) -> [Option<Array>; 3] {
        gradients(self.level, saved, gradient, false)
    }
}

impl Kernel<3> for BatchNorm {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: [Array; 3]) -> (Array, Saved) {
        let moments = vec![self.spread.clone().moments(self.eps)];
        let item = x.values().len();
        normalise(self.level, Saved { x, weight, item, moments }, &bias)
    }

    fn backward(&self, saved: Saved, gradient: Array, _: [bool; 3]) -> [Option<Array>; 3] {
        gradients(self.level, saved, gradient, self.fixed)
    }
}

impl Spread {
    fn moments(self, eps: f32) -> Moments {
        let inverse_deviation = self.variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
        Moments { mean: self.mean, inverse_deviation }
    }
}

/// The spread of the channels in each item of `item` elements.
pub(crate) fn spreads(level: Level, x: &Array, item: usize) -> Vec<Spread> {
    let (values, channels) = (x.values(), x.width());
    let parts = Parts::rows_of_items(values.len(), item, channels);
    let partial = parts.map(|range| {
        let (mut mean, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
        moments(level, &values[range.clone()], &mut mean, &mut squares);
        Partial { rows: (range.len() / channels) as f32, mean, squares }
    });
    partial.chunks(parts.jobs_per_item()).map(merge).collect()
}

fn normalise(level: Level, saved: Saved, bias: &Array) -> (Array, Saved) {
    let Saved { x, weight, item, moments } = &saved;
    let values = x.values();
    let (y, _) = Parts::rows_of_items(values.len(), *item, x.width()).build(|start, y| {
        let Moments { mean, inverse_deviation } = &moments[start / item];
        let scale: Vec<f32> = inverse_deviation.iter().zip(weight.values()).map(|(d, w)| d * w).collect();
        forward(level, &values[start..], mean, &scale, bias.values(), y);
    });
    (Array::new(y, x.shape()), saved)
}

/// The gradients of input, weight and bias. Constant moments pass no gradient.
fn gradients(level: Level, saved: Saved, gradient: Array, constant: bool) -> [Option<Array>; 3] {
    let Saved { x, weight, item, moments } = saved;
    let (values, channels) = (x.values(), x.width());
    let parts = Parts::rows_of_items(values.len(), item, channels);
    let steps = (item / channels.max(1)) as f32;
    let partial = parts.map(|range| {
        let mut sums = vec![0.0; 2 * channels];
        let (g_sum, gx_sum) = sums.split_at_mut(channels);
        let Moments { mean, inverse_deviation } = &moments[range.start / item];
        let g = &gradient.values()[range.clone()];
        sums_of(level, g, &values[range], mean, inverse_deviation, g_sum, gx_sum);
        sums
    });
    // Of each item: the sums of g and of g times the normalised x over time, per channel.
    let sums: Vec<Vec<f32>> = partial.chunks(parts.jobs_per_item()).map(|jobs| sum(jobs.to_vec())).collect();
    let (dx, _) = gradient.rewrite(parts, |start, g| {
        let Moments { mean, inverse_deviation } = &moments[start / item];
        let (g_sum, gx_sum) = sums[start / item].split_at(channels);
        let scale: Vec<f32> = inverse_deviation.iter().zip(weight.values()).map(|(d, w)| d * w).collect();
        let share = if constant { 0.0 } else { 1.0 / steps };
        let g_mean: Vec<f32> = g_sum.iter().map(|sum| sum * share).collect();
        let slope: Vec<f32> = gx_sum.iter().zip(inverse_deviation).map(|(sum, d)| sum * share * d).collect();
        backward(level, &values[start..], mean, &scale, &g_mean, &slope, g);
    });
    let mut parameters = sum(sums);
    parameters.resize(2 * channels, 0.0);
    let d_weight = parameters.split_off(channels);
    [Some(dx), Some(Array::new(d_weight, &[channels])), Some(Array::new(parameters, &[channels]))]
}

/// The moments of one job's rows.
struct Partial {
    rows: f32,
    mean: Vec<f32>,
    /// The sum of squared differences from that mean.
    squares: Vec<f32>,
}

/// The spread of all rows of an item (Chan et al. 1979).
fn merge(jobs: &[Partial]) -> Spread {
    let rows: f32 = jobs.iter().map(|job| job.rows).sum();
    let channels = jobs.first().map_or(0, |job| job.mean.len());
    let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
    for job in jobs {
        for (mean, value) in mean.iter_mut().zip(&job.mean) {
            *mean += value * (job.rows / rows);
        }
    }
    for job in jobs {
        for (((variance, mean), job_mean), squares) in variance.iter_mut().zip(&mean).zip(&job.mean).zip(&job.squares) {
            let offset = job_mean - mean;
            *variance += (squares + job.rows * offset * offset) / rows;
        }
    }
    Spread { mean, variance }
}

vectorised! {
    /// The mean of the rows and the sum of squared differences from it.
    fn moments<const FMA>(x: &[f32], mean: &mut [f32], squares: &mut [f32]) {
        let channels = mean.len();
        for row in x.chunks_exact(channels) {
            for (mean, &x) in mean.iter_mut().zip(row) {
                *mean += x;
            }
        }
        let rows = (x.len() / channels) as f32;
        for mean in mean.iter_mut() {
            *mean /= rows;
        }
        for row in x.chunks_exact(channels) {
            for ((squares, &mean), &x) in squares.iter_mut().zip(mean.iter()).zip(row) {
                let offset = x - mean;
                *squares = mul_add::<FMA>(offset, offset, *squares);
            }
        }
    }
}

vectorised! {
    fn forward<const FMA>(x: &[f32], mean: &[f32], scale: &[f32], bias: &[f32], y: &mut [f32]) {
        let channels = mean.len();
        for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for ((((y, &x), &mean), &scale), &bias) in y.iter_mut().zip(x).zip(mean).zip(scale).zip(bias) {
                *y = mul_add::<FMA>(x - mean, scale, bias);
            }
        }
    }
}

vectorised! {
    /// Adds the rows of g, and of g times the normalised x, to the sums.
    fn sums_of<const FMA>(
        g: &[f32],
        x: &[f32],
        mean: &[f32],
        inverse_deviation: &[f32],
        g_sum: &mut [f32],
        gx_sum: &mut [f32],
    ) {
        let channels = mean.len();
        for (g, x) in g.chunks_exact(channels).zip(x.chunks_exact(channels)) {
            for ((((g_sum, gx_sum), &g), &x), &mean) in
                g_sum.iter_mut().zip(gx_sum.iter_mut()).zip(g).zip(x).zip(mean)
            {
                *g_sum += g;
                *gx_sum = mul_add::<FMA>(g, x - mean, *gx_sum);
            }
        }
        for (gx_sum, &inverse_deviation) in gx_sum.iter_mut().zip(inverse_deviation) {
            *gx_sum *= inverse_deviation;
        }
    }
}

vectorised! {
    /// Turns rows of gradients into those of `x`: scale · (g − mean of g − (x − mean) · slope).
    fn backward<const FMA>(
        x: &[f32],
        mean: &[f32],
        scale: &[f32],
        g_mean: &[f32],
        slope: &[f32],
        g: &mut [f32],
    ) {
        let channels = mean.len();
        for (g, x) in g.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for (((((g, &x), &mean), &scale), &g_mean), &slope) in
                g.iter_mut().zip(x).zip(mean).zip(scale).zip(g_mean).zip(slope)
            {
                *g = scale * mul_add::<FMA>(mean - x, slope, *g - g_mean);
            }
        }
    }
}
