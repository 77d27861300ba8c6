//! Means of named numbers.

/// Weighted means of named numbers, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Means(Vec<Sum>);

#[derive(Debug)]
struct Sum {
    name: String,
    sum: f64,
    weight: f64,
}

impl Means {
    /// Adds numbers that stand for `weight` items.
    pub(crate) fn add(&mut self, weight: f64, numbers: Vec<(String, f64)>) {
        for (name, value) in numbers {
            let known = self.0.iter_mut().find(|sum| sum.name == name);
            let sum = match known {
                Some(sum) => sum,
                None => {
                    self.0.push(Sum { name, sum: 0.0, weight: 0.0 });
                    self.0.last_mut().expect("one was just added")
                }
            };
            sum.sum += weight * value;
            sum.weight += weight;
        }
    }

    /// Each number's mean over the items that have it.
    pub(crate) fn finish(self) -> Vec<(String, f64)> {
        self.0.into_iter().map(|sum| (sum.name, sum.sum / sum.weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_averaged_over_what_reports_it() {
        let mut means = Means::default();
        means.add(1.0, vec![("loss".into(), 4.0), ("rare".into(), 7.0)]);
        means.add(3.0, vec![("late".into(), -1.0), ("loss".into(), 8.0)]);
        assert_eq!(means.finish(), [("loss".into(), 7.0), ("rare".into(), 7.0), ("late".into(), -1.0)]);
    }
}
