use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use safetensors::View;

use zip::write::SimpleFileOptions;

use crate::{WeightsError, torch_save};

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
    // A single entry: a map of several would come out in any order.
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
    whole(path, |beside| {
        safetensors::serialize_to_file(tensors, metadata, beside).map_err(io::Error::other)?;
        File::open(beside)?.sync_all()
    })
}

/// Writes a dictionary of tensors as `torch.save` does, beside its final name, synced and then renamed; equal tensors give
/// equal bytes. `torch.load(path, weights_only=True)` reads it.
///
/// # Errors
/// What the operating system says; a type of elements that PyTorch's storages lack.
pub fn write_pytorch<T: View>(path: &Path, tensors: &[(String, T)]) -> Result<(), WeightsError> {
    let program =
        torch_save::dictionary(tensors).map_err(|reason| WeightsError::NotWeights { path: path.into(), reason })?;
    whole(path, |beside| {
        let mut archive = zip::ZipWriter::new(BufWriter::new(File::create(beside)?));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut entry = |name: &str, bytes: &[u8]| {
            archive.start_file(format!("archive/{name}"), stored)?;
            archive.write_all(bytes)
        };
        entry("data.pkl", &program)?;
        entry("byteorder", b"little")?;
        for (number, (_, tensor)) in tensors.iter().enumerate() {
            entry(&format!("data/{number}"), &tensor.data())?;
        }
        entry("version", b"3\n")?;
        archive.finish()?.into_inner()?.sync_all()
    })
}

/// Has a file written beside its final name, and renames it.
fn whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), WeightsError> {
    let io = |source| WeightsError::Io { path: path.into(), source };
    let nameless = || io(io::Error::new(ErrorKind::IsADirectory, "the path names no file"));
    let name = path.file_name().ok_or_else(nameless)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    write(&beside).and_then(|()| fs::rename(&beside, path)).map_err(|source| {
        let _ = fs::remove_file(&beside);
        io(source)
    })
}
