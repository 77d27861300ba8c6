//! Confidence intervals by resampling utterances.

use rand::RngExt;
use vocable_random::Key;

use crate::{BleuCounts, EditCounts};

/// The percentile bootstrap (Efron 1979; Bisani and Ney 2004 for word error rates): utterances are drawn with replacement,
/// as many as there are, and the statistic is taken of each such test set; the interval cuts equal tails off what results.
///
/// It tells how the figure would vary with other test utterances, not with another training run.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Test sets drawn; 1000 settle a 95 % interval to about a tenth of its width.
    pub resamples: usize,
    /// Share of the draws inside the interval, in (0, 1).
    pub level: f64,
    /// Where the draws come from: the same key and data give the same interval.
    pub key: Key,
}

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Bootstrap {
    /// 1000 draws and 95 %.
    pub fn new(key: Key) -> Self {
        Self { resamples: 1000, level: 0.95, key }
    }

    /// Interval of the mean of one value per utterance (a distance; 0 or 100 for an accuracy in percent).
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        let pairs: Vec<(f64, f64)> = values.iter().map(|&value| (value, 1.0)).collect();
        self.ratio(&pairs)
    }

    /// Interval of an error rate in percent from the utterances' edit counts.
    pub fn error_rate(&self, utterances: &[EditCounts]) -> Option<Interval> {
        let pairs: Vec<(f64, f64)> =
            utterances.iter().map(|counts| (100.0 * counts.errors() as f64, counts.reference() as f64)).collect();
        self.ratio(&pairs)
    }

    /// Interval of BLEU from the texts' counts.
    pub fn bleu(&self, texts: &[BleuCounts]) -> Option<Interval> {
        self.statistic(texts, |drawn| drawn.copied().sum::<BleuCounts>().score())
    }

    /// Interval of Σ numerator / Σ denominator over utterances of (numerator, denominator), drawn as pairs because long
    /// utterances weigh more. Draws whose denominators sum to 0 are left out; `None` where no draw remains, as with no
    /// utterance. Panics on impossible settings.
    pub fn ratio(&self, utterances: &[(f64, f64)]) -> Option<Interval> {
        self.statistic(utterances, |drawn| {
            let (numerator, denominator) = drawn.fold((0.0, 0.0), |sum, &(n, d)| (sum.0 + n, sum.1 + d));
            (denominator != 0.0).then(|| numerator / denominator)
        })
    }

    /// Interval of a statistic of drawn items; draws without one are left out.
    fn statistic<T>(
        &self,
        items: &[T],
        statistic: impl Fn(&mut dyn Iterator<Item = &T>) -> Option<f64>,
    ) -> Option<Interval> {
        assert!(self.resamples > 0 && self.level > 0.0 && self.level < 1.0, "{self:?} defines no interval");
        if items.is_empty() {
            return None;
        }
        let drawn = (0..self.resamples).filter_map(|resample| {
            let mut rng = self.key.fold(resample).rng();
            statistic(&mut (0..items.len()).map(|_| &items[rng.random_range(0..items.len())]))
        });
        let mut values: Vec<f64> = drawn.collect();
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Some(Interval { low: quantile(&values, tail)?, high: quantile(&values, 1.0 - tail)? })
    }
}

/// The value that a share of the sorted ones lies below, interpolated between neighbours (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    /// Of independent values the interval of the mean is known: ±1.96 σ/√n.
    #[test]
    fn the_interval_of_a_mean_has_the_known_width() {
        let mut rng = Key::new(7).rng();
        let values: Vec<f64> = (0..2000).map(|_| rng.random_range(0.0..1.0)).collect();
        let mean = values.iter().sum::<f64>() / 2000.0;
        let half = 1.96 * (1.0_f64 / 12.0).sqrt() / 2000.0_f64.sqrt();
        let interval = Bootstrap { resamples: 4000, ..Bootstrap::new(Key::new(1)) }.mean(&values).unwrap();
        // 4000 draws place a 2.5 % quantile to about 5 % of the half width; 15 % is three of those.
        assert!((interval.low - (mean - half)).abs() < 0.15 * half, "{interval:?}");
        assert!((interval.high - (mean + half)).abs() < 0.15 * half, "{interval:?}");
    }

    /// Two utterances have four draws: the interval is among their three ratios.
    #[test]
    fn utterances_are_drawn_whole() {
        let utterances = [
            EditCounts { hits: 9, substitutions: 1, ..Default::default() },
            EditCounts { deletions: 2, ..Default::default() },
        ];
        let interval = Bootstrap::new(Key::new(3)).error_rate(&utterances).unwrap();
        assert_eq!(interval, Interval { low: 10.0, high: 100.0 });
        let narrow = Bootstrap { level: 0.3, ..Bootstrap::new(Key::new(3)) }.error_rate(&utterances).unwrap();
        assert_eq!(narrow, Interval { low: 25.0, high: 25.0 });
    }

    #[test]
    fn the_key_decides_and_constants_have_no_width() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let bootstrap = |seed| Bootstrap::new(Key::new(seed)).mean(&values);
        assert_eq!(bootstrap(1), bootstrap(1));
        assert_ne!(bootstrap(1), bootstrap(2));
        assert_eq!(Bootstrap::new(Key::new(1)).mean(&[3.0; 20]), Some(Interval { low: 3.0, high: 3.0 }));
        assert_eq!(Bootstrap::new(Key::new(1)).mean(&[]), None);
        assert_eq!(Bootstrap::new(Key::new(1)).error_rate(&[EditCounts { insertions: 2, ..Default::default() }]), None);
    }
}
