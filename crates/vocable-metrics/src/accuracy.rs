//! Classification accuracy.

/// Share of predictions that equal the truth, in percent; `None` where there are none. Panics where the lengths differ.
pub fn accuracy<T: PartialEq>(truth: &[T], predicted: &[T]) -> Option<f64> {
    assert_eq!(truth.len(), predicted.len(), "truth and predictions differ in number");
    let right = truth.iter().zip(predicted).filter(|(a, b)| a == b).count();
    (!truth.is_empty()).then(|| 100.0 * right as f64 / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(accuracy(&["a", "b", "c", "d"], &["a", "b", "x", "d"]), Some(75.0));
        assert_eq!(accuracy::<u8>(&[], &[]), None);
    }
}
