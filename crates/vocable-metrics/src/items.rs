//! Figures of test sets, and of what is drawn from them.

use crate::{BleuCounts, EditCounts};

/// What was measured on each item (utterance, pair, speaker) of a test set: any of them together have a figure.
///
/// The figure of many is seldom the mean of theirs: long utterances weigh more in an error rate, and BLEU's n-grams are
/// counted over all texts.
pub trait Items {
    /// How many items there are.
    fn count(&self) -> usize;

    /// The figure of items by their numbers, of which some may come more than once; `None` where it is not defined, as of no
    /// item.
    fn figure(&self, drawn: &[usize]) -> Option<f64>;
}

/// One value per item (a distance; 0 or 100 for an accuracy in percent): their mean.
impl Items for [f64] {
    fn count(&self) -> usize {
        self.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        let sum: f64 = drawn.iter().map(|&item| self[item]).sum();
        (!drawn.is_empty()).then(|| sum / drawn.len() as f64)
    }
}

/// (numerator, denominator) per item: Σ numerator / Σ denominator, where the latter is not 0.
impl Items for [(f64, f64)] {
    fn count(&self) -> usize {
        self.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        let add = |sum: (f64, f64), (numerator, denominator)| (sum.0 + numerator, sum.1 + denominator);
        let (numerator, denominator) = drawn.iter().map(|&item| self[item]).fold((0.0, 0.0), add);
        (denominator != 0.0).then(|| numerator / denominator)
    }
}

/// Edits per utterance: the error rate in percent.
impl Items for [EditCounts] {
    fn count(&self) -> usize {
        self.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        drawn.iter().map(|&item| self[item]).sum::<EditCounts>().percent()
    }
}

/// Counts per text: BLEU.
impl Items for [BleuCounts] {
    fn count(&self) -> usize {
        self.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        drawn.iter().map(|&item| self[item]).sum::<BleuCounts>().score()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_many_are_not_the_means_of_theirs() {
        assert_eq!([1.0, 2.0, 6.0].figure(&[0, 2, 2]), Some(13.0 / 3.0));
        assert_eq!([(1.0, 2.0), (2.0, 1.0)].figure(&[0, 1, 1]), Some(5.0 / 4.0));
        assert_eq!([(1.0, 0.0)].figure(&[0]), None);
        let [right, wrong] =
            [(9, 1), (0, 2)].map(|(hits, substitutions)| EditCounts { hits, substitutions, ..Default::default() });
        assert_eq!([right, wrong].figure(&[0, 1]), Some(25.0));
        let texts = [("a b c d", "a b c d"), ("e f g h i", "e f x h i")].map(|(a, b)| BleuCounts::of(a, b));
        let [first, second, both] = [&[0][..], &[1], &[0, 1]].map(|drawn| texts.figure(drawn).unwrap());
        assert!(
            second < both && both < first && (both - (first + second) / 2.0).abs() > 1.0,
            "{first} {second} {both}"
        );
        assert_eq!(<[f64]>::figure(&[], &[]), None);
        assert_eq!(<[EditCounts]>::figure(&[], &[]), None);
        assert_eq!(<[BleuCounts]>::figure(&[], &[]), None);
    }
}
