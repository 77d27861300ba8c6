//! Files of others, read within limits: a list that came with a corpus may be of any size, a pipe or a device.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::DataError;

/// Bytes of the longest line of a manifest or list; those of an utterance have some hundred, its units some thousand.
pub const LONGEST_LINE: usize = 1 << 20;
/// Bytes of the largest file that holds one value: a speaker's vector, an utterance's text.
pub const LARGEST_VALUE: u64 = 1 << 20;

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File, DataError> {
    vocable_files::open(path).map_err(DataError::io(path))
}

/// The content of a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    vocable_files::read(path, limit).map_err(DataError::io(path))
}

/// Hands every line of a UTF-8 file to `each`, with its number (from 1), without its end and the file's byte-order mark.
///
/// # Errors
/// By file and line: one of more than [`LONGEST_LINE`] bytes, other bytes than UTF-8; what `each` returns.
pub(crate) fn lines(path: &Path, mut each: impl FnMut(usize, &str) -> Result<(), DataError>) -> Result<(), DataError> {
    let mut reader = BufReader::new(open(path)?);
    let mut bytes = Vec::new();
    for number in 1.. {
        let fault = |message: String| DataError::Line { path: path.to_owned(), line: number, message };
        bytes.clear();
        let limited = Read::by_ref(&mut reader).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        if limited.map_err(DataError::io(path))? == 0 {
            break;
        }
        let line = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
        if line.len() > LONGEST_LINE {
            return Err(fault(format!("is longer than the {LONGEST_LINE} bytes that a line may have")));
        }
        let line = std::str::from_utf8(line).map_err(|_| fault("is not UTF-8".into()))?;
        // Editors of some systems mark a file as UTF-8 by this character.
        let line = if number == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        each(number, line)?;
    }
    Ok(())
}
