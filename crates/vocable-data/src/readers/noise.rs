//! Noise of any kind: the recordings in a folder and in the folders in it, without speakers and texts.
//!
//! A folder called `tr` or `train`, `cv` or `valid`, `tt` or `test` on the way to a recording says which part it plays. Of all others a tenth
//! is for validation and a tenth for tests, in the order of their names.

use std::path::{Path, PathBuf};

use super::convert::Lenience;
use super::listing::{Listing, Source};
use super::{Prepared, Progress};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};

/// How files of audio end.
const ENDINGS: [&str; 4] = ["wav", "flac", "ogg", "oga"];
/// Of so many recordings that no folder divides, one is for validation and one for tests.
const PORTION: usize = 10;

/// Prepares the recordings in the folder `from` in the folder `to`.
///
/// # Errors
/// `to` being `from` or within it, where prepared recordings would be taken for recordings to prepare; those of [`list`] and of
/// [`prepare`](super::prepare).
pub fn prepare(from: &Path, to: &Path, lenience: Lenience, progress: &dyn Progress) -> Result<Prepared, DataError> {
    let target = std::path::absolute(to).map_err(DataError::io(to))?;
    // Of a folder that is still to be made, where it will be.
    let place = target.ancestors().find_map(|folder| folder.canonicalize().ok());
    if matches!((from.canonicalize(), place), (Ok(from), Some(place)) if place.starts_with(&from)) {
        let message = "is within the folder of the recordings: those prepared would be taken for more; choose another";
        return Err(DataError::file(to, message));
    }
    super::prepare("noise", from, list(from)?, to, lenience, progress)
}

/// What is in a folder. Links to folders are not followed.
///
/// # Errors
/// A folder that cannot be read or holds no audio; fewer than ten recordings that no folder divides.
pub fn list(from: &Path) -> Result<Listing, DataError> {
    let mut files = Vec::new();
    collect(from, &mut files)?;
    if files.is_empty() {
        return Err(DataError::file(from, format!("holds no file that ends in {}", ENDINGS.join(", "))));
    }
    let relative = |file: &PathBuf| file.strip_prefix(from).expect("it was found there").with_extension("");
    let undivided = files.iter().filter(|file| part(&relative(file)).is_none()).count();
    if (1..PORTION).contains(&undivided) {
        let message = format!(
            "holds {undivided} recordings outside of folders called train, valid and test: divide them so, or give {PORTION} or more"
        );
        return Err(DataError::file(from, message));
    }
    let mut turn = (0..PORTION).cycle();
    let mut listing = Listing::default();
    for file in &files {
        let relative = relative(file);
        let split = part(&relative).unwrap_or_else(|| match turn.next().expect("it goes round") {
            8 => Split::Valid,
            9 => Split::TestClean,
            _ => Split::Train,
        });
        let names: Vec<_> = relative.iter().map(|name| name.to_string_lossy()).collect();
        let id = names.join("-");
        listing.sources.push(Source::whole(file, Utterance::new(&id, format!("wav/{id}.wav"), "noise", split)));
    }
    Ok(listing)
}

/// The files of audio in a folder and in the folders in it, in the order of their names.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    for path in entries(folder)? {
        let is_folder = path.symlink_metadata().map_err(DataError::io(&path))?.is_dir();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if is_folder {
            collect(&path, files)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            files.push(path);
        }
    }
    Ok(())
}

/// The part that a recording plays by the folders that it is in.
fn part(relative: &Path) -> Option<Split> {
    relative.parent()?.iter().find_map(|folder| match folder.to_str()? {
        "tr" | "train" => Some(Split::Train),
        "cv" | "valid" => Some(Split::Valid),
        "tt" | "test" => Some(Split::TestClean),
        _ => None,
    })
}
