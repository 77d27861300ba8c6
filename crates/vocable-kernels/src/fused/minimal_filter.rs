//! Convolution at stride 1 by minimal filtering (Winograd 1980, Toom–Cook): fewer products than the definition has.
//!
//! Four output steps of a filter of four taps are a product of polynomials of seven coefficients, which seven products
//! of values at seven points determine, where the definition has sixteen. A longer filter is several of four taps each:
//! what they share is added up at the points, before it is turned into steps. Over channels the seven products are
//! seven matrix products. The points are small, so that rounding stays within a few times that of the definition.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::conv::Sizes;
use super::level::{Level, vectorised};
use super::math::mul_add;
use super::product::{Matrix, Threads, set_product};
use crate::Window;

/// Output steps of a tile, and taps of a part of the filter: as many of both, so that the next part of the filter
/// meets the values of the next tile.
const TILE: usize = 4;
/// Points at which polynomials are taken: as many as coefficients of a product of two with [`TILE`] each.
const POINTS: usize = 2 * TILE - 1;

/// The points but for the last, which is infinity: 0, 1, -1, `A`, `-A`, `B`.
const FINITE: [f32; POINTS - 1] = [0.0, 1.0, -1.0, A, -A, B];
const A: f32 = 2.0;
const B: f32 = -0.5;

/// Elements of a job at one point: with those at the others they stay in a core's cache.
const JOB: usize = 1 << 14;
/// Channels that are turned at a time; fewer would cost more than the products that are saved.
const LANES: usize = 16;
/// Output steps below which turning the filter does.
const STEPS: usize = 128;

/// What minimal filtering is for: one group, stride 1, whole lanes of channels, and enough taps and steps.
pub(super) fn fits(groups: usize, window: Window, sizes: Sizes) -> bool {
    groups == 1
        && window.stride == 1
        && window.kernel > 2
        && sizes.channels.is_multiple_of(LANES)
        && sizes.outputs.is_multiple_of(LANES)
        && sizes.batch * sizes.steps >= STEPS
}

/// The convolution of x `[batch, time, channel]` with a weight `[kernel * channel, out]`.
pub(crate) fn convolve(
    level: Level,
    window: Window,
    sizes: Sizes,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let Sizes { batch, time, steps, channels, outputs, .. } = sizes;
    let parts = window.kernel.div_ceil(TILE);
    let filters = turned_filter(level, parts, channels * outputs, weight);
    let blocks = blocks(window.dilation, steps, channels.max(outputs));
    let none = vec![0.0; outputs];
    let bias = bias.unwrap_or(&none);
    let length = batch * steps * outputs;
    let mut y = Vec::with_capacity(length);
    let items = y.spare_capacity_mut()[..length].par_chunks_mut(steps * outputs).enumerate();
    let span = blocks * TILE * window.dilation;
    let jobs = items.flat_map(|(item, y)| {
        y.par_chunks_mut(span * outputs).enumerate().map(move |(number, y)| (item, number * span, y))
    });
    jobs.for_each_init(<(Vec<f32>, Vec<f32>)>::default, |(inputs, products), (item, first, y)| {
        let blocks = (y.len() / outputs).div_ceil(TILE * window.dilation);
        let tiles = Tiles { first, dilation: window.dilation, padding: window.padding, blocks, extra: parts - 1 };
        let rows = tiles.rows();
        inputs.resize(POINTS * rows * channels, 0.0);
        turn_inputs(level, &x[item * time * channels..][..time * channels], channels, tiles, inputs);
        // The rows between two phases' tiles are computed, too, and not read.
        let sums = rows - tiles.extra;
        products.resize(POINTS * sums * outputs, 0.0);
        let filters = filters.chunks_exact(parts * channels * outputs);
        for ((inputs, filter), products) in
            inputs.chunks_exact(rows * channels).zip(filters).zip(products.chunks_exact_mut(sums * outputs))
        {
            let inputs = Matrix::new(inputs, sums, parts * channels, channels);
            let filter = Matrix::new(filter, parts * channels, outputs, outputs);
            set_product(inputs, filter, products, outputs, Threads::One);
        }
        turn_products(level, products, bias, tiles, y);
    });
    // SAFETY: the jobs cover all steps of all items, and `turn_products` initialises every step of a job.
    unsafe { y.set_len(length) };
    y
}

/// How many tiles of each phase a job has. It depends on shapes alone.
fn blocks(dilation: usize, steps: usize, width: usize) -> usize {
    let all = steps.div_ceil(TILE * dilation);
    let rows = (JOB / width).clamp(64, 512);
    let jobs = (all * dilation).div_ceil(rows).next_multiple_of(2);
    all.div_ceil(jobs)
}

/// The tiles of a job: of each phase (every `dilation`-th step) `blocks` adjacent ones, and the `extra` ones behind
/// that later parts of the filter meet.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// First output step.
    first: usize,
    dilation: usize,
    padding: usize,
    blocks: usize,
    extra: usize,
}

impl Tiles {
    fn rows(self) -> usize {
        self.dilation * (self.blocks + self.extra)
    }

    /// Step `index` of a tile of a phase, counted from the job's first.
    fn step(self, phase: usize, tile: usize, index: usize) -> usize {
        (tile * TILE + index) * self.dilation + phase
    }
}

/// The values of each part of the filter at the points, `[point, part * channel, out]`; `row` elements are a tap.
fn turned_filter(level: Level, parts: usize, row: usize, weight: &[f32]) -> Vec<f32> {
    let mut turned = vec![0.0; POINTS * parts * row];
    turned.par_chunks_mut(row).enumerate().for_each(|(index, turned)| {
        let (point, part) = (index / parts, index % parts);
        let taps = weight[part * TILE * row..].chunks_exact(row).take(TILE);
        for (power, tap) in taps.enumerate() {
            add_scaled(level, turned, tap, filter_factor(point, power as i32));
        }
    });
    turned
}

/// By what tap `power` enters a filter's value at a point. The values are divided by the product of the point's
/// distances from the others, as interpolation asks for.
fn filter_factor(point: usize, power: i32) -> f32 {
    match FINITE.get(point) {
        Some(&at) => {
            let distances: f32 = FINITE.iter().filter(|&&other| other != at).map(|other| at - other).product();
            at.powi(power) / distances
        }
        None => f32::from(power as usize == TILE - 1),
    }
}

vectorised! {
    fn add_scaled<const FMA>(sums: &mut [f32], values: &[f32], factor: f32) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum = mul_add::<FMA>(value, factor, *sum);
        }
    }
}

/// `LANES` channels at each point, or of each step.
type Bundle<const N: usize> = [[f32; LANES]; N];

vectorised! {
    /// The transposed interpolation of every tile's inputs, `[point, tile, channel]`.
    fn turn_inputs<const FMA>(x: &[f32], channels: usize, tiles: Tiles, turned: &mut [f32]) {
        let zeros = vec![0.0; channels];
        let plane = tiles.rows() * channels;
        let per_phase = tiles.blocks + tiles.extra;
        // Phase by phase within a tile's steps: memory of x is then read in order.
        for (tile, phase) in (0..per_phase).flat_map(|tile| (0..tiles.dilation).map(move |phase| (tile, phase))) {
            let row = phase * per_phase + tile;
            let mut source: [&[f32]; POINTS] = [&zeros; POINTS];
            for (index, source) in source.iter_mut().enumerate() {
                let step = tiles.first + tiles.step(phase, tile, index);
                let start = step.checked_sub(tiles.padding).map(|step| step * channels);
                if let Some(inside) = start.and_then(|start| x.get(start..start + channels)) {
                    *source = inside;
                }
            }
            for channel in (0..channels).step_by(LANES) {
                let mut d = [[0.0; LANES]; POINTS];
                for (d, source) in d.iter_mut().zip(source) {
                    d.copy_from_slice(&source[channel..channel + LANES]);
                }
                for (point, values) in inputs_at_points::<FMA>(&d).iter().enumerate() {
                    turned[point * plane + row * channels + channel..][..LANES].copy_from_slice(values);
                }
            }
        }
    }
}

/// The transposed interpolation of a tile: for each point the product of the polynomials `(x - other point)`, with
/// inputs for powers of x.
#[inline(always)]
fn inputs_at_points<const FMA: bool>(d: &Bundle<POINTS>) -> Bundle<POINTS> {
    let mut at = [[0.0; LANES]; POINTS];
    for lane in 0..LANES {
        // (x - B) is a factor of all but B's own, (x² - 1) or (x² - A²) of all but those of one pair.
        let w = |k: usize| mul_add::<FMA>(-B, d[k][lane], d[k + 1][lane]);
        let (w0, w1, w2, w3, w4, w5) = (w(0), w(1), w(2), w(3), w(4), w(5));
        let ones = |low: f32, high: f32| high - low;
        let twos = |low: f32, high: f32| mul_add::<FMA>(-A * A, low, high);
        let both = |low, middle, high| twos(ones(low, middle), ones(middle, high));
        at[0][lane] = both(w0, w2, w4);
        at[1][lane] = twos(w2, w4) + twos(w1, w3);
        at[2][lane] = twos(w2, w4) - twos(w1, w3);
        at[3][lane] = mul_add::<FMA>(A, ones(w1, w3), ones(w2, w4));
        at[4][lane] = mul_add::<FMA>(-A, ones(w1, w3), ones(w2, w4));
        at[5][lane] = both(d[1][lane], d[3][lane], d[5][lane]);
        at[6][lane] = both(w1, w3, w5);
    }
    at
}

vectorised! {
    /// The steps of a job's tiles from their values at the points, plus a bias.
    fn turn_products<const FMA>(
        products: &[f32],
        bias: &[f32],
        tiles: Tiles,
        y: &mut [MaybeUninit<f32>],
    ) {
        let outputs = bias.len();
        let plane = (tiles.rows() - tiles.extra) * outputs;
        for tile in 0..tiles.blocks {
            for phase in 0..tiles.dilation {
                let row = phase * (tiles.blocks + tiles.extra) + tile;
                for output in (0..outputs).step_by(LANES) {
                    let mut m = [[0.0; LANES]; POINTS];
                    for (point, m) in m.iter_mut().enumerate() {
                        m.copy_from_slice(&products[point * plane + row * outputs + output..][..LANES]);
                    }
                    let steps = steps_from_points::<FMA>(&m, bias[output..].first_chunk().expect("whole lanes"));
                    for (index, step) in steps.iter().enumerate() {
                        let start = tiles.step(phase, tile, index) * outputs + output;
                        if let Some(y) = y.get_mut(start..start + LANES) {
                            y.write_copy_of_slice(step);
                        }
                    }
                }
            }
        }
    }
}

/// The polynomials' values at the points, each times the point's powers: the steps of a tile.
#[inline(always)]
fn steps_from_points<const FMA: bool>(m: &Bundle<POINTS>, bias: &[f32; LANES]) -> Bundle<TILE> {
    let mut steps = [[0.0; LANES]; TILE];
    for lane in 0..LANES {
        let [m0, m1, m2, m3, m4, m5, m6] =
            [m[0][lane], m[1][lane], m[2][lane], m[3][lane], m[4][lane], m[5][lane], m[6][lane]];
        let (even, odd) = (m1 + m2, m1 - m2);
        let (even_a, odd_a) = (m3 + m4, m3 - m4);
        let bias = bias[lane];
        steps[0][lane] = (bias + m0) + (even + (even_a + m5));
        steps[1][lane] = bias + mul_add::<FMA>(B, m5, mul_add::<FMA>(A, odd_a, odd));
        steps[2][lane] = bias + mul_add::<FMA>(B * B, m5, mul_add::<FMA>(A * A, even_a, even));
        steps[3][lane] = (bias + m6) + mul_add::<FMA>(B * B * B, m5, mul_add::<FMA>(A * A * A, odd_a, odd));
    }
    steps
}
