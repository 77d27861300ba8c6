//! Files that are either whole or absent.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use vocable_files::sync_directory;

use crate::error::Error;

/// Writes `bytes` under `path`, whole or not at all; see [`vocable_files::write_with`].
///
/// # Errors
/// [`Error::File`] when the directory is missing or cannot be written to, and when `path` names no regular file.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    vocable_files::write(path, bytes).map_err(Error::file("write", path))
}

/// Makes the names in a directory and in those below it as durable as the files they name.
///
/// # Errors
/// [`Error::File`].
pub fn sync_directories(directory: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
        let path = entry.map_err(Error::file("list", directory))?.path();
        if path.is_dir() {
            sync_directories(&path)?;
        }
    }
    sync_directory(directory).map_err(Error::file("sync", directory))
}

/// What is in a directory, sorted by name; nothing where there is none.
pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Writes `value` as indented JSON with a final newline, atomically.
///
/// # Errors
/// [`Error::File`] as [`write_atomic`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data serialises");
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// Reads JSON; a file that does not exist is `None`.
///
/// # Errors
/// [`Error::File`] when it cannot be read, [`Error::Damaged`] when it does not hold a `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| Error::Damaged { path: path.to_owned(), source })
}

/// Creates a directory and those above it.
///
/// # Errors
/// [`Error::File`].
pub fn create_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_json(&path, &1).unwrap();
        assert_eq!(read_json::<i32>(&path).unwrap(), Some(1));
        // A directory under the final name makes the rename fail.
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write_atomic(&taken, b"2").unwrap_err().to_string().starts_with("cannot write "));
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["taken", "x.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through_and_a_path_without_a_name_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("x.json"), dir.path().join("link.json"));
        write_json(&path, &1).unwrap();
        std::os::unix::fs::symlink("x.json", &link).unwrap();
        write_json(&link, &2).unwrap();
        assert_eq!(read_json::<i32>(&path).unwrap(), Some(2));
        assert!(link.is_symlink());
        for nameless in [".", "..", "/"].map(Path::new) {
            let error = write_atomic(nameless, b"3").unwrap_err();
            let reason = std::error::Error::source(&error).expect("the reason").to_string();
            assert!(reason.contains("it is a folder"), "{reason}");
        }
    }

    #[test]
    fn a_missing_file_is_none_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert_eq!(read_json::<i32>(&path).unwrap(), None);
        fs::write(&path, "{").unwrap();
        let message = read_json::<i32>(&path).unwrap_err().to_string();
        assert!(message.contains("x.json is damaged"), "{message}");
    }
}
