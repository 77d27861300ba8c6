//! Waveforms of one level.

/// The samples with mean zero and variance one, `(x − mean) / √(variance + epsilon)`; what `do_normalize` asks for in
/// transformers (epsilon 1e-7) and `--normalize` in the official code (1e-5). Panics where there is no sample.
pub fn standardise(samples: &[f32], epsilon: f64) -> Vec<f32> {
    assert!(!samples.is_empty(), "no samples to bring to a level");
    let count = samples.len() as f64;
    let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = samples.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let scale = (variance + epsilon).sqrt();
    samples.iter().map(|&x| ((f64::from(x) - mean) / scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_zero_and_one() {
        let standard = standardise(&[1.0, 2.0, 3.0, 6.0], 0.0);
        assert!(standard.iter().sum::<f32>().abs() < 1e-6);
        assert!((standard.iter().map(|x| x * x).sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
        // Mean 3, variance 3.5.
        assert!((standardise(&[1.0, 2.0, 3.0, 6.0], 0.5)[3] - 1.5).abs() < 1e-6);
        assert_eq!(standardise(&[0.25; 5], 1e-7), [0.0; 5]);
    }
}
