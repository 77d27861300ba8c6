//! The cross-modal vector quantizer: states of both modalities choose codes from the same codebooks, and a share of the
//! states is replaced by their codes before the decoder sees them.
//!
//! Both kinds are one computation. Every state scores every code, `z = W·u + b` (Gumbel) or `2·u·c − ‖c‖²` (nearest, of
//! which the arg-max is the nearest code and the softmax that of −‖u − c‖², since ‖u‖² is the same for all codes). The
//! softmax of the scores, averaged over states, is the use of the codes that the diversity loss spreads; the arg-max of
//! the scores, with Gumbel noise in training, picks the code. They differ in where the straight-through gradient of the
//! picked code goes: to the scores (Gumbel) or to the state itself (nearest).

mod choices;
mod config;
mod usage;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use vocable_nn::{Init, Linear, Mode, valid_frames};

pub use choices::{Choices, Mixed};
pub use config::{Diversity, Mixing, QuantizerConfig, Selection, Temperature};
use usage::Usage;

/// Codebooks and what chooses from them.
#[derive(Module, Debug)]
pub struct Quantizer {
    /// All codes, group by group: `[1, groups · codes, width / groups]` (official `vars`).
    pub codebook: Param<Tensor<3>>,
    /// Scores of all codes from a state; of the Gumbel kind only (official `weight_proj`).
    pub scores: Option<Linear>,
    #[module(skip)]
    config: QuantizerConfig,
}

/// What a quantizer makes of a batch of states.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The states with the mixed ones replaced by their codes, `[batch, time, width]`: what the decoder attends to.
    pub states: Tensor<3>,
    /// The code of every state, `[batch, time, width]`.
    pub codes: Tensor<3>,
    /// Diversity loss in the configured form, shape `[1]`.
    pub diversity: Tensor<1>,
    /// `mean ‖sg(u) − c‖² + 0.25 · mean ‖u − sg(c)‖²` over the channels of all counted states, when configured.
    pub codebook_loss: Option<Tensor<1>>,
    /// Exponential of the entropy of the arg-max codes' use, summed over groups; between G and G·K.
    pub code_perplexity: f64,
    /// The same of the average softmax, which the diversity loss raises.
    pub soft_perplexity: f64,
}

impl Quantizer {
    /// Codes from U(0, 1), the projection from N(0, 0.02²) with bias zero (specification 4.11).
    ///
    /// Panics when `width` is not a multiple of the groups.
    pub fn new(config: QuantizerConfig, width: usize, init: &Init) -> Self {
        let QuantizerConfig { groups, codes, .. } = config;
        assert!(
            groups > 0 && width.is_multiple_of(groups),
            "quantizer: {groups} groups cannot share a width of {width}"
        );
        let size = [1, groups * codes, width / groups];
        let codebook = init.fold("codebook").parameter(size, |init, shape| init.uniform(shape, 0.0, 1.0));
        let scores = || Linear::new(width, groups * codes, &init.fold("scores"));
        Self { codebook, scores: (config.kind == Selection::Gumbel).then(scores), config }
    }

    /// The configuration it was built from.
    pub fn config(&self) -> QuantizerConfig {
        self.config
    }

    /// Quantizes and mixes `states` (`[batch, time, width]`), of which `lengths` are valid, at the update of index
    /// `update`; draws from the mode's key. Source: specification 4.9.
    pub fn forward(&self, states: Tensor<3>, lengths: &[usize], mode: Mode, update: usize) -> Quantized {
        let [batch, time, _] = states.dims();
        let choices = Choices::draw(&self.config, batch, time, mode);
        self.forward_with(states, lengths, &choices, self.config.temperature.at(update))
    }

    /// The same for `states` (`[batch, time, width]`), of which `lengths` are valid, with given random choices and
    /// temperature, so that another implementation's can be repeated.
    pub fn forward_with(&self, states: Tensor<3>, lengths: &[usize], choices: &Choices, temperature: f64) -> Quantized {
        let [batch, time, width] = states.dims();
        let QuantizerConfig { groups, codes, .. } = self.config;
        let rows = batch * time;
        let device = states.device();
        // Group-major from here on: `[groups, rows, ..]`.
        let codebook = self.codebook.val().reshape([groups, codes, width / groups]);
        let scores = self.score(states.clone().reshape([rows, width]), codebook.clone());
        let soft = vocable_kernels::softmax(scores.clone());
        let arg_max = one_hot(scores.clone());
        let counted = match self.config.kind {
            Selection::Nearest => valid_frames(lengths, time, &device).reshape([1, rows, 1]),
            Selection::Gumbel => Tensor::ones([1, rows, 1], &device),
        };
        let soft_use = Usage::mean(soft, counted.clone());
        let code_use = Usage::mean(arg_max.clone(), counted.clone());

        let picked = match (self.config.kind, &choices.noise) {
            (Selection::Gumbel, Some(noise)) => {
                let noise = TensorData::new(noise.clone(), [rows, groups, codes]);
                let noise = Tensor::<3>::from_data(noise, &device).swap_dims(0, 1);
                let soft = vocable_kernels::softmax((scores + noise).div_scalar(temperature));
                one_hot(soft.clone()) + (soft.clone() - soft.detach())
            }
            _ => arg_max,
        };
        let chosen = picked.matmul(codebook).swap_dims(0, 1).reshape([batch, time, width]);
        let codebook_loss =
            self.config.codebook_loss.then(|| pull(states.clone(), chosen.clone(), counted.reshape([batch, time, 1])));
        let codes = match self.config.kind {
            Selection::Nearest => chosen + (states.clone() - states.clone().detach()),
            Selection::Gumbel => chosen,
        };
        Quantized {
            states: choices.mixed.replace(states, codes.clone()),
            codes,
            diversity: soft_use.diversity(self.config.diversity),
            codebook_loss,
            code_perplexity: code_use.perplexity().into_scalar::<f32>().into(),
            soft_perplexity: soft_use.perplexity().detach().into_scalar::<f32>().into(),
        }
    }

    /// Score of every code for every state: `[rows, width]` → `[groups, rows, codes]`.
    fn score(&self, states: Tensor<2>, codebook: Tensor<3>) -> Tensor<3> {
        let rows = states.dims()[0];
        let [groups, codes, width] = codebook.dims();
        match &self.scores {
            Some(scores) => scores.forward(states).reshape([rows, groups, codes]).swap_dims(0, 1),
            None => {
                let states = states.reshape([rows, groups, width]).swap_dims(0, 1);
                let norms = codebook.clone().square().sum_dim(2).swap_dims(1, 2);
                states.matmul(codebook.swap_dims(1, 2)).mul_scalar(2.0) - norms
            }
        }
    }
}

/// One where the last dimension has its maximum (the first of equal ones), zero elsewhere; a constant.
fn one_hot(scores: Tensor<3>) -> Tensor<3> {
    let [groups, rows, codes] = scores.dims();
    let device = scores.device();
    let winners = scores.detach().argmax(2).try_into_vec_as::<i64>().expect("indices");
    let mut hot = vec![0.0_f32; groups * rows * codes];
    for (row, winner) in winners.into_iter().enumerate() {
        hot[row * codes + winner as usize] = 1.0;
    }
    Tensor::from_data(TensorData::new(hot, [groups, rows, codes]), &device)
}

/// Codebook and commitment loss of the counted positions (`[batch, time, 1]`, one or zero).
fn pull(states: Tensor<3>, codes: Tensor<3>, counted: Tensor<3>) -> Tensor<1> {
    let width = states.dims()[2] as f64;
    let elements = counted.clone().sum().mul_scalar(width).clamp_min(1.0);
    let mean = |difference: Tensor<3>| (difference.square() * counted.clone()).sum() / elements.clone();
    mean(states.clone().detach() - codes.clone()) + mean(states - codes.detach()).mul_scalar(0.25)
}

#[cfg(test)]
mod tests;
