//! Normalisation of each channel over time.
//!
//! Time is split into jobs; each finds its own moments in one visit of the cache, and those are merged in order.

use super::Kernel;
use super::buffer::{Array, Parts, sum};
use super::level::{Level, vectorised};
use super::math::mul_add;

#[derive(Clone, Debug)]
pub(crate) struct GroupNormOverTime {
    pub(crate) level: Level,
    pub(crate) eps: f32,
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
    /// Of each item.
    moments: Vec<Moments>,
}

/// `[batch, time, channel]` as items of time × channel elements, in jobs of whole rows of one item.
fn layout(x: &Array) -> (usize, usize, Parts) {
    let &[_, time, channels] = x.shape() else { panic!("expected [batch, time, channel], got {:?}", x.shape()) };
    let item = time * channels;
    (item, channels, Parts::rows_of_items(x.values().len(), item, channels))
}

impl Kernel<3> for GroupNormOverTime {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: [Array; 3]) -> (Array, Saved) {
        let (values, (item, channels, parts)) = (x.values(), layout(&x));
        let partial = parts.map(|range| {
            let (mut mean, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
            moments(self.level, &values[range.clone()], &mut mean, &mut squares);
            Partial { rows: (range.len() / channels) as f32, mean, squares }
        });
        let moments: Vec<Moments> = partial.chunks(parts.jobs_per_item()).map(|jobs| merge(jobs, self.eps)).collect();
        let (y, _) = parts.build(|start, y| {
            let Moments { mean, inverse_deviation } = &moments[start / item];
            let scale: Vec<f32> = inverse_deviation.iter().zip(weight.values()).map(|(d, w)| d * w).collect();
            forward(self.level, &values[start..], mean, &scale, bias.values(), y);
        });
        (Array::new(y, x.shape()), Saved { moments, x, weight })
    }

    fn backward(&self, saved: Saved, gradient: Array, _: [bool; 3]) -> [Option<Array>; 3] {
        let (values, (item, channels, parts)) = (saved.x.values(), layout(&saved.x));
        let steps = (item / channels.max(1)) as f32;
        let partial = parts.map(|range| {
            let mut sums = vec![0.0; 2 * channels];
            let (g_sum, gx_sum) = sums.split_at_mut(channels);
            let Moments { mean, inverse_deviation } = &saved.moments[range.start / item];
            sums_of(
                self.level,
                &gradient.values()[range.clone()],
                &values[range],
                mean,
                inverse_deviation,
                g_sum,
                gx_sum,
            );
            sums
        });
        // Of each item: the sums of g and of g times the normalised x over time, per channel.
        let sums: Vec<Vec<f32>> = partial.chunks(parts.jobs_per_item()).map(|jobs| sum(jobs.to_vec())).collect();
        let (dx, _) = gradient.rewrite(parts, |start, g| {
            let Moments { mean, inverse_deviation } = &saved.moments[start / item];
            let (g_sum, gx_sum) = sums[start / item].split_at(channels);
            let scale: Vec<f32> = inverse_deviation.iter().zip(saved.weight.values()).map(|(d, w)| d * w).collect();
            let g_mean: Vec<f32> = g_sum.iter().map(|sum| sum / steps).collect();
            let slope: Vec<f32> = gx_sum.iter().zip(inverse_deviation).map(|(sum, d)| sum / steps * d).collect();
            backward(self.level, &values[start..], mean, &scale, &g_mean, &slope, g);
        });
        let mut parameters = sum(sums);
        parameters.resize(2 * channels, 0.0);
        let d_weight = parameters.split_off(channels);
        [Some(dx), Some(Array::new(d_weight, &[channels])), Some(Array::new(parameters, &[channels]))]
    }
}

/// The moments of one job's rows.
struct Partial {
    rows: f32,
    mean: Vec<f32>,
    /// The sum of squared differences from that mean.
    squares: Vec<f32>,
}

/// The moments of all rows of an item (Chan et al. 1979).
fn merge(jobs: &[Partial], eps: f32) -> Moments {
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
    let inverse_deviation = variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
    Moments { mean, inverse_deviation }
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
