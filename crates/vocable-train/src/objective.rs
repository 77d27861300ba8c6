//! What a task gives the step loop: losses for training, numbers for validation.

use burn::module::Module;
use vocable_objectives::Losses;

/// Any error of a task; the step loop adds the update and the micro-batch.
pub type ObjectiveError = Box<dyn std::error::Error + Send + Sync>;

/// What is in a micro-batch, for the records and for messages about numbers that are not finite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Names of the utterances or sentences.
    pub utterances: Vec<String>,
    /// Frames, samples or tokens of the input without padding, in whichever unit the task counts.
    pub frames: usize,
}

/// What is minimised and how it is watched.
///
/// Everything is a **pure function** of the arguments and the data the objective holds: the order of the data, crops,
/// masks and dropout keys follow from `update` and `micro`. There is therefore no loader state to save, and an
/// interrupted run sees the same batches when it continues.
pub trait Objective<M: Module> {
    /// Micro-batches per update; the gradient is the mean of theirs. A parameter that a micro-batch does not touch
    /// counts as a zero gradient in that mean.
    fn micro_batches(&self) -> usize {
        1
    }

    /// Loss of micro-batch `micro` (from 0) of the update with index `update` (from 0).
    ///
    /// Terms of the same name are averaged over the micro-batches that report them, so modalities that share an update
    /// prefix their terms (`speech/mlm`, `text/ce`).
    fn loss(&self, model: &M, update: usize, micro: usize) -> Result<Losses, ObjectiveError>;

    /// What [`Objective::loss`] would read with the same arguments; names appear when a loss is not finite.
    fn batch(&self, update: usize, micro: usize) -> Batch {
        let _ = (update, micro);
        Batch::default()
    }

    /// Named numbers on held-out data, computed on the model without autodiff (`model.valid()`).
    fn validate(&self, model: &M) -> Result<Vec<(String, f64)>, ObjectiveError> {
        let _ = model;
        Ok(Vec::new())
    }
}
