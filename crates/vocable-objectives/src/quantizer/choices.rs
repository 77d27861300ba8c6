//! The random choices of a quantizer's pass: which states it mixes, and the Gumbel noise.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::distr::Distribution;
use rand_distr::Gumbel;
use vocable_nn::Mode;
use vocable_random::Key;

use super::{Mixing, QuantizerConfig, Selection};

/// Everything a pass draws at random.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The states that are replaced by their codes.
    pub mixed: Mixed,
    /// Standard Gumbel noise `[batch · time · groups, codes]`, rows ordered (item, frame, group); `None` picks the
    /// arg-max without gradient to the scores, as in evaluation. The nearest kind takes none.
    pub noise: Option<Vec<f32>>,
}

/// Time indices whose states are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mixed {
    /// The same indices for every item of the batch.
    Shared(Vec<usize>),
    /// Every item's own.
    PerItem(Vec<Vec<usize>>),
}

impl Choices {
    /// Draws what a pass over `batch` items of `time` frames needs.
    ///
    /// An evaluation has no key of its own; where it mixes, the indices are a function of the batch's shape.
    pub fn draw(config: &QuantizerConfig, batch: usize, time: usize, mode: Mode) -> Self {
        let mixing = config.mixing;
        let mixed = match mode {
            Mode::Train(key) => Mixed::draw(mixing, batch, time, key.fold("mix")),
            Mode::Eval if mixing.in_evaluation => Mixed::draw(mixing, batch, time, Key::new(0).fold("mix")),
            Mode::Eval => Mixed::Shared(Vec::new()),
        };
        let gumbel = |key: Key| {
            let gumbel = Gumbel::new(0.0_f32, 1.0).expect("a standard distribution");
            let draws = gumbel.sample_iter(key.fold("gumbel").rng());
            // One of 2^24 draws is of the 1 whose double logarithm is infinite; a softmax over it would be NaN.
            draws.filter(|noise| noise.is_finite()).take(batch * time * config.groups * config.codes).collect()
        };
        let noise = mode.key().filter(|_| config.kind == Selection::Gumbel).map(gumbel);
        Self { mixed, noise }
    }
}

impl Mixed {
    fn draw(mixing: Mixing, batch: usize, time: usize, key: Key) -> Self {
        let count = (time as f64 * mixing.share) as usize;
        let indices = |key: Key| rand::seq::index::sample(&mut key.rng(), time, count).into_vec();
        if mixing.per_item {
            Self::PerItem((0..batch).map(|item| indices(key.fold(item))).collect())
        } else {
            Self::Shared(indices(key))
        }
    }

    fn of_item(&self, item: usize) -> &[usize] {
        match self {
            Self::Shared(indices) => indices,
            Self::PerItem(items) => &items[item],
        }
    }

    /// `[batch, time]`, true where the state is replaced; `None` when there is none.
    fn mask(&self, batch: usize, time: usize, device: &Device) -> Option<Tensor<2, Bool>> {
        let mut mask = vec![false; batch * time];
        for (item, row) in mask.chunks_mut(time.max(1)).enumerate() {
            for &index in self.of_item(item) {
                row[index] = true;
            }
        }
        mask.contains(&true).then(|| Tensor::from_data(TensorData::new(mask, [batch, time]), device))
    }

    /// `states` with the mixed ones taken from `codes` (both `[batch, time, width]`).
    pub(super) fn replace(&self, states: Tensor<3>, codes: Tensor<3>) -> Tensor<3> {
        let [batch, time, width] = states.dims();
        match self.mask(batch, time, &states.device()) {
            Some(mask) => states.mask_where(mask.unsqueeze_dim::<3>(2).expand([batch, time, width]), codes),
            None => states,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn mixing_draws_a_tenth_of_distinct_indices() {
        let config = QuantizerConfig::paper();
        for time in [0, 9, 10, 30, 44, 99, 1000] {
            let Mixed::Shared(indices) = Choices::draw(&config, 3, time, Mode::Train(Key::new(1))).mixed else {
                panic!("the paper shares the indices");
            };
            assert_eq!(indices.len(), time / 10, "of {time}");
            assert!(indices.iter().all(|&index| index < time));
            assert_eq!(indices.iter().collect::<HashSet<_>>().len(), indices.len());
        }
    }

    #[test]
    fn draws_follow_the_key_and_the_mode() {
        let config = QuantizerConfig::paper();
        let train = |seed| Choices::draw(&config, 2, 100, Mode::Train(Key::new(seed))).mixed;
        assert_eq!(train(1), train(1));
        assert_ne!(train(1), train(2));
        let eval = |config: &QuantizerConfig| Choices::draw(config, 2, 100, Mode::Eval);
        assert_eq!(eval(&config).mixed, Mixed::Shared(Vec::new()));
        let official = QuantizerConfig::official();
        assert_eq!(eval(&official).mixed.of_item(0).len(), 10);
        assert!(eval(&official).noise.is_none());
        let per_item = QuantizerConfig { mixing: Mixing { per_item: true, ..config.mixing }, ..config };
        let mixed = Choices::draw(&per_item, 2, 100, Mode::Train(Key::new(1))).mixed;
        assert_ne!(mixed.of_item(0), mixed.of_item(1));
    }

    #[test]
    fn noise_is_standard_gumbel() {
        let config = QuantizerConfig::official();
        let noise = Choices::draw(&config, 2, 250, Mode::Train(Key::new(5))).noise.expect("training");
        assert_eq!(noise.len(), 2 * 250 * 2 * 100);
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / noise.len() as f64;
        // Euler's constant; 5 standard errors of a deviation of 1.2825 over 100,000 draws.
        assert!((mean - 0.577_216).abs() < 0.0203, "{mean}");
    }

    #[test]
    fn noise_is_finite_where_the_uniform_draw_is_one() {
        // The stream of this key has such a draw, its 3,762nd.
        let noise =
            Choices::draw(&QuantizerConfig::official(), 1, 19, Mode::Train(Key::new(18))).noise.expect("training");
        assert!(noise.len() > 3761 && noise.iter().all(|noise| noise.is_finite()));
    }
}
