//! Durable files: what is under its final name is whole, also after a power cut.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TrainError;

/// Writes a new file and waits until the disk has it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create(path).map_err(TrainError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::io("write", path))
}

/// Makes creations, renames and removals inside a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), TrainError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(TrainError::io("sync", path))
}

/// The directory that a file lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes `path` under a temporary name in the same directory, then renames it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let directory = parent(path);
    let beside = directory.join(format!(".{name}.tmp"));
    write_synced(&beside, bytes).inspect_err(|_| {
        // The temporary is worthless now; that it may not exist either is no second error.
        let _ = fs::remove_file(&beside);
    })?;
    fs::rename(&beside, path).map_err(TrainError::io("rename to", path))?;
    sync_directory(directory)
}

/// The SHA-256 of some bytes in lower-case hexadecimal, as `sha256sum` prints it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn replacing_leaves_only_the_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
