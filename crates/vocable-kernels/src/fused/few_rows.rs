//! `x · weight + bias` for a few rows of x, as in decoding step by step.
//!
//! So thin a product is bound by reading its weight. The weight is therefore read once, in its own order and ahead of
//! use: a band of its rows at a time, widened to `f32` inside the nearest cache and multiplied with all rows of x there.

use std::ops::Range;

use burn::tensor::bf16;
use rayon::prelude::*;

use super::level::{Level, vectorised};
use super::math::mul_add;

/// Rows of x up to which this is faster than the general product.
pub(crate) const FEW: usize = 16;

/// Rows of the weight that are multiplied at a time: as many streams as the processor prefetches well.
const BAND: usize = 8;
/// Columns of a band that are multiplied at a time: a tile of them and its results stay in the nearest cache.
const TILE: usize = 256;
/// Columns whose sums are in registers at a time.
const LANES: usize = 32;
/// Rows of the weight after which sums leave the nearest cache, where scales do not say.
const BLOCK: usize = 32;
/// How many rows ahead the weight is asked for.
const AHEAD: usize = 32;
/// Weights below which a second thread is not worth waking.
const JOB: usize = 1 << 16;

/// One row of a tile. Vectors that cross cache lines would halve the speed of everything here.
#[derive(Clone)]
#[repr(align(64))]
struct Line([f32; TILE]);

impl Line {
    fn lanes(&self) -> &[[f32; LANES]] {
        self.0.as_chunks().0
    }

    fn lanes_mut(&mut self) -> &mut [[f32; LANES]] {
        self.0.as_chunks_mut().0
    }
}

/// How an element of a weight is stored.
pub(crate) trait Element: Copy + Sync {
    fn widen(self) -> f32;

    /// The product of all rows of x with a part of the weight, by loops compiled for a level.
    fn multiply(level: Level, x: &[f32], weight: &Weight<Self>, part: &Part) -> Vec<f32>;
}

/// A weight `[depth, width]`, row-major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight<'a, E> {
    values: &'a [E],
    depth: usize,
    width: usize,
    /// Rows that share their scales.
    block: usize,
    /// What the elements of a column are multiplied by, `[depth / block, width]`; empty where that is one.
    scales: &'a [f32],
}

/// Some rows of a weight, and some of their columns.
#[derive(Debug)]
pub(crate) struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a, E: Element> Weight<'a, E> {
    /// A weight of elements as they are.
    pub(crate) fn new(values: &'a [E], width: usize) -> Self {
        let depth = values.len() / width.max(1);
        Self { values, depth, width, block: BLOCK, scales: &[] }
    }

    /// A weight of which the elements of a column and `depth / (scales / width)` rows are multiplied by one scale.
    pub(crate) fn scaled(values: &'a [E], width: usize, scales: &'a [f32]) -> Self {
        let weight = Self::new(values, width);
        let blocks = scales.len() / width.max(1);
        assert!(blocks > 0 && weight.depth.is_multiple_of(blocks), "the scales do not divide the weight's rows");
        Self { block: weight.depth / blocks, scales, ..weight }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Every element in `f32`, row-major.
    pub(crate) fn widened(&self) -> Vec<f32> {
        let mut wide = vec![0.0; self.values.len()];
        let rows = wide.par_chunks_mut(self.width.max(1)).zip(self.values.par_chunks(self.width.max(1)));
        rows.enumerate().for_each(|(row, (wide, values))| {
            for (wide, value) in wide.iter_mut().zip(values) {
                *wide = value.widen();
            }
            if !self.scales.is_empty() {
                let scales = &self.scales[row / self.block * self.width..][..self.width];
                wide.iter_mut().zip(scales).for_each(|(wide, scale)| *wide *= scale);
            }
        });
        wide
    }

    /// Whether a product with this weight can be computed here.
    pub(crate) fn fits(&self) -> bool {
        self.width > 0 && self.depth > 0 && self.depth.is_multiple_of(BAND) && self.block.is_multiple_of(BAND)
    }

    /// The product of rows of x `[.., depth]` with this weight.
    ///
    /// Each half of the depth is summed in order and the two are added, whatever the number of rows and threads.
    pub(crate) fn product(&self, level: Level, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        assert!(self.fits() && x.len().is_multiple_of(self.depth), "x and weight do not fit");
        let parallel = self.values.len() >= JOB;
        // Threads beyond two share the columns: a sum stays within one thread.
        let shares = if parallel { rayon::current_num_threads().div_ceil(2) } else { 1 };
        let share = self.width.div_ceil(shares).next_multiple_of(TILE).min(self.width);
        let half = self.depth / self.block / 2 * self.block;
        let parts: Vec<Part> = (0..self.width)
            .step_by(share)
            .map(|start| start..(start + share).min(self.width))
            .flat_map(|columns| [0..half, half..self.depth].map(|rows| Part { rows, columns: columns.clone() }))
            .collect();
        let multiply = |part: &Part| E::multiply(level, x, self, part);
        let sums: Vec<Vec<f32>> = match parallel {
            true => parts.par_iter().map(multiply).collect(),
            false => parts.iter().map(multiply).collect(),
        };
        let mut y = Vec::with_capacity(x.len() / self.depth * self.width);
        for row in 0..x.len() / self.depth {
            for (Part { columns, .. }, halves) in parts.iter().step_by(2).zip(sums.chunks_exact(2)) {
                let of = |half: usize| &halves[half][row * columns.len()..][..columns.len()];
                let sums = of(0).iter().zip(of(1)).map(|(a, b)| a + b);
                match bias {
                    Some(bias) => y.extend(sums.zip(&bias[columns.clone()]).map(|(sum, bias)| sum + bias)),
                    None => y.extend(sums),
                }
            }
        }
        y
    }
}

/// The element types, each with its loops compiled for every level.
macro_rules! element {
    ($type:ty, $name:ident, $widen:expr) => {
        vectorised! {
            fn $name<const FMA>(x: &[f32], weight: &Weight<$type>, part: &Part) -> Vec<f32> {
                multiply::<$type, FMA>(x, weight, part)
            }
        }

        impl Element for $type {
            #[inline(always)]
            fn widen(self) -> f32 {
                $widen(self)
            }

            fn multiply(level: Level, x: &[f32], weight: &Weight<Self>, part: &Part) -> Vec<f32> {
                $name(level, x, weight, part)
            }
        }
    };
}

element!(f32, multiply_f32, |value| value);
element!(bf16, multiply_bf16, |value: bf16| f32::from_bits(u32::from(value.to_bits()) << 16));
element!(i8, multiply_i8, f32::from);

#[inline(always)]
fn multiply<E: Element, const FMA: bool>(x: &[f32], weight: &Weight<E>, part: &Part) -> Vec<f32> {
    let &Weight { values, depth, width, block, scales } = weight;
    let Part { rows, columns } = part;
    let mut y = vec![0.0; x.len() / depth * columns.len()];
    let step = if block.is_multiple_of(BLOCK) { BLOCK } else { BAND };
    let mut band = [const { Line([0.0; TILE]) }; BAND];
    let mut sums = vec![Line([0.0; TILE]); x.len() / depth];
    for first in rows.clone().step_by(step) {
        let last = (first + step).min(rows.end);
        for start in columns.clone().step_by(TILE) {
            let count = TILE.min(columns.end - start);
            sums.iter_mut().for_each(|sums| sums.0.fill(0.0));
            for row in (first..last).step_by(BAND) {
                for (line, row) in band.iter_mut().zip(row..) {
                    let stored = &values[row * width + start..];
                    prefetch(stored, AHEAD * width);
                    match stored.first_chunk() {
                        Some(stored) if count == TILE => widen(stored, line),
                        _ => (0..count).for_each(|i| line.0[i] = stored[i].widen()),
                    }
                }
                add_band::<FMA>(&x[row..], depth, &band, &mut sums);
            }
            for (sums, y) in sums.iter().zip(y.chunks_exact_mut(columns.len())) {
                let y = y[start - columns.start..][..count].iter_mut().zip(&sums.0);
                if scales.is_empty() {
                    y.for_each(|(y, sum)| *y += sum);
                } else {
                    let scales = &scales[first / block * width + start..][..count];
                    y.zip(scales).for_each(|((y, sum), scale)| *y = mul_add::<FMA>(*sum, *scale, *y));
                }
            }
        }
    }
    y
}

/// Adds a band, multiplied by the `BAND` elements at the start of each row of x, to the sums of that row.
#[inline(always)]
fn add_band<const FMA: bool>(x: &[f32], stride: usize, band: &[Line; BAND], sums: &mut [Line]) {
    let row = |row: usize| -> &[f32; BAND] { x[row * stride..].first_chunk().expect("the depth is whole bands") };
    let (fours, rest) = sums.as_chunks_mut::<4>();
    // Four rows at a time: each element of the band is read from the cache once for all of them.
    for (n, sums) in fours.iter_mut().enumerate() {
        let [x0, x1, x2, x3] = [0, 1, 2, 3].map(|i| row(4 * n + i));
        let [s0, s1, s2, s3] = sums.each_mut().map(Line::lanes_mut);
        for lane in 0..TILE / LANES {
            let (mut a0, mut a1, mut a2, mut a3) = (s0[lane], s1[lane], s2[lane], s3[lane]);
            for i in 0..BAND {
                let line = &band[i].lanes()[lane];
                add::<FMA>(x0[i], line, &mut a0);
                add::<FMA>(x1[i], line, &mut a1);
                add::<FMA>(x2[i], line, &mut a2);
                add::<FMA>(x3[i], line, &mut a3);
            }
            (s0[lane], s1[lane], s2[lane], s3[lane]) = (a0, a1, a2, a3);
        }
    }
    for (n, sums) in rest.iter_mut().enumerate() {
        let x = row(4 * fours.len() + n);
        for (lane, sums) in sums.lanes_mut().iter_mut().enumerate() {
            let mut a = *sums;
            for i in 0..BAND {
                add::<FMA>(x[i], &band[i].lanes()[lane], &mut a);
            }
            *sums = a;
        }
    }
}

#[inline(always)]
fn add<const FMA: bool>(x: f32, line: &[f32; LANES], sums: &mut [f32; LANES]) {
    for (sum, &value) in sums.iter_mut().zip(line) {
        *sum = mul_add::<FMA>(x, value, *sum);
    }
}

#[inline(always)]
fn widen<E: Element>(stored: &[E; TILE], line: &mut Line) {
    for (wide, value) in line.0.iter_mut().zip(stored) {
        *wide = value.widen();
    }
}

/// Asks for a tile's line `distance` elements further on, which will soon be read; what lies behind the end is ignored.
#[inline(always)]
fn prefetch<E>(values: &[E], distance: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let address = values.as_ptr().wrapping_add(distance).cast::<i8>();
        for line in (0..TILE * size_of::<E>()).step_by(64) {
            // SAFETY: a prefetch reads nothing and ignores what is no address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.wrapping_add(line)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, distance);
}
