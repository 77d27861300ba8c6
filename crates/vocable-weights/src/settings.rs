//! What lies beside weights and says what they are: settings, in small files of text.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::WeightsError;
use crate::weights::map;

/// Bytes that settings may have; public ones have some thousand, with the names of a thousand classes some ten thousand.
const LARGEST: usize = 1 << 24;

/// The text of a file of settings.
///
/// # Errors
/// A file that is missing, empty, no regular file, larger than 16 MiB or not UTF-8.
pub fn read_settings(path: impl AsRef<Path>) -> Result<String, WeightsError> {
    let path = path.as_ref();
    let wrong = |reason: String| WeightsError::Settings { path: path.into(), reason };
    let bytes = map(path)?;
    if bytes.len() > LARGEST {
        return Err(wrong(format!("it has {} bytes, more than the {LARGEST} that settings may have", bytes.len())));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong("it is not UTF-8".into()))
}

/// Settings that are JSON.
///
/// # Errors
/// As [`read_settings`], and other JSON than that of a `T`.
pub fn read_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T, WeightsError> {
    let path = path.as_ref();
    serde_json::from_str(&read_settings(path)?)
        .map_err(|error| WeightsError::Settings { path: path.into(), reason: error.to_string() })
}
