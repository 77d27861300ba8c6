//! Mel-frequency cepstral coefficients as Kaldi computes them, and their time derivatives.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::Frames;
use crate::band::Band;

const CEPSTRA: usize = 13;
const BANDS: usize = 23;
const LOW_HERTZ: f64 = 20.0;
const PRE_EMPHASIS: f64 = 0.97;
const LIFTER: f64 = 22.0;
/// The smallest band energy before the logarithm: single precision's epsilon, in Kaldi as in torchaudio.
const FLOOR: f64 = f32::EPSILON as f64;

/// Kaldi's MFCC: 13 coefficients from 23 mel bands, windows of 25 ms every 10 ms, only whole windows, no dither.
///
/// The defaults of `torchaudio.compliance.kaldi.mfcc(use_energy=False)` on samples in [-1, 1], which fairseq's
/// `simple_kmeans/dump_mfcc_feature.py` calls.
pub struct Mfcc {
    window: Vec<f64>,
    shift: usize,
    bands: Vec<Band>,
    /// The liftered cosine transform `[CEPSTRA, BANDS]`.
    transform: Vec<[f64; BANDS]>,
    fft: Arc<dyn RealToComplex<f64>>,
}

impl Mfcc {
    /// Plans for samples at `rate` Hz, at least 4000 (panics).
    pub fn new(rate: u32) -> Self {
        assert!(rate >= 4000, "the mel bands need more than a rate of {rate} Hz");
        let rate = f64::from(rate);
        // Kaldi counts windows in whole samples, rounded down.
        let (length, shift) = ((rate * 0.025) as usize, (rate * 0.010) as usize);
        let transform_length = length.next_power_of_two();
        Self {
            window: (0..length).map(|n| povey(n, length)).collect(),
            shift,
            bands: mel_bands(rate, transform_length),
            transform: (0..CEPSTRA).map(liftered_cosines).collect(),
            fft: RealFftPlanner::new().plan_fft_forward(transform_length),
        }
    }

    /// Frames of `samples` samples: as many as whole windows fit, none where not even one does.
    pub fn frames(&self, samples: usize) -> usize {
        samples.checked_sub(self.window.len()).map_or(0, |rest| 1 + rest / self.shift)
    }

    /// The coefficients `[frames, 13]`, 100 frames per second.
    pub fn mfcc(&self, samples: &[f32]) -> Frames {
        let frames = self.frames(samples.len());
        let mut data = Vec::with_capacity(frames * CEPSTRA);
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        for start in (0..frames).map(|index| index * self.shift) {
            self.fill(&samples[start..start + self.window.len()], &mut frame);
            self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).expect("planned sizes");
            let log_energies: [f64; BANDS] =
                std::array::from_fn(|band| self.bands[band].sum(&spectrum, |value| value.norm_sqr()).max(FLOOR).ln());
            data.extend(
                self.transform.iter().map(|row| {
                    row.iter().zip(&log_energies).map(|(cosine, energy)| cosine * energy).sum::<f64>() as f32
                }),
            );
        }
        Frames { data, width: CEPSTRA }
    }

    /// Coefficients, their first and their second derivatives `[frames, 39]`, 100 frames per second;
    /// `.every(2)` makes them the 50 Hz features that first-iteration units are clustered from.
    pub fn mfcc_with_deltas(&self, samples: &[f32]) -> Frames {
        let mfcc = self.mfcc(samples);
        let first = deltas(&mfcc);
        Frames::beside(&[&mfcc, &first, &deltas(&first)])
    }

    /// One window: without its mean, pre-emphasised (the sample before the first is taken equal to it), tapered, padded with zeros.
    fn fill(&self, samples: &[f32], frame: &mut [f64]) {
        let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / samples.len() as f64;
        let mut before = f64::from(samples[0]) - mean;
        frame.fill(0.0);
        for ((value, &sample), weight) in frame.iter_mut().zip(samples).zip(&self.window) {
            let centred = f64::from(sample) - mean;
            *value = (centred - PRE_EMPHASIS * before) * weight;
            before = centred;
        }
    }
}

/// Time derivatives by regression over two frames on either side, the ends repeated (`torchaudio.functional.compute_deltas`
/// with its window of 5): same shape as `frames`.
pub fn deltas(frames: &Frames) -> Frames {
    let last = frames.len().saturating_sub(1);
    let at = |t: usize, step: isize| frames.row(t.saturating_add_signed(step).min(last));
    let data = (0..frames.len())
        .flat_map(|t| {
            let near = at(t, 1).iter().zip(at(t, -1));
            let far = at(t, 2).iter().zip(at(t, -2));
            near.zip(far).map(|((b, a), (d, c))| ((b - a) + 2.0 * (d - c)) / 10.0)
        })
        .collect();
    Frames { data, width: frames.width }
}

/// Kaldi's own window: a Hann window to the power 0.85.
fn povey(n: usize, length: usize) -> f64 {
    (0.5 - 0.5 * (TAU * n as f64 / (length - 1) as f64).cos()).powf(0.85)
}

/// Row `index` of the orthonormal DCT-II over the bands, times the cepstral lifter's weight.
fn liftered_cosines(index: usize) -> [f64; BANDS] {
    let scale = if index == 0 { (1.0 / BANDS as f64).sqrt() } else { (2.0 / BANDS as f64).sqrt() };
    let lifter = 1.0 + 0.5 * LIFTER * (PI * index as f64 / LIFTER).sin();
    std::array::from_fn(|band| lifter * scale * (PI / BANDS as f64 * (band as f64 + 0.5) * index as f64).cos())
}

/// Triangles that are straight over the mel scale (not over Hz), of height 1, from 20 Hz to half the rate.
fn mel_bands(rate: f64, transform_length: usize) -> Vec<Band> {
    let mel = |hertz: f64| 1127.0 * (1.0 + hertz / 700.0).ln();
    let low = mel(LOW_HERTZ);
    let step = (mel(rate / 2.0) - low) / (BANDS + 1) as f64;
    (0..BANDS)
        .map(|band| {
            let left = low + band as f64 * step;
            let weight = |bin: usize| {
                let position = (mel(bin as f64 * rate / transform_length as f64) - left) / step;
                position.min(2.0 - position)
            };
            // Kaldi leaves out the last bin, at half the rate.
            Band::new(transform_length / 2, weight)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signal of `fixtures/mfcc/make.py`, bit for bit.
    fn signal(samples: usize) -> Vec<f32> {
        let (mut state, mut walk) = (12345_i64, 0_i64);
        (0..samples)
            .map(|n| {
                state = (1_103_515_245 * state + 12_345).rem_euclid(1 << 31);
                walk = (walk * 15).div_euclid(16) + (state >> 16) % 4001 - 2000;
                if (1600..2400).contains(&n) { 0.0 } else { walk as f32 / 32768.0 }
            })
            .collect()
    }

    /// Kaldi's own code, by kaldi-native-fbank. It computes in single precision and the fixture has six digits, on values
    /// up to 40: 2e-4, four times what is measured.
    #[test]
    fn coefficients_and_deltas_equal_kaldi() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/mfcc/golden.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = golden["frames"].as_array().unwrap();
        let samples = golden["samples"].as_u64().unwrap() as usize;
        let found = Mfcc::new(16_000).mfcc_with_deltas(&signal(samples));
        assert_eq!((found.len(), found.width), (rows.len(), 39));
        let mut worst = 0.0_f64;
        for (row, expected) in found.rows().zip(rows) {
            for (value, expected) in row.iter().zip(expected.as_array().unwrap()) {
                worst = worst.max((f64::from(*value) - expected.as_f64().unwrap()).abs());
            }
        }
        assert!(worst < 2e-4, "{worst} off Kaldi");
    }

    #[test]
    fn frames_are_whole_windows() {
        let mfcc = Mfcc::new(16_000);
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)] {
            assert_eq!(mfcc.mfcc(&vec![0.1; samples]).len(), frames, "{samples} samples");
            assert_eq!(mfcc.mfcc_with_deltas(&vec![0.1; samples]).len(), frames);
        }
        assert_eq!(mfcc.mfcc_with_deltas(&signal(16_000)).every(2).len(), 49);
    }

    #[test]
    fn deltas_of_a_ramp_are_its_slope() {
        let ramp = Frames::new((0..10).flat_map(|t| [3.0 * t as f32, 1.0]).collect(), 2);
        let slopes = deltas(&ramp);
        for row in slopes.rows().skip(2).take(6) {
            assert!((row[0] - 3.0).abs() < 1e-6 && row[1] == 0.0);
        }
        // At the end the last frame stands in for the two that are missing: (1·3 + 2·6) / 10.
        assert!((slopes.row(0)[0] - 1.5).abs() < 1e-6);
    }
}
