//! Long spectrograms in pieces.

use std::ops::Range;

/// The samples of `frames` frames, `hop` for each, from those of pieces of at most `chunk` frames.
///
/// A sample depends on the frames at most `reach` away from its own, so `generate` is given each piece with as many
/// frames on both sides, as far as there are any, and what it makes of those is dropped.
pub(crate) fn in_chunks(
    frames: usize,
    chunk: usize,
    reach: usize,
    hop: usize,
    generate: impl Fn(Range<usize>) -> Vec<f32>,
) -> Vec<f32> {
    let mut samples = Vec::with_capacity(frames * hop);
    for start in (0..frames).step_by(chunk) {
        let end = (start + chunk).min(frames);
        let around = start.saturating_sub(reach)..(end + reach).min(frames);
        let wide = generate(around.clone());
        samples.extend_from_slice(&wide[(start - around.start) * hop..(end - around.start) * hop]);
    }
    samples
}
