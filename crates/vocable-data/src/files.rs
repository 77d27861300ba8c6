//! Files that are either whole or absent, and folders in order.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vocable_files::{hex, write_with};

use crate::{DataError, bounded};

/// Writes `path` through `fill`: beside it first, then flushed to disk, then renamed, so that a reader never sees a
/// part and an interrupted run leaves what was there before. Missing parent folders are made. What a symbolic link leads to is
/// written.
///
/// # Errors
/// A path that names no file, or where a folder, a pipe or a device is; what `fill` or the file system says.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), DataError> {
    let write = |beside: &Path| {
        let mut writer = BufWriter::new(File::create(beside)?);
        fill(&mut writer)?;
        writer.flush()
    };
    let parents = path.parent().map_or(Ok(()), fs::create_dir_all);
    parents.and_then(|()| write_with(path, write)).map_err(DataError::io(path))
}

/// SHA-256, in hex, over the names and the bytes of the files in a folder; folders in it and hidden files are left out.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn folder_hash(folder: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash_file(&path, &mut hash)?;
    }
    Ok(hex(&hash.finalize()))
}

/// Adds length and bytes of a file to a hash.
pub(crate) fn hash_file(path: &Path, hash: &mut Sha256) -> Result<(), DataError> {
    let mut file = bounded::open(path)?;
    let length = file.metadata().map_err(DataError::io(path))?.len();
    hash.update(length.to_le_bytes());
    std::io::copy(&mut file, &mut Hasher(hash)).map(drop).map_err(DataError::io(path))
}

/// Where a path leads to, however it is spelled; what it names in a folder need not be there.
///
/// # Errors
/// A folder that is not there.
pub fn place(path: &Path) -> Result<PathBuf, DataError> {
    let folder = path.parent().unwrap_or(Path::new("")).join(".");
    let beside = || Ok(folder.canonicalize()?.join(path.file_name().unwrap_or_default()));
    path.canonicalize().or_else(|_| beside()).map_err(DataError::io(path))
}

/// SHA-256, in hex, of a file.
///
/// # Errors
/// A file that cannot be read.
pub fn file_sha256(path: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut file = bounded::open(path)?;
    std::io::copy(&mut file, &mut Hasher(&mut hash)).map_err(DataError::io(path))?;
    Ok(hex(&hash.finalize()))
}

struct Hasher<'a>(&'a mut Sha256);

impl Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is in a folder, by name; hidden files are left out.
///
/// # Errors
/// A folder that cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read =
        || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().map_err(DataError::io(folder))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let hash = || folder_hash(dir.path()).unwrap();
        let empty = hash();
        write("a", "12");
        write("b", "3");
        let first = hash();
        assert!(first != empty && first.len() == 64);
        write(".hidden", "x");
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert_eq!(hash(), first);
        write("a", "1");
        write("b", "23");
        assert_ne!(hash(), first, "the same bytes in other files");
        assert!(folder_hash(&dir.path().join("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file.txt");
        write_atomically(&path, |out| out.write_all(b"first")).unwrap();
        let failed = write_atomically(&path, |out| {
            out.write_all(b"second, half of it")?;
            Err(std::io::Error::other("disk on fire"))
        });
        assert!(failed.unwrap_err().to_string().ends_with("deep/file.txt: disk on fire"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_without_a_name_is_an_error() {
        for nameless in [".", "..", "/"].map(Path::new) {
            let error = write_atomically(nameless, |out| out.write_all(b"text")).unwrap_err().to_string();
            assert!(error.contains("it is a folder"), "{error}");
        }
    }
}
