//! Files of others: what a path names may be a pipe, a device or of any size.

use std::fs::{self, File};
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file, also through links: a pipe would be waited for, and a device need not end.
///
/// # Errors
/// A path that leads to nothing, or to something other than a file; what the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        return Err(Error::new(ErrorKind::IsADirectory, "is a folder, where a file is expected"));
    }
    if !kind.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "is no regular file"));
    }
    File::open(path)
}

/// The content of a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open`], a larger file, and what the operating system says.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("has more than the {limit} bytes that such a file may have");
        return Err(Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("four");
        fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        assert!(read(&path, 3).unwrap_err().to_string().contains("more than the 3 bytes"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link, 1).unwrap(), b"x");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(open(dir.path()).unwrap_err().to_string().contains("is a folder"));
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            assert!(open(path).unwrap_err().to_string().contains("no regular file"));
        }
    }
}
