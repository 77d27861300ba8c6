//! Scores from what each test item contributes: they have intervals and can be compared item by item.

use anyhow::Context;
use vocable_lab::{Parts, Score};
use vocable_metrics::{Bootstrap, EditCounts};

/// The figure of all items.
pub fn scored(parts: impl Into<Parts>, bootstrap: Bootstrap) -> anyhow::Result<Score> {
    Score::of(parts, bootstrap).context("there is nothing to score")
}

/// The mean of one value per item.
pub fn mean(values: &[f64], bootstrap: Bootstrap) -> anyhow::Result<Score> {
    scored(values.iter().map(|&value| (value, 1.0)).collect::<Vec<_>>(), bootstrap)
}

/// Errors per hundred words or characters of the references.
pub fn error_rate(counts: &[EditCounts], bootstrap: Bootstrap) -> anyhow::Result<Score> {
    let parts = counts.iter().map(|count| (100.0 * count.errors() as f64, count.reference() as f64));
    scored(parts.collect::<Vec<_>>(), bootstrap)
}
