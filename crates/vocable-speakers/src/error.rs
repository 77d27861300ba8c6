use std::path::PathBuf;

use vocable_weights::WeightsError;

/// Why speaker vectors cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SpeakerError {
    /// The file of the weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file cannot be written, or there is nothing to train on.
    #[error(transparent)]
    Data(#[from] vocable_data::DataError),
    /// The files do not describe a model that is known here.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A recording has too few frames for the network.
    #[error("{samples} samples are too few for a speaker vector: {least} are needed")]
    Short {
        /// Samples there are.
        samples: usize,
        /// Samples there must be.
        least: usize,
    },
}
