//! Confidence intervals and paired tests by resampling a test set.

use rand::RngExt;
use vocable_random::Key;

use crate::Items;

/// The percentile bootstrap (Efron 1979; Bisani and Ney 2004 for word error rates): items are drawn with replacement, as many
/// as there are, and the figure is taken of each such test set; the interval cuts equal tails off what results.
///
/// It tells how the figure would vary with other test items, not with another training run.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Test sets drawn; 1000 settle a 95 % interval to about a tenth of its width.
    pub resamples: usize,
    /// Share of the draws inside the interval, in (0, 1).
    pub level: f64,
    /// Where the draws come from: the same key and data give the same interval.
    pub key: Key,
}

/// Items that a comparison needs: of fewer, not even differences that all have the same sign are evidence at 5 % (the
/// sign test's p is 2 · 0.5ⁿ), while a bootstrap of them would be certain.
pub const FEWEST: usize = 6;

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

    /// Interval of the items' figure. Draws without one are left out; `None` where no draw remains, as of no item. Panics on
    /// impossible settings.
    pub fn interval<I: Items + ?Sized>(&self, items: &I) -> Option<Interval> {
        self.mean_of_runs(&[items])
    }

    /// Interval of the mean over runs (of several seeds, say) of the figure. In every draw all runs are scored on the same
    /// items. `None` also where the runs are not over equally many.
    pub fn mean_of_runs<I: Items + ?Sized>(&self, runs: &[&I]) -> Option<Interval> {
        let mut means = self.draws(count(runs)?, |drawn| mean(runs, drawn));
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Some(Interval { low: quantile(&means, tail)?, high: quantile(&means, 1.0 - tail)? })
    }

    /// Whether the runs of `a` and those of `b` differ in the mean of the figure: the two-sided p-value of the paired
    /// bootstrap (Efron and Tibshirani 1993, section 16.4; Koehn 2004 for BLEU), twice the share of draws of the same items
    /// for both in which the difference is not on its usual side. The draw at hand counts as one, so that no p is 0. `None`
    /// where they are not over equally many items, or over less than [`FEWEST`].
    ///
    /// Like the interval it is about other items; of other seeds it knows as much as the runs show.
    pub fn difference<I: Items + ?Sized>(&self, a: &[&I], b: &[&I]) -> Option<f64> {
        let items = count(a)?;
        if count(b)? != items || items < FEWEST {
            return None;
        }
        let differences = self.draws(items, |drawn| Some(mean(a, drawn)? - mean(b, drawn)?));
        let share = |side: &dyn Fn(f64) -> bool| {
            let there = differences.iter().filter(|&&difference| side(difference)).count();
            (there + 1) as f64 / (differences.len() + 1) as f64
        };
        let rarer = share(&|difference| difference <= 0.0).min(share(&|difference| difference >= 0.0));
        Some((2.0 * rarer).min(1.0))
    }

    /// A statistic of each draw of `count` indices below `count`; draws without one are left out.
    fn draws(&self, count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Vec<f64> {
        assert!(self.resamples > 0 && self.level > 0.0 && self.level < 1.0, "{self:?} defines no interval");
        if count == 0 {
            return Vec::new();
        }
        let draw = |resample| {
            let mut rng = self.key.fold(resample).rng();
            statistic(&(0..count).map(|_| rng.random_range(0..count)).collect::<Vec<_>>())
        };
        (0..self.resamples).filter_map(draw).collect()
    }
}

/// Over how many items all the runs are; none if they differ or there are none.
fn count<I: Items + ?Sized>(runs: &[&I]) -> Option<usize> {
    let count = runs.first()?.count();
    (count > 0 && runs.iter().all(|run| run.count() == count)).then_some(count)
}

/// The mean over runs of the figure of the drawn items.
fn mean<I: Items + ?Sized>(runs: &[&I], drawn: &[usize]) -> Option<f64> {
    let figures: Option<Vec<f64>> = runs.iter().map(|run| run.figure(drawn)).collect();
    figures.map(|figures| figures.iter().sum::<f64>() / figures.len() as f64)
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
    use crate::EditCounts;

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
        let interval = Bootstrap { resamples: 4000, ..Bootstrap::new(Key::new(1)) }.interval(&values[..]).unwrap();
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
        let interval = Bootstrap::new(Key::new(3)).interval(&utterances[..]).unwrap();
        assert_eq!(interval, Interval { low: 10.0, high: 100.0 });
        let narrow = Bootstrap { level: 0.3, ..Bootstrap::new(Key::new(3)) }.interval(&utterances[..]).unwrap();
        assert_eq!(narrow, Interval { low: 25.0, high: 25.0 });
    }

    #[test]
    fn the_key_decides_and_constants_have_no_width() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let bootstrap = |seed| Bootstrap::new(Key::new(seed)).interval(&values[..]);
        assert_eq!(bootstrap(1), bootstrap(1));
        assert_ne!(bootstrap(1), bootstrap(2));
        assert_eq!(Bootstrap::new(Key::new(1)).interval(&[3.0; 20][..]), Some(Interval { low: 3.0, high: 3.0 }));
        assert_eq!(Bootstrap::new(Key::new(1)).interval::<[f64]>(&[]), None);
        assert_eq!(
            Bootstrap::new(Key::new(1)).interval(&[EditCounts { insertions: 2, ..Default::default() }][..]),
            None
        );
    }

    /// Of one run it is the run's own interval, to the bit; of several it narrows where their errors are not the same.
    #[test]
    fn runs_are_drawn_together() {
        let mut rng = Key::new(8).rng();
        let mut run = || (0..50).map(|_| (rng.random_range(0.0..3.0), rng.random_range(1.0..9.0))).collect::<Vec<_>>();
        let (a, b) = (run(), run());
        let bootstrap = Bootstrap::new(Key::new(2));
        let alone = bootstrap.interval(&a[..]).unwrap();
        assert_eq!(bootstrap.mean_of_runs(&[&a[..]]), Some(alone));
        assert_eq!(bootstrap.mean_of_runs(&[&a[..], &a]), Some(alone));
        let both = bootstrap.mean_of_runs(&[&a[..], &b]).unwrap();
        assert!(both.high - both.low < 0.9 * (alone.high - alone.low), "{both:?}, alone {alone:?}");
        assert_eq!(bootstrap.mean_of_runs(&[&a[..], &b[1..]]), None);
        assert_eq!(bootstrap.mean_of_runs::<[f64]>(&[]), None);
    }

    /// Of many independent differences the p-value is that of the normal distribution.
    #[test]
    fn the_p_value_of_a_paired_difference_is_known() {
        let bootstrap = Bootstrap { resamples: 4000, ..Bootstrap::new(Key::new(3)) };
        let mut rng = Key::new(9).rng();
        let a: Vec<(f64, f64)> = (0..400).map(|_| (rng.random_range(0.0..1.0), 1.0)).collect();
        let noise: Vec<f64> = (0..400).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mean = noise.iter().sum::<f64>() / 400.0;
        let deviation = noise.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt() / 400.0;
        // Differences of 0.5, 1.5 and 2.5 standard errors: 2 (1 − Φ).
        for (errors, expected) in [(0.5, 0.617), (1.5, 0.134), (2.5, 0.0124)] {
            let shift = errors * deviation - mean;
            let b: Vec<(f64, f64)> = a.iter().zip(&noise).map(|(&(x, d), noise)| (x + noise + shift, d)).collect();
            let p = bootstrap.difference(&[&b[..]], &[&a]).unwrap();
            // Three standard errors of a share of 4000 draws, and the bootstrap's own error at 400 utterances.
            let tolerance = 6.0 * (expected / 4000.0_f64).sqrt() + 0.15 * expected;
            assert!((p - expected).abs() < tolerance, "{errors}: {p}, expected {expected}");
            assert_eq!(bootstrap.difference(&[&a[..]], &[&b]), Some(p), "the order does not matter");
        }
        assert_eq!(bootstrap.difference(&[&a[..]], &[&a]), Some(1.0));
        assert_eq!(bootstrap.difference(&[&a[..]], &[&a[1..]]), None);
        let b: Vec<(f64, f64)> = a.iter().map(|&(x, d)| (x + 1.0, d)).collect();
        let of_first = |count: usize| bootstrap.difference(&[&a[..count]], &[&b[..count]]);
        assert!(of_first(FEWEST).is_some_and(|p| p < 0.01) && of_first(FEWEST - 1).is_none());
    }
}
