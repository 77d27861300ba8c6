use std::path::PathBuf;

/// Why a file of weights cannot be used; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The file is of another format, or of a part of a format that is not read here.
    #[error("{}: {reason}", path.display())]
    NotWeights {
        /// The file or folder.
        path: PathBuf,
        /// What it seems to be and what to do.
        reason: String,
    },
    /// The file contradicts itself or ends too early.
    #[error("{}: damaged: {reason}; copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        reason: String,
    },
    /// What lies beside the weights does not say what they are.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor's values are no floating-point numbers.
    #[error("tensor {name} holds {found}, expected floating-point numbers")]
    NotFloat {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
}
