//! Mel-cepstral distance along the best alignment in time.

use std::f64::consts::LN_10;

use crate::dtw;

/// The mel-cepstral distance of log-mel cepstra: the formula of "mel-cepstral distortion", over another cepstrum.
///
/// The figure that papers call MCD is taken over mel-cepstra of a WORLD envelope; this one is not, and the two must not be
/// compared. The name is as long as it is so that they are not confused in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMelCepstralDistance {
    /// Mean over the pairs of the path of (10 / ln 10)·√(2·Σ_d (c_d − ĉ_d)²), in dB.
    pub decibels: f64,
    /// Pairs of frames on the path; distances of several utterances are averaged per utterance or weighted by these.
    pub pairs: usize,
}

/// Distance of two utterances' cepstra, row-major `[frames, width]` with c₀ first, along the path of dynamic time warping
/// whose summed Euclidean distance is smallest. With `drop_c0` neither path nor distance looks at c₀, the loudness.
///
/// The default of the field's recipe is to keep c₀ (section 7.3 of the specification). Panics where the data is no whole
/// number of frames, a side has no frame or nothing is left to compare.
pub fn log_mel_cepstral_distance(left: &[f32], right: &[f32], width: usize, drop_c0: bool) -> LogMelCepstralDistance {
    let skip = usize::from(drop_c0);
    assert!(width > skip, "cepstra of width {width} leave nothing to compare");
    for side in [left, right] {
        assert!(side.len().is_multiple_of(width), "{} values are no frames of {width}", side.len());
    }
    let distance = |i: usize, j: usize| {
        let (a, b) = (&left[i * width + skip..(i + 1) * width], &right[j * width + skip..(j + 1) * width]);
        f64::from(a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()).sqrt()
    };
    let path = dtw(left.len() / width, right.len() / width, distance);
    let decibels = 10.0 / LN_10 * 2.0_f64.sqrt() * path.cost / path.pairs.len() as f64;
    LogMelCepstralDistance { decibels, pairs: path.pairs.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_by_hand() {
        // One frame each: differences 3 and 4.
        let found = log_mel_cepstral_distance(&[1.0, 2.0], &[4.0, 6.0], 2, false);
        assert_eq!(found.pairs, 1);
        assert!((found.decibels - 10.0 / LN_10 * 50.0_f64.sqrt()).abs() < 1e-12);
        let without = log_mel_cepstral_distance(&[1.0, 2.0], &[4.0, 6.0], 2, true);
        assert!((without.decibels - 10.0 / LN_10 * 32.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_slower_copy_has_no_distance_and_order_does_not_matter() {
        let left = [1.0, 0.0, 2.0, 1.0, -1.0, 3.0];
        let slow: Vec<f32> = left.chunks(2).flat_map(|row| [row, row].concat()).collect();
        assert_eq!(log_mel_cepstral_distance(&left, &slow, 2, false).decibels, 0.0);
        let other = [0.5, 0.0, 2.0, 2.0, -1.0, 1.0, 0.0, 0.0];
        let (one, two) =
            (log_mel_cepstral_distance(&left, &other, 2, false), log_mel_cepstral_distance(&other, &left, 2, false));
        assert!((one.decibels - two.decibels).abs() < 1e-12);
    }

    #[test]
    fn loudness_counts_only_with_c0() {
        let left: Vec<f32> = (0..40).map(|n| (n % 7) as f32).collect();
        let louder: Vec<f32> =
            left.iter().enumerate().map(|(n, value)| value + if n % 4 == 0 { 2.0 } else { 0.0 }).collect();
        assert!(log_mel_cepstral_distance(&left, &louder, 4, false).decibels > 1.0);
        assert_eq!(log_mel_cepstral_distance(&left, &louder, 4, true).decibels, 0.0);
    }
}
