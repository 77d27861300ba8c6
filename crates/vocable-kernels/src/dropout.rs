//! Which elements a dropout mask keeps: shared by the fused kernels and the composed operations, so that both drop the
//! same elements.

use vocable_random::hash32;

/// Whether the element at row-major position `index` survives.
#[inline(always)]
pub(crate) fn keeps(seed: u64, index: usize, probability: f64) -> bool {
    hash32(seed, index as u32) >= threshold(probability)
}

/// A hash below this value drops its element; a `probability` of one keeps one element in 2³².
#[inline(always)]
pub(crate) fn threshold(probability: f64) -> u32 {
    (probability * 4_294_967_296.0) as u32
}

/// What survivors are multiplied by, so that the expectation stays.
#[inline(always)]
pub(crate) fn keep_scale(probability: f64) -> f32 {
    (1.0 / (1.0 - probability)) as f32
}
