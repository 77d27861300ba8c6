//! Files of vocabularies: read within a limit, written whole.

use std::path::Path;

use crate::TextError;

/// Bytes of the largest file that is read as a vocabulary; public ones have up to five megabytes.
const LARGEST: u64 = 1 << 26;

/// The content of a regular file of at most [`LARGEST`] bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    vocable_files::read(path, LARGEST).map_err(|source| TextError::Io { path: path.into(), source })
}

/// The same as text.
pub(crate) fn read_text(path: &Path) -> Result<String, TextError> {
    String::from_utf8(read(path)?)
        .map_err(|_| TextError::Pieces { what: path.display().to_string(), reason: "is not UTF-8".into() })
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), TextError> {
    vocable_files::write(path, bytes).map_err(|source| TextError::Io { path: path.into(), source })
}
