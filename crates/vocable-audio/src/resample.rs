//! From one sample rate to another.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Band-limited resampling from `from` Hz to `to` Hz by a windowed sinc, without delay: sample 0 stays sample 0, and `n`
/// samples become `round(n · to / from)`.
///
/// The band that both rates share is kept but for its uppermost per cent or so; the recording counts as silent before its
/// first and after its last sample. Panics where a rate is 0.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    assert!(from > 0 && to > 0, "cannot resample from {from} Hz to {to} Hz");
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let length = (samples.len() as f64 * f64::from(to) / f64::from(from)).round() as usize;
    let (from, to) = (from as usize, to as usize);
    let mut resampler = Fft::<f32>::new_custom(from, to, chunk(from, to), 1, 1, WINDOW, FixedSync::Input)
        .expect("positive rates, one channel and one block per chunk");
    let input = SequentialSlice::new(samples, 1, samples.len()).expect("one channel as long as the slice");
    let mut output =
        resampler.process_all(&input, samples.len(), None).expect("the resampler sizes its own buffers").take_data();
    // The library rounds the length up.
    output.truncate(length);
    output
}

const WINDOW: WindowFunction = WindowFunction::BlackmanHarris2;

/// Input samples per transform, which is also the length of the sinc: an even number of the smallest blocks that are
/// whole at both rates, so that half of it, the filter's delay, is a whole number of samples at both rates.
fn chunk(from: usize, to: usize) -> usize {
    const TAPS: usize = 1024;
    let common = greatest_common_divisor(from, to);
    let pairs = TAPS.div_ceil(2 * from.min(to) / common);
    2 * pairs * from / common
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn sine(hertz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    #[test]
    fn length_is_rounded_exactly() {
        for (from, to) in
            [(8000, 16000), (11025, 16000), (22050, 16000), (24000, 16000), (44100, 16000), (16000, 15999)]
        {
            for samples in [1, 2, 3, 160, 1001, 16001] {
                let expected = (samples as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(resample(&vec![0.1; samples], from, to).len(), expected, "{samples} samples {from} to {to}");
            }
        }
    }

    #[test]
    fn sines_stay_where_they_were() {
        for (from, to) in [(8000, 16000), (11025, 16000), (22050, 16000), (48000, 16000), (16000, 22050)] {
            for hertz in [50.0, 440.0, 3400.0] {
                let resampled = resample(&sine(hertz, from, from as usize), from, to);
                let ideal = sine(hertz, to, to as usize);
                // The ends ring: outside the recording lies silence.
                let middle = 2000..ideal.len() - 2000;
                let worst = middle.map(|n| (resampled[n] - ideal[n]).abs()).fold(0.0, f32::max);
                // -80 dB of the sine: a delay of a hundredth of a sample would show at 3400 Hz.
                assert!(worst < 5e-5, "{hertz} Hz from {from} to {to}: {worst}");
            }
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_removed() {
        let aliased = resample(&sine(9000.0, 44100, 44100), 44100, 16000);
        let worst = aliased[2000..14000].iter().fold(0.0_f32, |worst, sample| worst.max(sample.abs()));
        assert!(worst < 5e-5, "9 kHz left {worst} at 16 kHz");
    }
}
