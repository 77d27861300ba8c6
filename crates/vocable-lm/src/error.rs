use std::path::PathBuf;

use vocable_weights::WeightsError;

/// Why a language model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// The file of its weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file cannot be written, or there is nothing to train on.
    #[error(transparent)]
    Data(#[from] vocable_data::DataError),
    /// Its files do not describe a model.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// It lacks tokens of the vocabulary that it is to score.
    #[error(
        "{}: the language model has no token for {}; it must know every character that the recogniser writes",
        path.display(),
        tokens.join(" ")
    )]
    Unknown {
        /// Where it was read from.
        path: PathBuf,
        /// Their spellings.
        tokens: Vec<String>,
    },
}
