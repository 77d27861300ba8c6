//! Loss scaling for gradients of narrow range.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How the loss is scaled before its gradient is taken, so that small gradients do not vanish in half precision; the gradient is
/// scaled back in f32 (Micikevicius et al. 2018, section 3.2; the dynamic rule is that of fairseq and PyTorch).
///
/// An update whose gradient overflows is skipped and halves the scale; after `growth_every` good ones it doubles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// The scale that a run begins with; a power of two rounds nothing.
    pub initial: f64,
    /// Updates in a row without an overflow after which the scale doubles.
    pub growth_every: usize,
}

/// The largest scale, far from what f32 overflows at.
const LARGEST: f64 = (1_u64 << 32) as f64;

impl Default for LossScale {
    /// 128, fairseq's, doubled every 2000 updates.
    fn default() -> Self {
        Self { initial: 128.0, growth_every: 2000 }
    }
}

impl LossScale {
    /// Checks both ranges; the error names the field.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let Self { initial, growth_every } = self;
        if !(initial.is_finite() && *initial > 0.0) {
            return Err(TrainError::Config(format!("loss_scale.initial is {initial}, which is no scale")));
        }
        match growth_every {
            0 => Err(TrainError::Config("loss_scale.growth_every is 0, where 1 or more is expected".into())),
            _ => Ok(()),
        }
    }
}

/// Where the scale of a run stands; saved with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleState {
    /// The factor of the loss.
    pub scale: f64,
    /// Updates in a row without an overflow since the scale last changed.
    pub good: usize,
}

impl ScaleState {
    pub(crate) fn new(config: &LossScale) -> Self {
        Self { scale: config.initial, good: 0 }
    }

    /// After an update whose gradient was finite.
    pub(crate) fn grew(self, config: &LossScale) -> Self {
        match self.good + 1 {
            good if good >= config.growth_every => Self { scale: (2.0 * self.scale).min(LARGEST), good: 0 },
            good => Self { good, ..self },
        }
    }

    /// After an overflow; `None` if the scale is too small to be the reason.
    pub(crate) fn shrunk(self) -> Option<Self> {
        (self.scale > 1.0).then_some(Self { scale: self.scale / 2.0, good: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_doubles_after_good_updates_and_halves_after_an_overflow() {
        let config = LossScale { initial: 8.0, growth_every: 3 };
        let mut state = ScaleState::new(&config);
        for expected in [(8.0, 1), (8.0, 2), (16.0, 0), (16.0, 1)] {
            state = state.grew(&config);
            assert_eq!((state.scale, state.good), expected);
        }
        let mut scales = Vec::new();
        while let Some(smaller) = state.shrunk() {
            state = smaller;
            scales.push(state.scale);
        }
        assert_eq!((scales, state.good), (vec![8.0, 4.0, 2.0, 1.0], 0));
        let top = ScaleState { scale: LARGEST, good: 2 };
        assert_eq!(top.grew(&config).scale, LARGEST);
    }
}
