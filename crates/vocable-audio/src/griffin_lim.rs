//! A waveform from a log-mel spectrogram, where no vocoder is at hand.

use std::f64::consts::TAU;

use rand::RngExt;
use realfft::num_complex::Complex64;
use vocable_random::Key;

use crate::{Frames, LogMel};

/// The fast Griffin–Lim algorithm (Perraudin, Balazs and Søndergaard 2013) over non-negative magnitudes that fit the mel
/// bands.
///
/// Intelligible, but with a metallic ring: the phases only settle as far as the magnitudes allow, and what lies outside the
/// bands or between the harmonics of high bands is lost.
pub struct GriffinLim {
    log_mel: LogMel,
    /// Mel matrix, row-major `[bands, bins]`, and the bins that each band reaches.
    matrix: Vec<f64>,
    reach: Vec<std::ops::Range<usize>>,
    iterations: usize,
}

/// How far each step overshoots in the direction of the last one; 0 is the algorithm of 1984.
const MOMENTUM: f64 = 0.99;
/// Multiplicative updates of the magnitudes.
const MAGNITUDE_STEPS: usize = 60;
/// Keeps quotients finite, far below any audible magnitude.
const TINY: f64 = 1e-12;

impl GriffinLim {
    /// For spectrograms of `log_mel`, with `iterations` rounds of phase estimation; 32 to 64 are enough.
    pub fn new(log_mel: LogMel, iterations: usize) -> Self {
        let (matrix, bins) = (log_mel.matrix(), log_mel.stft().bins());
        let reach = matrix
            .chunks_exact(bins)
            .map(|row| {
                let start = row.iter().position(|&weight| weight > 0.0).unwrap_or(0);
                let end = row.iter().rposition(|&weight| weight > 0.0).map_or(0, |last| last + 1);
                start..end
            })
            .collect();
        Self { log_mel, matrix, reach, iterations }
    }

    /// Samples from one frame to the next.
    pub fn hop(&self) -> usize {
        self.log_mel.config().hop
    }

    /// Samples of the log10-mel spectrogram `[frames, bands]`: `hop · (frames − 1)` of them, none for a single frame. `key`
    /// draws the phases to start from. Panics where the width is not the number of bands.
    pub fn samples(&self, log_mel: &Frames, key: Key) -> Vec<f32> {
        let (stft, magnitudes) = (self.log_mel.stft(), self.magnitudes(log_mel));
        if log_mel.len() < 2 {
            return Vec::new();
        }
        let mut rng = key.rng();
        let mut estimate: Vec<Complex64> =
            magnitudes.iter().map(|&m| Complex64::from_polar(m, rng.random_range(0.0..TAU))).collect();
        let mut last = vec![Complex64::ZERO; estimate.len()];
        for _ in 0..self.iterations {
            let consistent = stft.spectra(&stft.samples(&estimate));
            for (((value, now), before), &magnitude) in estimate.iter_mut().zip(&consistent).zip(&last).zip(&magnitudes)
            {
                let ahead = now + (now - before) * MOMENTUM;
                *value = ahead * (magnitude / ahead.norm().max(TINY));
            }
            last = consistent;
        }
        stft.samples(&estimate)
    }

    /// Non-negative magnitudes `[frames, bins]` whose mel bands are those of the spectrogram, by the multiplicative updates
    /// of Lee and Seung (2001) for the Kullback-Leibler divergence, which weighs quiet bands by their own size; bins outside
    /// all bands are 0.
    fn magnitudes(&self, log_mel: &Frames) -> Vec<f64> {
        assert_eq!(log_mel.width, self.reach.len(), "the spectrogram has other bands");
        let bins = self.log_mel.stft().bins();
        let mut magnitudes = vec![0.0; log_mel.len() * bins];
        let mut bands = vec![0.0; self.reach.len()];
        let (mut sensitivity, mut correction) = (vec![0.0; bins], vec![0.0; bins]);
        self.to_bins(&vec![1.0; self.reach.len()], &mut sensitivity);
        for (row, frame) in magnitudes.chunks_exact_mut(bins).zip(log_mel.rows()) {
            let wanted: Vec<f64> = frame.iter().map(|&value| 10.0_f64.powf(f64::from(value))).collect();
            self.to_bins(&wanted, row);
            for _ in 0..MAGNITUDE_STEPS {
                self.to_bands(row, &mut bands);
                bands.iter_mut().zip(&wanted).for_each(|(band, wanted)| *band = wanted / band.max(TINY));
                self.to_bins(&bands, &mut correction);
                for ((value, correction), sensitivity) in row.iter_mut().zip(&correction).zip(&sensitivity) {
                    *value *= correction / sensitivity.max(TINY);
                }
            }
        }
        magnitudes
    }

    /// The product with the mel matrix.
    fn to_bands(&self, bins: &[f64], bands: &mut [f64]) {
        for ((band, row), reach) in bands.iter_mut().zip(self.matrix.chunks_exact(bins.len())).zip(&self.reach) {
            *band = row[reach.clone()].iter().zip(&bins[reach.clone()]).map(|(weight, value)| weight * value).sum();
        }
    }

    /// The product with the transposed mel matrix.
    fn to_bins(&self, bands: &[f64], bins: &mut [f64]) {
        bins.fill(0.0);
        for ((band, row), reach) in bands.iter().zip(self.matrix.chunks_exact(bins.len())).zip(&self.reach) {
            bins[reach.clone()].iter_mut().zip(&row[reach.clone()]).for_each(|(value, weight)| *value += weight * band);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice-like tone: sixty harmonics of a gliding pitch under a slow envelope, and a little breath.
    fn voice() -> Vec<f32> {
        (0..12_800)
            .zip(crate::white_noise(12_800, Key::new(9)))
            .map(|(n, breath)| {
                let t = f64::from(n) / 16_000.0;
                let phase = TAU * (120.0 * t + 20.0 * t * t);
                let tone: f64 = (1..60).map(|h| (f64::from(h) * phase).sin() / f64::from(h)).sum();
                (0.2 * tone * (0.6 + 0.4 * (TAU * 3.0 * t).sin())) as f32 + 0.002 * breath
            })
            .collect()
    }

    #[test]
    fn the_bands_of_the_magnitudes_are_the_given_ones() {
        let (log_mel, vocoder) = (LogMel::default(), GriffinLim::new(LogMel::default(), 0));
        let wanted = log_mel.log_mel(&voice());
        let magnitudes = vocoder.magnitudes(&wanted);
        let mut bands = vec![0.0; 80];
        let mut off = 0.0;
        for (bins, row) in magnitudes.chunks_exact(513).zip(wanted.rows()) {
            vocoder.to_bands(bins, &mut bands);
            off += bands.iter().zip(row).map(|(band, value)| (band.log10() - f64::from(*value)).abs()).sum::<f64>();
        }
        let mean = off / wanted.data.len() as f64;
        assert!(mean < 0.01, "bands are off by {mean} decades on average");
    }

    #[test]
    fn the_samples_have_the_given_spectrogram() {
        let (log_mel, key) = (LogMel::default(), Key::new(5));
        let wanted = log_mel.log_mel(&voice());
        let distance = |iterations| {
            let samples = GriffinLim::new(LogMel::default(), iterations).samples(&wanted, key);
            assert_eq!(samples.len(), 256 * (wanted.len() - 1));
            let found = log_mel.log_mel(&samples);
            found.data.iter().zip(&wanted.data).map(|(a, b)| (a - b).abs()).sum::<f32>() / wanted.data.len() as f32
        };
        let (random, refined) = (distance(0), distance(32));
        // Phases matter: random ones cancel between neighbouring frames.
        assert!(refined < 0.1 && refined < 0.5 * random, "from {random} to {refined} decades");
    }

    #[test]
    fn the_key_decides_and_a_single_frame_has_no_samples() {
        let vocoder = GriffinLim::new(LogMel::default(), 2);
        let log_mel = LogMel::default().log_mel(&voice()[..2000]);
        assert_eq!(vocoder.samples(&log_mel, Key::new(1)), vocoder.samples(&log_mel, Key::new(1)));
        assert_ne!(vocoder.samples(&log_mel, Key::new(1)), vocoder.samples(&log_mel, Key::new(2)));
        assert!(vocoder.samples(&Frames::new(vec![0.0; 80], 80), Key::new(1)).is_empty());
    }
}
