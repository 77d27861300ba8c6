//! Log-mel spectrograms.

use crate::band::Band;
use crate::{Frames, Stft};

/// What a log-mel spectrogram is made of; the default is the one of neural vocoders at 16 kHz.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMelConfig {
    /// Sample rate in Hz.
    pub rate: u32,
    /// Samples per window and transform.
    pub fft: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Mel bands.
    pub bands: usize,
    /// Lower edge of the first band in Hz.
    pub low: f64,
    /// Upper edge of the last band in Hz.
    pub high: f64,
    /// The smallest magnitude a band can have before the logarithm.
    pub floor: f64,
}

impl Default for LogMelConfig {
    /// Source: section 3.2 of the specification (`logmelfilterbank` of the official SpeechT5 code).
    fn default() -> Self {
        Self { rate: 16_000, fft: 1024, hop: 256, bands: 80, low: 80.0, high: 7600.0, floor: 1e-10 }
    }
}

/// Log-mel spectrograms: log10 of the magnitudes of a centred, reflect-padded Hann [`Stft`], summed in Slaney's mel bands
/// with area normalisation. No mean or variance is taken away.
pub struct LogMel {
    config: LogMelConfig,
    stft: Stft,
    bands: Vec<Band>,
}

impl Default for LogMel {
    fn default() -> Self {
        Self::new(LogMelConfig::default())
    }
}

impl LogMel {
    /// Plans the transform and the mel matrix; panics on impossible sizes (they are a program's constants, not data).
    pub fn new(config: LogMelConfig) -> Self {
        assert!(config.low >= 0.0 && config.low < config.high && config.high <= f64::from(config.rate) / 2.0);
        let (stft, bands) = (Stft::new(config.fft, config.hop), mel_bands(&config));
        Self { config, stft, bands }
    }

    /// What it was made with.
    pub fn config(&self) -> &LogMelConfig {
        &self.config
    }

    /// The transform below the bands.
    pub fn stft(&self) -> &Stft {
        &self.stft
    }

    /// Frames of `samples` samples: `1 + samples / hop`.
    pub fn frames(&self, samples: usize) -> usize {
        self.stft.frames(samples)
    }

    /// The log-mel spectrogram `[1 + samples / hop, bands]` of samples in [-1, 1], for any number of samples but 0 (panics):
    /// where the padding is longer than the recording, the reflection is repeated.
    pub fn log_mel(&self, samples: &[f32]) -> Frames {
        let mut data = Vec::with_capacity(self.frames(samples.len()) * self.bands.len());
        let mut magnitudes = vec![0.0; self.stft.bins()];
        self.stft.for_each_frame(samples, |spectrum| {
            magnitudes.iter_mut().zip(spectrum).for_each(|(m, value)| *m = value.norm_sqr().sqrt());
            data.extend(
                self.bands
                    .iter()
                    .map(|band| band.sum(&magnitudes, |&magnitude| magnitude).max(self.config.floor).log10() as f32),
            );
        });
        Frames { data, width: self.bands.len() }
    }

    /// The mel matrix, row-major `[bands, fft / 2 + 1]`.
    pub fn matrix(&self) -> Vec<f64> {
        let bins = self.stft.bins();
        let mut matrix = vec![0.0; self.bands.len() * bins];
        for (row, band) in matrix.chunks_exact_mut(bins).zip(&self.bands) {
            band.write(row);
        }
        matrix
    }
}

/// Triangles between neighbouring points of an even division of the mel scale, each of area 1 over Hz times 2 (librosa's
/// `filters.mel(norm="slaney")`).
fn mel_bands(config: &LogMelConfig) -> Vec<Band> {
    let bins = config.fft / 2 + 1;
    let (low, high) = (hertz_to_mel(config.low), hertz_to_mel(config.high));
    let edge = |i: usize| mel_to_hertz(low + (high - low) * i as f64 / (config.bands + 1) as f64);
    let hertz = |bin: usize| bin as f64 * f64::from(config.rate) / config.fft as f64;
    (0..config.bands)
        .map(|band| {
            let (left, centre, right) = (edge(band), edge(band + 1), edge(band + 2));
            let weight = |bin: usize| {
                let rise = (hertz(bin) - left) / (centre - left);
                let fall = (right - hertz(bin)) / (right - centre);
                rise.min(fall).max(0.0) * 2.0 / (right - left)
            };
            Band::new(bins, weight)
        })
        .collect()
}

/// Slaney's mel scale: linear below 1 kHz, logarithmic above.
const LINEAR_HERTZ_PER_MEL: f64 = 200.0 / 3.0;
const LOG_FROM_HERTZ: f64 = 1000.0;
/// The natural logarithm of the frequency ratio of one mel above 1 kHz: 27 mels are a factor of 6.4.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < LOG_FROM_HERTZ {
        hertz / LINEAR_HERTZ_PER_MEL
    } else {
        LOG_FROM_HERTZ / LINEAR_HERTZ_PER_MEL + (hertz / LOG_FROM_HERTZ).ln() / log_step()
    }
}

fn mel_to_hertz(mel: f64) -> f64 {
    let log_from = LOG_FROM_HERTZ / LINEAR_HERTZ_PER_MEL;
    if mel < log_from { mel * LINEAR_HERTZ_PER_MEL } else { LOG_FROM_HERTZ * ((mel - log_from) * log_step()).exp() }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn near(found: impl Into<f64>, expected: f64, tolerance: f64) {
        let found = found.into();
        assert!((found - expected).abs() <= tolerance, "{found} where {expected} is expected");
    }

    #[test]
    fn frame_counts() {
        let mel = LogMel::default();
        for (samples, frames) in [(600, 3), (1056, 5), (15999, 63), (16000, 63), (16001, 63), (31999, 125)] {
            assert_eq!(mel.log_mel(&vec![0.1; samples]).len(), frames, "{samples} samples");
            assert_eq!(mel.frames(samples), frames);
        }
    }

    #[test]
    fn silence_lies_on_the_floor() {
        assert!(LogMel::default().log_mel(&[0.0; 3000]).data.iter().all(|&value| value == -10.0));
    }

    /// Golden values of section 3.2; four decimals are given, hence 1e-4.
    #[test]
    fn a_sine_gives_the_golden_values() {
        let samples: Vec<f32> =
            (0..16000).map(|n| (0.5 * (TAU * 440.0 * f64::from(n) / 16000.0).sin()) as f32).collect();
        let log_mel = LogMel::default().log_mel(&samples);
        assert_eq!((log_mel.len(), log_mel.width), (63, 80));
        let row = log_mel.row(30);
        let (loudest, &value) = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert_eq!(loudest, 9);
        near(value, 0.7355, 1e-4);
        for (found, expected) in row.iter().zip([-3.7854, -3.6629, -3.4830, -3.3052, -3.0795, -2.7833]) {
            near(*found, expected, 1e-4);
        }
        near(log_mel.data.iter().sum::<f32>() / log_mel.data.len() as f32, -5.0566, 1e-4);
    }

    #[test]
    fn the_matrix_has_the_golden_sums() {
        let matrix = LogMel::default().matrix();
        assert_eq!(matrix.len(), 80 * 513);
        near(matrix.iter().sum::<f64>(), 5.11919, 1e-5);
        near(matrix.iter().copied().fold(0.0, f64::max), 0.027853, 1e-6);
        for (row, sum) in [(0, 0.063030), (1, 0.063030), (40, 0.063798), (79, 0.064005)] {
            near(matrix[row * 513..(row + 1) * 513].iter().sum::<f64>(), sum, 1e-6);
        }
    }

    #[test]
    fn the_shortest_recordings_work() {
        let mel = LogMel::default();
        for samples in [1, 2, 3, 255, 256, 512, 513] {
            let log_mel = mel.log_mel(&vec![0.3; samples]);
            assert_eq!(log_mel.len(), 1 + samples / 256);
            // A constant stays constant however it is reflected, so all frames are equal.
            let first = mel.log_mel(&vec![0.3; 4096]);
            near(log_mel.row(0)[40], f64::from(first.row(0)[40]), 1e-3);
            near(log_mel.row(0)[0], f64::from(first.row(0)[0]), 1e-3);
        }
    }
}
