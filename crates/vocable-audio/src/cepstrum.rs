//! A mel-cepstrum from the log-mel spectrogram.

use std::f64::consts::{LN_10, PI};

use crate::Frames;

/// The mel-cepstrum c₀ … c_`order` of a log10-mel spectrogram: `[frames, order + 1]`.
///
/// The DCT-II of the natural logarithms L over the K bands, scaled so that L_k = c₀ + Σ_m c_m·cos(πm(k + ½)/K); that is
/// how mel-cepstra of speech analysis are scaled, so distances have the order of magnitude of decibels. It is *not* the
/// mel-cepstrum of a WORLD envelope: the bands hold the harmonics of the voice and follow another frequency scale, so a
/// mel-cepstral distance from log-mel is not comparable to WORLD's. Panics where `order` is not below the number of bands.
pub fn mel_cepstrum(log_mel: &Frames, order: usize) -> Frames {
    let bands = log_mel.width;
    assert!(order < bands, "{bands} bands give no cepstrum of order {order}");
    let transform: Vec<f64> = (0..=order)
        .flat_map(|m| {
            let scale = LN_10 * if m == 0 { 1.0 } else { 2.0 } / bands as f64;
            (0..bands).map(move |k| scale * (PI * m as f64 * (k as f64 + 0.5) / bands as f64).cos())
        })
        .collect();
    let data = log_mel
        .rows()
        .flat_map(|row| {
            transform
                .chunks_exact(bands)
                .map(move |cosines| cosines.iter().zip(row).map(|(c, &value)| c * f64::from(value)).sum::<f64>() as f32)
        })
        .collect();
    Frames { data, width: order + 1 }
}

/// The frames of a log10-mel spectrogram whose power lies less than `decibels` below the mean power of all frames.
///
/// Distances are measured on such frames (20 dB in the ESPnet conversion recipe), or digital silence, whose logarithm is
/// arbitrary, would decide them. Power is the sum of the squared band magnitudes. At least the loudest frame stays, and where a
/// value is no number, all frames.
pub fn drop_quiet_frames(log_mel: &Frames, decibels: f64) -> Frames {
    let powers: Vec<f64> =
        log_mel.rows().map(|row| row.iter().map(|&value| 10.0_f64.powf(2.0 * f64::from(value))).sum()).collect();
    let mean = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
    let threshold = mean * 10.0_f64.powf(-decibels.max(0.0) / 10.0);
    let kept = log_mel.rows().zip(&powers).filter(|&(_, &power)| power >= threshold || threshold.is_nan());
    Frames { data: kept.flat_map(|(row, _)| row).copied().collect(), width: log_mel.width }
}

/// Order of the cepstra that the mel-cepstral distance compares, and the power below the mean at which frames are silence, in
/// dB (spec section 7.3).
pub const DISTANCE_CEPSTRUM: (usize, f64) = (41, 20.0);

/// The cepstra that the mel-cepstral distance compares, of a log10-mel spectrogram.
pub fn distance_cepstrum(log_mel: &Frames) -> Frames {
    let (order, decibels) = DISTANCE_CEPSTRUM;
    mel_cepstrum(&drop_quiet_frames(log_mel, decibels), order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(frames: usize) -> Frames {
        Frames::new((0..frames * 80).map(|n| ((n * 7919) % 1000) as f32 / 250.0 - 3.0).collect(), 80)
    }

    #[test]
    fn the_full_cepstrum_gives_the_log_spectrum_back() {
        let log_mel = noisy(3);
        let cepstrum = mel_cepstrum(&log_mel, 79);
        for (row, cepstra) in log_mel.rows().zip(cepstrum.rows()) {
            for (k, &value) in row.iter().enumerate() {
                let sum: f64 =
                    (0..80).map(|m| f64::from(cepstra[m]) * (PI * m as f64 * (k as f64 + 0.5) / 80.0).cos()).sum();
                // Single precision of 80 summed coefficients.
                assert!((sum / LN_10 - f64::from(value)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_louder_copy_moves_only_the_first_coefficient() {
        let quiet = noisy(1);
        let loud = Frames::new(quiet.data.iter().map(|value| value + 1.0).collect(), 80);
        let (a, b) = (mel_cepstrum(&quiet, 24), mel_cepstrum(&loud, 24));
        assert_eq!(a.width, 25);
        assert!((f64::from(b.data[0] - a.data[0]) - LN_10).abs() < 1e-5);
        assert!(a.data[1..].iter().zip(&b.data[1..]).all(|(x, y)| (x - y).abs() < 1e-5));
    }

    #[test]
    fn silence_is_dropped_and_order_kept() {
        let loudness = [0.0, -10.0, -0.5, -1.2, -10.0, 0.1];
        let log_mel = Frames::new(loudness.iter().flat_map(|&value| [value; 4]).collect(), 4);
        let kept = drop_quiet_frames(&log_mel, 20.0);
        let first: Vec<f32> = kept.rows().map(|row| row[0]).collect();
        // The mean power is that of a frame at -0.174: -1.2 lies 20.5 dB below it.
        assert_eq!(first, [0.0, -0.5, 0.1]);
        let silence = Frames::new(vec![-10.0; 12], 4);
        assert_eq!(drop_quiet_frames(&silence, 20.0), silence);
    }
}
