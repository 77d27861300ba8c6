use std::path::PathBuf;

use vocable_weights::WeightsError;

/// Why a vocoder cannot be used; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum VocoderError {
    /// The file of its weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Its files do not describe a generator that is known here.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}
