//! The two sinusoidal position encodings in use; they differ in layout, first position and padding, so each is its own
//! function.

use burn::tensor::{Device, Tensor, TensorData};

/// fairseq's sinusoids: `[batch, time, width]`, sines in the first half of the channels and cosines in the second.
///
/// The n-th valid frame (from 0) takes position `first + n`, padding frames are zero. fairseq's first position is 2
/// (one above the padding index), which is what callers pass; incremental decoding of step n passes `2 + n`.
/// Source: fairseq `sinusoidal_positional_embedding.py`, spec section 4.1.
pub fn halves(lengths: &[usize], time: usize, width: usize, first: usize, device: &Device) -> Tensor<3> {
    let half = width / 2;
    let rate = 10_000_f64.ln() / (half as f64 - 1.0).max(1.0);
    let row = |position: usize| {
        let angle = move |i: usize| position as f64 * (-(i as f64) * rate).exp();
        // Of an odd width the last channel is empty.
        (0..width).map(move |c| match c / half.max(1) {
            0 => angle(c).sin() as f32,
            1 => angle(c - half).cos() as f32,
            _ => 0.0,
        })
    };
    let table: Vec<f32> = (0..time).flat_map(|t| row(first + t)).collect();
    let mut values = Vec::with_capacity(lengths.len() * time * width);
    for &length in lengths {
        let valid = length.min(time) * width;
        values.extend_from_slice(&table[..valid]);
        values.resize(values.len() + time * width - valid, 0.0);
    }
    Tensor::from_data(TensorData::new(values, [lengths.len(), time, width]), device)
}

/// ESPnet's sinusoids: `[1, time, width]`, sines on even channels and cosines on odd ones, positions `first..`.
///
/// Positions start at 0 and count padding too. Source: ESPnet `transformer/embedding.py`, spec section 4.2.
pub fn interleaved(time: usize, width: usize, first: usize, device: &Device) -> Tensor<3> {
    let rate = 10_000_f64.ln() / width as f64;
    let value = |t: usize, c: usize| {
        let angle = (first + t) as f64 * (-((c / 2 * 2) as f64) * rate).exp();
        if c.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let values: Vec<f32> = (0..time).flat_map(|t| (0..width).map(move |c| value(t, c) as f32)).collect();
    Tensor::from_data(TensorData::new(values, [1, time, width]), device)
}
