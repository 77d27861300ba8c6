//! Scores that are sums over test items, divided by each other: they have intervals and can be compared item by item.

use anyhow::Context;
use vocable_lab::Score;
use vocable_metrics::{Bootstrap, EditCounts};

/// Σ numerator / Σ denominator over items, with its interval.
pub fn ratio(parts: Vec<(f64, f64)>, bootstrap: Bootstrap) -> anyhow::Result<Score> {
    let interval = bootstrap.ratio(&parts).context("there is nothing to score")?;
    let (numerator, denominator) = parts.iter().fold((0.0, 0.0), |sum, (n, d)| (sum.0 + n, sum.1 + d));
    Ok(Score::new(numerator / denominator, parts.len() as u64).interval(interval.low, interval.high).parts(parts))
}

/// The mean of one value per item.
pub fn mean(values: &[f64], bootstrap: Bootstrap) -> anyhow::Result<Score> {
    ratio(values.iter().map(|&value| (value, 1.0)).collect(), bootstrap)
}

/// Errors per hundred words or characters of the references.
pub fn error_rate(counts: &[EditCounts], bootstrap: Bootstrap) -> anyhow::Result<Score> {
    ratio(counts.iter().map(|count| (100.0 * count.errors() as f64, count.reference() as f64)).collect(), bootstrap)
}
