//! Random stretches of utterances: which samples, and which mel frames and labels go with them.

use std::ops::Range;

use rand::RngExt;
use vocable_random::Key;

/// Where a crop begins: uniform over all places where `size` of `samples` samples fit.
///
/// # Panics
/// If the utterance is shorter than the crop.
pub fn start(samples: usize, size: usize, key: Key) -> usize {
    assert!(size <= samples, "a crop of {size} samples does not fit an utterance of {samples}");
    key.fold("crop").rng().random_range(0..=samples - size)
}

/// The mel frames that go with samples `start..start + size` of an utterance with `samples` samples and `frames`
/// frames: both ends of the arithmetic are rounded down, so the window never passes the last frame.
pub fn mel_window(start: usize, size: usize, samples: usize, frames: usize) -> Range<usize> {
    let samples_per_frame = samples as f64 / frames as f64;
    let first = (start as f64 / samples_per_frame) as usize;
    first..first + (size as f64 / samples_per_frame) as usize
}

/// The labels that go with samples `start..start + size`: start and count are rounded half to even (at 50 labels per
/// second of 16,000 samples: 160 → 0, 480 → 2, 800 → 2), and no label past the last is asked for.
pub fn label_window(start: usize, size: usize, rate: u32, labels_per_second: f64, labels: usize) -> Range<usize> {
    let count = |samples: usize| (samples as f64 * (labels_per_second / f64::from(rate))).round_ties_even() as usize;
    let first = count(start).min(labels);
    first..first + count(size).min(labels - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_half_to_even() {
        let first = |start| label_window(start, 16_000, 16_000, 50.0, 1000).start;
        assert_eq!([first(160), first(480), first(800), first(161), first(479)], [0, 2, 2, 1, 1]);
        let count = |size| label_window(0, size, 16_000, 50.0, 1000).len();
        assert_eq!([count(160), count(480), count(800), count(16_000), count(16_159)], [0, 2, 2, 50, 50]);
    }

    #[test]
    fn labels_end_with_the_utterance() {
        assert_eq!(label_window(16_000, 16_000, 16_000, 50.0, 99), 50..99);
        assert_eq!(label_window(16_000, 16_000, 16_000, 50.0, 40), 40..40);
    }

    #[test]
    fn mel_windows_stay_inside_and_cover_the_crop() {
        for case in 0..5000_usize {
            let mut rng = Key::new(1).fold(case).rng();
            let samples = rng.random_range(400..300_000);
            let frames = 1 + samples / 256;
            let size = rng.random_range(1..=samples);
            let start = start(samples, size, Key::new(2).fold(case));
            assert!(start + size <= samples);
            let window = mel_window(start, size, samples, frames);
            assert!(window.end <= frames, "{window:?} of {frames}");
            // Rounding down twice loses less than a frame at the front and less than two at the back.
            let exact = frames as f64 / samples as f64;
            assert!((start as f64 * exact - window.start as f64).abs() <= 1.0);
            assert!((start + size) as f64 * exact - (window.end as f64) < 2.0);
        }
        assert_eq!(mel_window(0, 51_200, 51_200, 201), 0..201);
    }

    #[test]
    fn starts_are_uniform_and_reach_both_ends() {
        let mut counts = [0_usize; 6];
        (0..6000_usize).for_each(|draw| counts[start(15, 10, Key::new(4).fold(draw))] += 1);
        // 5 standard deviations of a binomial of 6,000 draws with chance 1/6.
        assert!(counts.iter().all(|&count| count.abs_diff(1000) < 145), "{counts:?}");
        assert_eq!(start(10, 10, Key::new(0)), 0);
    }
}
