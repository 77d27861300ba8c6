//! Files of unit labels: `.km`, one utterance per line, its cluster ids separated by spaces.

use std::io::Write;
use std::path::Path;

use crate::files::write_atomically;
use crate::{DataError, bounded};

/// Reads the labels of all utterances; line n belongs to the n-th utterance of the manifest it was made from.
///
/// # Errors
/// With file and line: something that is not a number, a line of more than a megabyte.
pub fn read(path: &Path) -> Result<Vec<Vec<u32>>, DataError> {
    let mut labels = Vec::new();
    bounded::lines(path, |number, line| {
        let ids = line.split_ascii_whitespace().map(|word| {
            word.parse().map_err(|_| DataError::Line {
                path: path.to_owned(),
                line: number,
                message: format!("`{word:.40}` is not a cluster id, expected numbers separated by spaces"),
            })
        });
        labels.push(ids.collect::<Result<_, _>>()?);
        Ok(())
    })?;
    Ok(labels)
}

/// Writes the labels of all utterances, whole or not at all.
///
/// # Errors
/// What the file system refuses.
pub fn write(path: &Path, labels: &[Vec<u32>]) -> Result<(), DataError> {
    write_atomically(path, |out| {
        for ids in labels {
            let words: Vec<String> = ids.iter().map(u32::to_string).collect();
            writeln!(out, "{}", words.join(" "))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.km");
        let labels = vec![vec![3, 3, 99], vec![], vec![0]];
        write(&path, &labels).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "3 3 99\n\n0\n");
        assert_eq!(read(&path).unwrap(), labels);
        fs::write(&path, "1 2\n4 -1\n").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("train.km:2: `-1` is not a cluster id"), "{message}");
    }
}
