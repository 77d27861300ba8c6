//! Everything the step loop can be told.

use serde::{Deserialize, Serialize};

use crate::{Loading, LossScale, OptimiserConfig, Schedule, TrainError};

/// A whole training recipe, apart from the model and the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of updates of the whole run.
    pub updates: usize,
    /// Peak learning rate, which the schedule scales.
    pub learning_rate: f64,
    /// The learning rate's course over the run.
    pub schedule: Schedule,
    /// AdamW and gradient clipping.
    pub optimiser: OptimiserConfig,
    /// Validate after every so many updates and at the end; 0 never validates.
    pub validate_every: usize,
    /// Save after every so many updates; 0 saves only at the end and when interrupted.
    pub checkpoint_every: usize,
    /// How many of the newest checkpoints are kept, at least one; the best is kept beside them.
    pub keep_last: usize,
    /// Updates in a row that may be skipped before the run ends with an error: a loss or gradient is not finite, or nothing of
    /// a batch can be used.
    pub max_skipped: usize,
    /// Which weights are the result.
    pub outcome: Outcome,
    /// How batches are prepared; no part of the recipe, since no result depends on it.
    #[serde(skip)]
    pub loading: Loading,
    /// Scaling of the loss, for objectives that compute in half precision; it goes with what they say of that.
    #[serde(skip)]
    pub loss_scale: Option<LossScale>,
}

/// Which weights are the result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The last ones.
    Last,
    /// Those of the best checkpoint.
    Best(Best),
    /// The mean of the last checkpoints' weights.
    Mean {
        /// How many; all of a run that saves fewer.
        checkpoints: usize,
    },
}

/// Which validation number chooses the best checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Name of the number among the terms of [`Objective::losses`](crate::Objective::losses) in validation.
    pub metric: String,
    /// Whether higher or lower is better.
    pub direction: Direction,
}

/// Whether a higher or a lower number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// An accuracy.
    Higher,
    /// A loss or an error rate.
    Lower,
}

impl Direction {
    /// Whether `new` beats `old`; a number that is not finite never does.
    pub fn improves(self, new: f64, old: f64) -> bool {
        new.is_finite()
            && match self {
                Self::Higher => new > old,
                Self::Lower => new < old,
            }
    }
}

impl TrainConfig {
    /// A recipe with the peak rate, the schedule and the optimiser of the task, and quiet defaults for the rest: no
    /// validation, a checkpoint at the end only, the last two kept, an error after five skipped updates in a row.
    pub fn new(updates: usize, learning_rate: f64, schedule: Schedule, optimiser: OptimiserConfig) -> Self {
        Self {
            updates,
            learning_rate,
            schedule,
            optimiser,
            validate_every: 0,
            checkpoint_every: 0,
            keep_last: 2,
            max_skipped: 5,
            outcome: Outcome::Last,
            loading: Loading::default(),
            loss_scale: None,
        }
    }

    /// What chooses the best checkpoint, if that is the outcome.
    pub(crate) fn best(&self) -> Option<&Best> {
        match &self.outcome {
            Outcome::Best(best) => Some(best),
            Outcome::Last | Outcome::Mean { .. } => None,
        }
    }

    /// Whether the run is validated after so many updates.
    pub(crate) fn validates_after(&self, done: usize) -> bool {
        self.validate_every > 0 && (done == self.updates || done.is_multiple_of(self.validate_every))
    }

    /// Whether the run is saved after so many updates.
    pub(crate) fn saves_after(&self, done: usize) -> bool {
        done == self.updates || (self.checkpoint_every > 0 && done.is_multiple_of(self.checkpoint_every))
    }

    /// How many checkpoints' weights the outcome is the mean of: all of a run that saves fewer than [`Outcome::Mean`] asks for.
    pub fn averaged(&self) -> usize {
        match self.outcome {
            Outcome::Mean { checkpoints } => {
                checkpoints.min((1..=self.updates).filter(|&done| self.saves_after(done)).count())
            }
            Outcome::Best(_) | Outcome::Last => 1,
        }
    }

    /// Checks every range; the error names the field.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |message: String| Err(TrainError::Config(message));
        if !(self.learning_rate.is_finite() && self.learning_rate >= 0.0) {
            return wrong(format!("learning_rate is {}, which is not a rate", self.learning_rate));
        }
        if self.keep_last == 0 {
            return wrong("keep_last is 0, but at least the newest checkpoint must be kept".into());
        }
        match self.outcome {
            Outcome::Best(_) if self.validate_every == 0 => {
                return wrong("the best checkpoint is chosen in validation: set validate_every".into());
            }
            Outcome::Mean { checkpoints } if checkpoints == 0 || checkpoints > self.keep_last => {
                let kept = self.keep_last;
                return wrong(format!("outcome is the mean of {checkpoints} checkpoints, but keep_last is {kept}"));
            }
            _ => {}
        }
        if let Some(scale) = &self.loss_scale {
            scale.check()?;
        }
        self.schedule.check()?;
        self.optimiser.check()
    }
}
