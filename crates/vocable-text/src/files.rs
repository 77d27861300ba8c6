//! Files of vocabularies: read within a limit, written whole.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path;

use crate::TextError;

/// Bytes of the largest file that is read as a vocabulary; public ones have up to five megabytes.
const LARGEST: u64 = 1 << 26;

/// The content of a regular file of at most [`LARGEST`] bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    let io = |source| TextError::Io { path: path.into(), source };
    let kind = fs::metadata(path).map_err(io)?;
    // A pipe would be waited for, and a device need not end.
    if !(kind.is_file() || kind.is_dir()) {
        return Err(io(Error::new(ErrorKind::InvalidInput, "is no regular file")));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > LARGEST {
        let reason = format!("has more than the {LARGEST} bytes that a vocabulary may have");
        return Err(TextError::Pieces { what: path.display().to_string(), reason });
    }
    Ok(bytes)
}

/// The same as text.
pub(crate) fn read_text(path: &Path) -> Result<String, TextError> {
    String::from_utf8(read(path)?)
        .map_err(|_| TextError::Pieces { what: path.display().to_string(), reason: "is not UTF-8".into() })
}

/// Writes beside the final name, then renames, so that no partial file is ever read, and none is left.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // That it may not exist either is no second error.
        let _ = fs::remove_file(&beside);
    })
}
