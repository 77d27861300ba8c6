//! What is refused before anything is written, and what differs from what was published.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;

use super::listing::Source;
use crate::DataError;
use crate::manifest::Utterance;
use crate::verify::BadFile;

/// Takes out the sources of which a file is missing.
pub(super) fn take_absent(sources: &mut Vec<Source>) -> Vec<BadFile> {
    let absent = |source: &Source| -> Option<PathBuf> {
        source.sound.files().into_iter().find(|file| !file.is_file()).map(Path::to_owned)
    };
    let absent: Vec<Option<PathBuf>> = sources.par_iter().map(absent).collect();
    let mut missing = absent.iter().map(Option::is_some);
    sources.retain(|_| !missing.next().expect("one answer per source"));
    absent.into_iter().flatten().map(|file| BadFile::new(&file, "no such file")).collect()
}

/// Refuses ids that cannot be files' names or occur twice.
pub(super) fn check_names(sources: &[Source]) -> Result<(), DataError> {
    let mut names = Names::default();
    sources.iter().try_for_each(|source| names.add(source))
}

/// The ids of utterances, and whose they are.
#[derive(Default)]
pub(super) struct Names(HashMap<String, PathBuf>);

impl Names {
    /// Takes those of a source, or refuses one.
    pub fn add(&mut self, source: &Source) -> Result<(), DataError> {
        for Utterance { id, audio, .. } in source.pieces.iter().map(|piece| &piece.utterance) {
            let name = source.sound.name();
            if !stays_inside(audio) {
                let message = "cannot be a file's name: leave out `..`, `\\`, `:` and leading dots and slashes";
                return Err(DataError::file(&name, format!("its id `{id}` {message}")));
            }
            if let Some(other) = self.0.insert(id.clone(), name.clone()) {
                return Err(DataError::file(&name, format!("its id `{id}` is that of {}, too", other.display())));
            }
        }
        Ok(())
    }
}

/// The files that are made of sources.
pub(super) fn targets(sources: &[Source], to: &Path) -> Vec<PathBuf> {
    sources.iter().flat_map(|source| &source.pieces).map(|piece| to.join(&piece.utterance.audio)).collect()
}

/// Refuses to write a recording in the place of a source.
pub(super) fn keep_sources(sources: &[Source], targets: &[PathBuf]) -> Result<(), DataError> {
    let files = sources.par_iter().flat_map_iter(|source| source.sound.files());
    let files: HashSet<PathBuf> = files.filter_map(|file| file.canonicalize().ok()).collect();
    let taken = |target: &&PathBuf| target.canonicalize().is_ok_and(|target| files.contains(&target));
    match targets.par_iter().find_first(taken) {
        Some(target) => {
            Err(DataError::file(target, "is a recording to prepare, and would be replaced; choose another folder"))
        }
        None => Ok(()),
    }
}

/// Share by which hours may differ from the published ones: those are rounded, and not always of the final
/// recordings.
const HOURS_TOLERANCE: f64 = 0.05;

/// What differs between the hours of the utterances in a folder and the published ones.
pub(super) fn duration(utterances: &[Utterance], folder: &Path, published: f64) -> Option<String> {
    let inside = utterances.iter().filter(|utterance| utterance.audio.starts_with(folder));
    let hours = inside.fold(0.0, |hours, utterance| hours + utterance.seconds / 3600.0);
    let part = folder.display();
    ((hours - published).abs() > HOURS_TOLERANCE * published)
        .then(|| format!("{part}: {hours:.2} of {published} hours"))
}

/// Whether a relative path names a file below the folder it is relative to, on any system, that is not hidden.
fn stays_inside(path: &Path) -> bool {
    let plain = |component| matches!(component, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    // Components leave out what does not change a path; joined again they show it.
    let joined: PathBuf = path.components().collect();
    let text = path.as_os_str().to_string_lossy();
    path.components().all(plain) && !text.contains(['\\', ':', '\0']) && joined.as_os_str() == path.as_os_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_folder_are_written_to() {
        for good in ["wav/a.wav", "wav/train-clean-100/103/été b.wav", "a.wav"] {
            assert!(stays_inside(Path::new(good)), "{good}");
        }
        for bad in ["wav/../../a", "/etc/a", "wav/.a", "wav\\a", "wav//a", "./a", "wav/a/", "c:a", "wav/./a"] {
            assert!(!stays_inside(Path::new(bad)), "{bad}");
        }
    }
}
