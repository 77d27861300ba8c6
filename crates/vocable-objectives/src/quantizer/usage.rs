//! How evenly codes are used.

use burn::tensor::Tensor;

use super::Diversity;

/// Distribution over the codes of each group, `[groups, 1, codes]`.
#[derive(Clone)]
pub(super) struct Usage(Tensor<3>);

impl Usage {
    /// Average of `probabilities` (`[groups, rows, codes]`) over the rows whose `counted` (`[1, rows, 1]`) is one.
    pub(super) fn mean(probabilities: Tensor<3>, counted: Tensor<3>) -> Self {
        let rows = counted.clone().sum_dim(1).clamp_min(1.0);
        Self((probabilities * counted).sum_dim(1) / rows)
    }

    /// `Σ_g exp(−Σ_k p ln(p + 1e-7))`, shape `[1]`; the constant is fairseq's.
    pub(super) fn perplexity(&self) -> Tensor<1> {
        let entropy = (self.0.clone() * self.0.clone().add_scalar(1e-7).log()).sum_dim(2).neg();
        entropy.exp().sum()
    }

    /// The diversity loss, shape `[1]`.
    pub(super) fn diversity(&self, form: Diversity) -> Tensor<1> {
        let [groups, _, codes] = self.0.dims();
        let all = (groups * codes) as f64;
        match form {
            Diversity::Perplexity => self.perplexity().neg().add_scalar(all).div_scalar(all),
            // p ln p is 0 at p = 0, but its logarithm is not a number a gradient survives.
            Diversity::NegEntropy => {
                (self.0.clone() * self.0.clone().clamp_min(1e-12).log()).sum().div_scalar(codes as f64)
            }
        }
    }
}
