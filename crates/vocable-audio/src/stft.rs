//! The short-time Fourier transform and its inverse.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// The window of a transform, as long as it is; both are periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taper {
    /// Falls to 0 at its ends.
    Hann,
    /// Falls to 0.08.
    Hamming,
}

/// What stands before the first sample and behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The samples mirrored, as often as it takes.
    Reflect,
    /// Silence.
    Zeros,
}

/// A centred short-time Fourier transform, with half a window of padding on both sides. With a Hann window and mirrored
/// samples it is librosa's `stft(center=True, pad_mode="reflect")`.
///
/// In double precision: next to a loud tone, single precision's rounding errors would fill the quiet bands, and a
/// logarithm makes them count.
pub struct Stft {
    fft: usize,
    hop: usize,
    window: Vec<f64>,
    padding: Padding,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl Stft {
    /// Plans transforms of `fft` samples (even), `hop` samples apart (at most `fft`), with a Hann window and mirrored
    /// samples.
    pub fn new(fft: usize, hop: usize) -> Self {
        Self::with(fft, hop, Taper::Hann, Padding::Reflect)
    }

    /// The same with another window or padding.
    pub fn with(fft: usize, hop: usize, taper: Taper, padding: Padding) -> Self {
        assert!(fft >= 2 && fft.is_multiple_of(2), "a transform of {fft} samples is not even");
        assert!((1..=fft).contains(&hop), "a hop of {hop} samples skips samples of a transform of {fft}");
        let mut planner = RealFftPlanner::new();
        let level = match taper {
            Taper::Hann => 0.5,
            Taper::Hamming => 0.54,
        };
        let window = (0..fft).map(|n| level - (1.0 - level) * (TAU * n as f64 / fft as f64).cos()).collect();
        Self {
            fft,
            hop,
            window,
            padding,
            forward: planner.plan_fft_forward(fft),
            inverse: planner.plan_fft_inverse(fft),
        }
    }

    /// Frequencies per frame, from 0 to half the sample rate.
    pub fn bins(&self) -> usize {
        self.fft / 2 + 1
    }

    /// Frames of `samples` samples: `1 + samples / hop`.
    pub fn frames(&self, samples: usize) -> usize {
        1 + samples / self.hop
    }

    /// Calls `visit` with the spectrum (`bins` values) of every frame in order; nothing is kept, so an hour needs no
    /// more memory than a second. Panics where there is no sample.
    pub fn for_each_frame(&self, samples: &[f32], mut visit: impl FnMut(&[Complex64])) {
        assert!(!samples.is_empty(), "no samples to transform");
        let half = self.fft as isize / 2;
        let mut frame = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        let mut scratch = self.forward.make_scratch_vec();
        for index in 0..self.frames(samples.len()) {
            let start = (index * self.hop) as isize - half;
            match usize::try_from(start).ok().and_then(|start| samples.get(start..start + self.fft)) {
                Some(inside) => frame.iter_mut().zip(inside).for_each(|(value, &sample)| *value = f64::from(sample)),
                None => (start..).zip(&mut frame).for_each(|(n, value)| *value = f64::from(self.sample(samples, n))),
            }
            frame.iter_mut().zip(&self.window).for_each(|(value, weight)| *value *= weight);
            self.forward.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).expect("planned sizes");
            visit(&spectrum);
        }
    }

    /// The sample at a place that may lie outside.
    fn sample(&self, samples: &[f32], n: isize) -> f32 {
        match self.padding {
            Padding::Reflect => samples[reflect(n, samples.len())],
            Padding::Zeros => usize::try_from(n).ok().and_then(|n| samples.get(n)).copied().unwrap_or(0.0),
        }
    }

    /// All spectra, row-major `[frames, bins]`.
    pub fn spectra(&self, samples: &[f32]) -> Vec<Complex64> {
        let mut spectra = Vec::with_capacity(self.frames(samples.len()) * self.bins());
        self.for_each_frame(samples, |spectrum| spectra.extend_from_slice(spectrum));
        spectra
    }

    /// The samples whose spectra are nearest to `spectra` (`[frames, bins]`) in least squares: `hop · (frames − 1)` of
    /// them, by windowed overlap-add over the sum of squared windows (Griffin and Lim 1984).
    pub fn samples(&self, spectra: &[Complex64]) -> Vec<f32> {
        let frames = spectra.len() / self.bins();
        assert_eq!(frames * self.bins(), spectra.len(), "a part of a frame");
        if frames < 2 {
            return Vec::new();
        }
        let length = self.hop * (frames - 1);
        let mut sum = vec![0.0; length + self.fft];
        let mut weight = vec![0.0; length + self.fft];
        let mut spectrum = self.inverse.make_input_vec();
        let mut frame = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        for (index, row) in spectra.chunks_exact(self.bins()).enumerate() {
            spectrum.copy_from_slice(row);
            // A real signal has real values at both ends of its spectrum, and the transform insists on them.
            spectrum[0].im = 0.0;
            spectrum[self.fft / 2].im = 0.0;
            self.inverse.process_with_scratch(&mut spectrum, &mut frame, &mut scratch).expect("planned sizes");
            let start = index * self.hop;
            for (n, (value, window)) in frame.iter().zip(&self.window).enumerate() {
                sum[start + n] += value * window / self.fft as f64;
                weight[start + n] += window * window;
            }
        }
        let half = self.fft / 2;
        (half..half + length).map(|n| (sum[n] / weight[n].max(1e-8)) as f32).collect()
    }
}

/// The index that sample `n` of a signal of `length` samples mirrors to, over and over where the signal is short, as in
/// numpy's `pad(mode="reflect")`: the ends are not repeated. A single sample is its own mirror image.
fn reflect(n: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let n = n.rem_euclid(period as isize) as usize;
    n.min(period - n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_repeats_as_in_numpy() {
        // numpy.pad([0, 1, 2], 5, "reflect")
        let padded: Vec<usize> = (-5..8).map(|n| reflect(n, 3)).collect();
        assert_eq!(padded, [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!((-3..4).map(|n| reflect(n, 2)).collect::<Vec<_>>(), [1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(reflect(-7, 1), 0);
    }

    #[test]
    fn spectra_equal_the_definition() {
        let stft = Stft::new(16, 4);
        let samples: Vec<f32> = (0..37).map(|n| ((n * n) % 11) as f32 / 11.0 - 0.4).collect();
        let spectra = stft.spectra(&samples);
        assert_eq!(spectra.len(), 10 * 9);
        for (index, row) in spectra.chunks(9).enumerate() {
            for (k, value) in row.iter().enumerate() {
                let (mut re, mut im) = (0.0_f64, 0.0_f64);
                for n in 0..16 {
                    let window = 0.5 - 0.5 * (TAU * n as f64 / 16.0).cos();
                    let sample = f64::from(samples[reflect(4 * index as isize - 8 + n, 37)]);
                    let angle = -TAU * (k as f64) * n as f64 / 16.0;
                    re += window * sample * angle.cos();
                    im += window * sample * angle.sin();
                }
                // Double precision over 16 terms.
                assert!((value.re - re).abs() < 1e-12 && (value.im - im).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_inverse_gives_the_samples_back() {
        let stft = Stft::new(1024, 256);
        let samples: Vec<f32> = (0..5120).map(|n| (n as f32 * 0.013).sin() * (n as f32 * 0.00071).cos()).collect();
        let back = stft.samples(&stft.spectra(&samples));
        assert_eq!(back.len(), samples.len());
        let worst = back.iter().zip(&samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // One rounding to single precision.
        assert!(worst < 1e-7, "{worst}");
    }
}
