use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::View;
use vocable_files::write_with;
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
    let write = |beside: &Path| {
        // The library leaves a file that its owner alone can read; this one is to be like any other new file.
        let permissions = File::create(beside)?.metadata()?.permissions();
        safetensors::serialize_to_file(tensors, metadata, beside).map_err(io::Error::other)?;
        fs::set_permissions(beside, permissions)
    };
    write_with(path, write).map_err(|source| WeightsError::Io { path: path.into(), source })
}

/// Writes a dictionary of tensors as `torch.save` does, beside its final name, synced and then renamed; equal tensors give
/// equal bytes. `torch.load(path, weights_only=True)` reads it. With a `key` it is that key's value in another dictionary, as
/// trainers keep a model beside their own state.
///
/// # Errors
/// What the operating system says; a type of elements that PyTorch's storages lack.
pub fn write_pytorch<T: View>(path: &Path, key: Option<&str>, tensors: &[(String, T)]) -> Result<(), WeightsError> {
    let program = torch_save::dictionary(key, tensors)
        .map_err(|reason| WeightsError::NotWeights { path: path.into(), reason })?;
    let write = |beside: &Path| {
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
        archive.finish()?.into_inner()?;
        Ok(())
    };
    write_with(path, write).map_err(|source| WeightsError::Io { path: path.into(), source })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::OwnedTensor;

    #[test]
    fn weights_can_be_read_by_whoever_can_read_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
        fs::write(at("any"), "").unwrap();
        let tensors = || vec![("a".to_owned(), OwnedTensor::f32(vec![1], &[1.0]))];
        write_safetensors(&at("a.safetensors"), tensors(), None).unwrap();
        write_pytorch(&at("a.pt"), None, &tensors()).unwrap();
        assert_eq!((mode("a.safetensors"), mode("a.pt")), (mode("any"), mode("any")));
    }
}
