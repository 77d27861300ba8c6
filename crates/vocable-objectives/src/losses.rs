//! The loss of one pass and the named terms it is made of.

use burn::tensor::{Device, Tensor};

/// The loss to differentiate, and the named terms it is made of (already numbers) in reporting order.
///
/// `total` is the weighted sum of the terms added with [`Losses::add`]; `terms` holds their **unweighted** values
/// beside the numbers that are only logged, in the order in which both were given. A term of weight zero is left out
/// of the sum and of the report, so a report names exactly the terms that trained the model.
#[derive(Clone, Debug)]
pub struct Losses {
    /// Weighted sum of the added terms, shape `[1]`; zero and without gradient as long as nothing was added.
    pub total: Tensor<1>,
    /// Name and unweighted value of every term, in the order of the calls.
    pub terms: Vec<(String, f64)>,
}

impl Losses {
    /// No term yet, on the device of the terms to come.
    pub fn new(device: &Device) -> Self {
        Self { total: Tensor::zeros([1], device), terms: Vec::new() }
    }

    /// Adds `weight · loss` to the total and records the unweighted value under `name`; a zero weight adds nothing.
    ///
    /// Reads the value from the device. Panics when the weight is not finite.
    #[must_use]
    pub fn add(mut self, name: &str, weight: f64, loss: Tensor<1>) -> Self {
        assert!(weight.is_finite(), "the weight of loss term `{name}` is {weight}");
        if weight != 0.0 {
            self.terms.push((name.to_owned(), loss.clone().into_scalar::<f32>().into()));
            self.total = self.total + loss.mul_scalar(weight);
        }
        self
    }

    /// Records a number that does not train: an accuracy, a perplexity, a count.
    #[must_use]
    pub fn log(mut self, name: &str, value: f64) -> Self {
        self.terms.push((name.to_owned(), value));
        self
    }

    /// The recorded value of a term, `None` when no term has this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.terms.iter().find(|(term, _)| term == name).map(|&(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_weighted_and_the_terms_are_not() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_floats([3.0], &device).require_grad();
        let losses = Losses::new(&device)
            .add("square", 0.5, x.clone() * x.clone())
            .add("absent", 0.0, x.clone())
            .log("accuracy", 0.25)
            .add("linear", 2.0, x.clone());
        let names: Vec<&str> = losses.terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["square", "accuracy", "linear"]);
        assert_eq!(losses.get("square"), Some(9.0));
        assert_eq!(losses.get("absent"), None);
        assert_eq!(losses.total.clone().into_scalar::<f32>(), 10.5);
        let gradient = x.grad(&losses.total.backward()).expect("x is tracked");
        assert_eq!(gradient.into_scalar::<f32>(), 0.5 * 6.0 + 2.0);
    }
}
