use std::path::PathBuf;

use vocable_weights::WeightsError;

/// Why a HuBERT model, or a recording in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HubertError {
    /// The file of its weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Its files do not describe a model that is known here.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// It has no such layer.
    #[error("layer {layer} is not one of its layers, 1 to {layers}")]
    Layer {
        /// The one asked for.
        layer: usize,
        /// The last one.
        layers: usize,
    },
    /// A recording is shorter than a frame.
    #[error("{samples} samples are too few for a frame")]
    Short {
        /// Samples there are.
        samples: usize,
    },
}
