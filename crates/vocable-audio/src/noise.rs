//! Noise at a stated level.

use rand_distr::{Distribution, StandardNormal};
use vocable_random::Key;

/// `samples` values of Gaussian white noise of power 1.
pub fn white_noise(samples: usize, key: Key) -> Vec<f32> {
    StandardNormal.sample_iter(key.rng()).take(samples).collect()
}

/// `signal + g · noise` with `g` such that the power of the signal is `snr` decibels above that of the scaled noise, both
/// taken over the whole recording.
///
/// Nothing is clipped, so the sum may leave [-1, 1]. A silent signal or noise gives the signal back: no level would have
/// the ratio. Panics where the lengths differ.
pub fn mix_at_snr(signal: &[f32], noise: &[f32], snr: f64) -> Vec<f32> {
    assert_eq!(signal.len(), noise.len(), "signal and noise differ in length");
    let (wanted, found) = (power(signal) / 10.0_f64.powf(snr / 10.0), power(noise));
    let gain = if found > 0.0 { (wanted / found).sqrt() } else { 0.0 };
    signal.iter().zip(noise).map(|(&s, &n)| (f64::from(s) + gain * f64::from(n)) as f32).collect()
}

/// The signal with white noise `snr` decibels below it; `key` draws the noise. See [`mix_at_snr`].
pub fn add_white_noise(signal: &[f32], snr: f64, key: Key) -> Vec<f32> {
    mix_at_snr(signal, &white_noise(signal.len(), key), snr)
}

/// Mean square.
fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_stated_one() {
        let signal: Vec<f32> = (0..8000).map(|n| (n as f32 * 0.1).sin() * 0.3).collect();
        for snr in [-5.0, 0.0, 20.0] {
            let noisy = add_white_noise(&signal, snr, Key::new(4));
            let noise: Vec<f32> = noisy.iter().zip(&signal).map(|(a, b)| a - b).collect();
            let found = 10.0 * (power(&signal) / power(&noise)).log10();
            // Single-precision sums.
            assert!((found - snr).abs() < 1e-3, "{found} dB where {snr} dB was asked for");
        }
    }

    #[test]
    fn the_noise_is_keyed_white_and_of_power_one() {
        let noise = white_noise(20_000, Key::new(1));
        assert_eq!(noise, white_noise(20_000, Key::new(1)));
        assert_ne!(noise, white_noise(20_000, Key::new(2)));
        // 5 standard deviations of the estimates over 20,000 draws.
        assert!((power(&noise) - 1.0).abs() < 5.0 * (2.0_f64 / 20_000.0).sqrt());
        let neighbours: f64 = noise.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / 20_000.0;
        assert!(neighbours.abs() < 5.0 / 20_000.0_f64.sqrt());
    }

    #[test]
    fn silence_stays_silence() {
        assert_eq!(add_white_noise(&[0.0; 10], 10.0, Key::new(1)), [0.0; 10]);
        assert_eq!(mix_at_snr(&[0.5; 3], &[0.0; 3], 10.0), [0.5; 3]);
    }
}
