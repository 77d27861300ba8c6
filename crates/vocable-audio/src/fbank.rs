//! Log filter-bank energies as SpeechBrain computes them.

use crate::band::Band;
use crate::stft::{Padding, Taper};
use crate::{Frames, Stft};

/// The smallest energy of a band before the logarithm.
const FLOOR: f64 = 1e-10;
/// How far, in dB, a value may lie below the loudest one of its recording.
const RANGE: f64 = 80.0;

/// Log filter-bank energies in dB: windows of 25 ms every 10 ms, power spectra in symmetric triangles on the mel scale from
/// 0 Hz to half the rate; nothing lies more than 80 dB below the loudest value of the recording.
///
/// The defaults of SpeechBrain's `Fbank`, whose windows are Hamming's, centred, with silence around the recording.
pub struct Fbank {
    stft: Stft,
    bands: Vec<Band>,
}

impl Fbank {
    /// Plans `bands` bands of samples at `rate` Hz, at least 1000 (panics).
    pub fn new(rate: u32, bands: usize) -> Self {
        assert!(rate >= 1000, "windows of 25 ms need more than a rate of {rate} Hz");
        let rate = f64::from(rate);
        let samples = |seconds: f64| (rate * seconds).round() as usize;
        // An even transform.
        let (fft, hop) = (samples(0.025) / 2 * 2, samples(0.010));
        let stft = Stft::with(fft, hop, Taper::Hamming, Padding::Zeros);
        let bands = mel_bands(rate, stft.bins(), bands);
        Self { stft, bands }
    }

    /// Frames of `samples` samples: `1 + samples / hop`, 100 a second.
    pub fn frames(&self, samples: usize) -> usize {
        self.stft.frames(samples)
    }

    /// The energies `[1 + samples / hop, bands]` of samples in [-1, 1], in dB. Panics where there is no sample.
    pub fn fbank(&self, samples: &[f32]) -> Frames {
        let mut data = Vec::with_capacity(self.frames(samples.len()) * self.bands.len());
        self.stft.for_each_frame(samples, |spectrum| {
            let energies = self.bands.iter().map(|band| band.sum(spectrum, |value| value.norm_sqr()));
            data.extend(energies.map(|energy| 10.0 * energy.max(FLOOR).log10()));
        });
        let lowest = data.iter().copied().fold(f64::NEG_INFINITY, f64::max) - RANGE;
        Frames { data: data.into_iter().map(|value| value.max(lowest) as f32).collect(), width: self.bands.len() }
    }
}

/// Triangles around the points of an even division of the mel scale, as far to the right as to the point on the left.
fn mel_bands(rate: f64, bins: usize, bands: usize) -> Vec<Band> {
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10_f64.powf(mel / 2595.0) - 1.0);
    let top = (rate / 2.0).floor();
    let point = |n: usize| hertz(mel(top) * n as f64 / (bands + 1) as f64);
    (1..=bands)
        .map(|band| {
            let (centre, width) = (point(band), point(band) - point(band - 1));
            let weight = |bin: usize| 1.0 - (bin as f64 * top / (bins - 1) as f64 - centre).abs() / width;
            Band::new(bins, weight)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_counts_and_range() {
        let fbank = Fbank::new(16_000, 24);
        for (samples, frames) in [(1, 1), (159, 1), (160, 2), (16_000, 101)] {
            let found = fbank.fbank(&vec![0.1; samples]);
            assert_eq!((found.len(), found.width, fbank.frames(samples)), (frames, 24, frames));
        }
        // Silence lies on the floor; beside speech, on the bottom of its range.
        assert!(fbank.fbank(&[0.0; 800]).data.iter().all(|&value| value == -100.0));
        let mut click = vec![0.0; 16_000];
        click[8000] = 1.0;
        let found = fbank.fbank(&click);
        let loudest = found.data.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(found.row(0), [loudest - 80.0; 24]);
    }

    #[test]
    fn a_tone_is_loudest_in_the_band_around_it() {
        let fbank = Fbank::new(16_000, 24);
        for band in 2..23 {
            let mel = 2595.0 * (1.0 + 8000.0_f64 / 700.0).log10() * (band + 1) as f64 / 25.0;
            let hertz = 700.0 * (10_f64.powf(mel / 2595.0) - 1.0);
            let tone = |n: usize| (std::f64::consts::TAU * hertz * n as f64 / 16_000.0).sin() as f32;
            let samples: Vec<f32> = (0..4000).map(tone).collect();
            let row = fbank.fbank(&samples).row(12).to_vec();
            assert_eq!((0..24).max_by(|&a, &b| row[a].total_cmp(&row[b])), Some(band), "{hertz} Hz");
        }
    }
}
