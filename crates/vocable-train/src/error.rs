//! What can go wrong while training.

use std::path::{Path, PathBuf};

use crate::objective::ObjectiveError;

/// An error of the step loop, its checkpoints or its records.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A value of the configuration is out of range, or does not fit the model.
    #[error("training configuration: {0}")]
    Config(String),

    /// The objective could not compute a loss.
    #[error("no loss for micro-batch {micro} of update {update}")]
    Loss {
        /// One-based number of the update.
        update: usize,
        /// Zero-based index of the micro-batch.
        micro: usize,
        /// What the objective said.
        source: ObjectiveError,
    },

    /// The objective could not validate.
    #[error("no validation after update {update}")]
    Validation {
        /// Number of updates done.
        update: usize,
        /// What the objective said.
        source: ObjectiveError,
    },

    /// Too many updates in a row had a loss or a gradient that was not finite, or a batch of which nothing can be used.
    #[error(
        "update {update}: {reason}; {in_a_row} updates in a row were skipped, the last on {utterances}. \
         Look at these utterances, lower the learning rate where numbers are not finite, or raise `max_skipped`"
    )]
    NonFinite {
        /// One-based number of the last update that was skipped.
        update: usize,
        /// Which number was not finite, or what is wrong with the batch.
        reason: String,
        /// How many updates in a row were skipped.
        in_a_row: usize,
        /// The utterances of the last skipped update, or "an unnamed batch".
        utterances: String,
    },

    /// More files turned out to be unusable than the configuration puts up with.
    #[error(
        "update {update}: {} files cannot be used any more, and {limit} are allowed (`loading.bad_files`): {}",
        reasons.len(), reasons.join("; ")
    )]
    BadFiles {
        /// One-based number of the update.
        update: usize,
        /// How many are allowed.
        limit: usize,
        /// What is wrong with each.
        reasons: Vec<String>,
    },

    /// The interrupt flag was set: the step was finished and everything is saved.
    #[error("interrupted after update {update}; the same command continues from {}", checkpoint.display())]
    Interrupted {
        /// Number of updates done.
        update: usize,
        /// Where they are saved.
        checkpoint: PathBuf,
    },

    /// Another rank gave up.
    #[error("rank {rank}: {reason}")]
    Rank {
        /// Its number.
        rank: usize,
        /// Why.
        reason: String,
    },

    /// Ranks that should have the same weights do not.
    #[error(
        "after update {update} the weights of ranks {ranks:?} are not those of rank 0: do all ranks run the same program on \
         processors of one kind? The last checkpoint continues"
    )]
    Diverged {
        /// Number of updates done.
        update: usize,
        /// The ranks that differ from rank 0.
        ranks: Vec<usize>,
    },

    /// A checkpoint is damaged or does not belong to this run, or none is intact.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint, or the directory that holds all of them.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },

    /// A weight file does not fit the model.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// The file of records is shorter than its checkpoint says, or holds a line that is not a record.
    #[error("{}: {reason}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },

    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "write", "rename", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

impl TrainError {
    /// For `map_err`: an [`TrainError::Io`] that names the action and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
