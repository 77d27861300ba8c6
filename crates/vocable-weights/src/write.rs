use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use safetensors::View;

use crate::WeightsError;

/// Writes a safetensors file, beside its final name, synced and then renamed; equal tensors give equal bytes.
///
/// `metadata` is the text that the header carries, such as `("format", "pt")`, which Hugging Face's readers ask for.
///
/// # Errors
/// What the operating system says.
pub fn write_safetensors<T: View>(
    path: &Path,
    tensors: Vec<(String, T)>,
    metadata: Option<(&str, &str)>,
) -> Result<(), WeightsError> {
    let io = |source| WeightsError::Io { path: path.into(), source };
    let nameless = || io(std::io::Error::new(ErrorKind::IsADirectory, "the path names no file"));
    let name = path.file_name().ok_or_else(nameless)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    // A single entry: a map of several would come out in any order.
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
    let written = safetensors::serialize_to_file(tensors, metadata, &beside).map_err(std::io::Error::other);
    let synced = written.and_then(|()| File::open(&beside)?.sync_all()).and_then(|()| fs::rename(&beside, path));
    synced.map_err(|source| {
        let _ = fs::remove_file(&beside);
        io(source)
    })
}
