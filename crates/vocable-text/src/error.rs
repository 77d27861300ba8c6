use std::path::PathBuf;

/// What can go wrong with a vocabulary.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of a vocabulary file is no piece of a character vocabulary.
    #[error(
        "{path}, line {line}: `{piece}` is not one character; give the dict.txt or the piece list of a character model"
    )]
    NotACharacter {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        piece: String,
    },
    /// The pieces do not make a vocabulary.
    #[error("{what}: {reason}")]
    Pieces {
        /// The file, or "vocabulary".
        what: String,
        /// What is wrong and what to do.
        reason: String,
    },
}
