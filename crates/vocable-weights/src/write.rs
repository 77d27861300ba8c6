use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

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
    let write = |beside: &Path| {
        // The library leaves a file that its owner alone can read; this one is to be like any other new file.
        let permissions = File::create(beside)?.metadata()?.permissions();
        safetensors::serialize_to_file(tensors, metadata, beside).map_err(io::Error::other)?;
        fs::set_permissions(beside, permissions)
    };
    write_whole(path, write).map_err(|source| WeightsError::Io { path: path.into(), source })
}

/// Writes a dictionary of tensors as `torch.save` does, beside its final name, synced and then renamed; equal tensors give
/// equal bytes. `torch.load(path, weights_only=True)` reads it.
///
/// # Errors
/// What the operating system says; a type of elements that PyTorch's storages lack.
pub fn write_pytorch<T: View>(path: &Path, tensors: &[(String, T)]) -> Result<(), WeightsError> {
    let program =
        torch_save::dictionary(tensors).map_err(|reason| WeightsError::NotWeights { path: path.into(), reason })?;
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
    write_whole(path, write).map_err(|source| WeightsError::Io { path: path.into(), source })
}

/// Has `write` make a file under a name beside that of `path`, syncs and renames it, so that nothing partial ever has the final
/// name.
/// A symbolic link stays what it is: the file that it leads to is replaced.
///
/// # Errors
/// Those of [`destination`], those of `write`, and what the operating system says.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let place = destination(path)?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let beside = place.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let write = || {
        write(&beside)?;
        File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &place)
    };
    write().inspect_err(|_| {
        // What is half done is worthless; that it may not exist either is no second error.
        let _ = fs::remove_file(&beside);
    })
}

/// The file that writing to a path is to replace or make: the path itself, or what it leads to as a symbolic link.
///
/// # Errors
/// A path that names no file, or where a folder, a pipe or a device is; a link to nothing; a path that cannot be looked up.
pub fn destination(path: &Path) -> io::Result<PathBuf> {
    let wrong = |kind: ErrorKind, reason: &'static str| Err(io::Error::new(kind, reason));
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            wrong(ErrorKind::IsADirectory, "it is a folder, where the name of a file is expected")
        }
        Ok(found) if !found.is_file() => {
            wrong(ErrorKind::InvalidInput, "it is no regular file, and would be replaced; name another")
        }
        Ok(_) if path.is_symlink() => path.canonicalize(),
        Ok(_) => Ok(path.to_owned()),
        Err(_) if path.file_name().is_none() => wrong(ErrorKind::InvalidInput, "the path names no file"),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => wrong(ErrorKind::NotFound, "it is a link to nothing; remove it or name another"),
        Err(_) => Ok(path.to_owned()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;
    use crate::OwnedTensor;

    fn text(path: &Path, text: &str) -> io::Result<()> {
        write_whole(path, |beside| fs::write(beside, text))
    }

    #[test]
    fn a_link_is_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/file"), "old").unwrap();
        symlink("elsewhere/file", at("link")).unwrap();
        text(&at("link"), "new").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("elsewhere/file")).unwrap(), "new");
        symlink("nowhere", at("lost")).unwrap();
        assert!(text(&at("lost"), "new").unwrap_err().to_string().contains("a link to nothing"));
        assert!(!at("nowhere").exists());
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, reason) in [
            (pipe.as_path(), "no regular file"),
            (Path::new("/dev/null"), "no regular file"),
            (dir.path(), "it is a folder"),
            (Path::new("/"), "it is a folder"),
            (Path::new("."), "it is a folder"),
            (Path::new("nowhere/.."), "names no file"),
        ] {
            let error = text(path, "new").unwrap_err().to_string();
            assert!(error.contains(reason), "{}: {error}", path.display());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn weights_can_be_read_by_whoever_can_read_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
        fs::write(at("any"), "").unwrap();
        let tensors = || vec![("a".to_owned(), OwnedTensor::f32(vec![1], &[1.0]))];
        write_safetensors(&at("a.safetensors"), tensors(), None).unwrap();
        write_pytorch(&at("a.pt"), &tensors()).unwrap();
        assert_eq!((mode("a.safetensors"), mode("a.pt")), (mode("any"), mode("any")));
    }
}
