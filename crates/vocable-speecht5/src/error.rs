use std::path::PathBuf;

/// What can go wrong between data and model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The data layer refused a file.
    #[error(transparent)]
    Data(#[from] vocable_data::DataError),
    /// A vocabulary cannot be read or written.
    #[error(transparent)]
    Text(#[from] vocable_text::TextError),
    /// A file of weights cannot be read or written.
    #[error(transparent)]
    File(#[from] vocable_weights::WeightsError),
    /// The corpus cannot serve a task.
    #[error("{task}: {message}")]
    Unsuitable {
        /// The task.
        task: &'static str,
        /// What is missing and what to do.
        message: String,
    },
    /// A weights file does not fit the model.
    #[error("{}: {message}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}
