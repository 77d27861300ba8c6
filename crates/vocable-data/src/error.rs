use std::path::{Path, PathBuf};

use vocable_audio::AudioError;

use crate::verify::BadFile;

/// What can go wrong between recordings on disk and batches; every message is for the person whose files they are.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line of a text file does not follow its format.
    #[error("{path}:{line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A file as a whole does not follow its format.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A recording cannot be decoded, or has the wrong rate.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Recordings that cannot be used; all of them, one per line.
    #[error("{} unusable {}:\n{}", .0.len(), if .0.len() == 1 { "file" } else { "files" }, list(.0))]
    BadFiles(Vec<BadFile>),
    /// A corpus that holds another number of utterances than its publication says; a line for each part of it.
    #[error("the corpus is not the published one:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
    Incomplete(Vec<String>),
    /// A request that the data at hand cannot satisfy.
    #[error("{0}")]
    Invalid(String),
}

impl DataError {
    /// For `map_err` on operations of the file system.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string() }
    }
}

fn list(files: &[BadFile]) -> String {
    files.iter().map(|file| format!("  {file}")).collect::<Vec<_>>().join("\n")
}
