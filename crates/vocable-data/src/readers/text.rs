//! Text files and paths that come with a corpus: read whole, with faults by file and line.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::{DataError, bounded};

/// Bytes that a list of a corpus may have; the longest public ones have some 30 MB.
const LARGEST: u64 = 1 << 30;

/// A line of a text file.
pub(super) struct Line {
    /// Counted from 1.
    pub number: usize,
    /// Without its end.
    pub text: String,
}

/// A text file, and what is wrong with its lines.
pub(super) struct Lines {
    pub path: PathBuf,
    pub lines: Vec<Line>,
}

impl Lines {
    /// Reads a UTF-8 file; lines of nothing but white space are left out.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let mut lines = Self::read_all(path)?;
        lines.lines.retain(|line| !line.text.trim().is_empty());
        Ok(lines)
    }

    /// Reads a UTF-8 file with all its lines.
    pub fn read_all(path: &Path) -> Result<Self, DataError> {
        let size = fs::metadata(path).map_err(DataError::io(path))?.len();
        if size > LARGEST {
            return Err(DataError::file(path, format!("has {size} bytes, more than a list of recordings needs")));
        }
        let mut lines = Vec::new();
        bounded::lines(path, |number, text| {
            lines.push(Line { number, text: text.to_owned() });
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The error that a line is.
    pub fn fault(&self, line: &Line, message: impl Into<String>) -> DataError {
        DataError::Line { path: self.path.clone(), line: line.number, message: message.into() }
    }
}

/// A path that a list tells, below `root`: neither absolute nor with a part that leads out. It may begin with `./`.
pub(super) fn below(root: &Path, relative: &str) -> Result<PathBuf, String> {
    let path = Path::new(relative);
    let path = path.strip_prefix(".").unwrap_or(path);
    let plain =
        path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain { Ok(root.join(path)) } else { Err(format!("`{relative}` is no path below {}", root.display())) }
}

/// A file's name without its folder and without what follows the first dot.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// What differs between a number found and a number published.
pub(super) fn difference(part: &str, found: usize, published: usize, what: &str) -> Option<String> {
    let surplus = found.saturating_sub(published);
    let note = if surplus > 0 { format!(" ({surplus} too many)") } else { String::new() };
    (found != published).then(|| format!("{part}: {found} of {published} {what}{note}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_root_and_lines_keep_their_numbers() {
        let root = Path::new("/data");
        for good in ["a/b.wav", "./a/b.wav"] {
            assert_eq!(below(root, good).unwrap(), Path::new("/data/a/b.wav"));
        }
        for bad in ["", ".", "../a.wav", "a/../../b.wav", "/etc/passwd", "./../a.wav"] {
            assert!(below(root, bad).unwrap_err().contains("is no path below /data"), "{bad}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        fs::write(&path, "one\n \n  two\r\n").unwrap();
        let lines = Lines::read(&path).unwrap();
        let found: Vec<(usize, &str)> = lines.lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(found, [(1, "one"), (3, "  two")]);
        assert!(lines.fault(&lines.lines[1], "odd").to_string().ends_with("list.txt:3: odd"));
        fs::write(&path, b"one\ntwo\nthr\xffee\n").unwrap();
        assert!(Lines::read(&path).err().unwrap().to_string().ends_with("list.txt:3: is not UTF-8"));
    }
}
