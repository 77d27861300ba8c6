//! The folders that LibriSpeech and LibriTTS share: `SET/SPEAKER/CHAPTER/`, seven sets.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::listing::Listing;
use super::text::difference;
use crate::DataError;
use crate::files::entries;
use crate::manifest::Split;

/// The sets' names and the part each plays.
const SETS: [(&str, Split); 7] = [
    ("train-clean-100", Split::Train),
    ("train-clean-360", Split::Train),
    ("train-other-500", Split::Train),
    ("dev-clean", Split::Valid),
    ("dev-other", Split::Valid),
    ("test-clean", Split::TestClean),
    ("test-other", Split::TestOther),
];

/// What is published of a set.
pub(super) struct Published {
    pub utterances: usize,
    pub speakers: usize,
    pub hours: f64,
}

impl Published {
    pub const fn new(utterances: usize, speakers: usize, hours: f64) -> Self {
        Self { utterances, speakers, hours }
    }
}

/// A chapter's folder.
pub(super) struct Chapter {
    pub set: &'static str,
    pub split: Split,
    pub speaker: String,
    pub folder: PathBuf,
}

/// The folder with the sets: `from`, or the one of the archive's `name` in it.
pub(super) fn root(from: &Path, name: &str) -> PathBuf {
    let inner = from.join(name);
    if inner.is_dir() { inner } else { from.to_owned() }
}

/// Lists the sets that were asked for, or where none were, those that are there, chapter by chapter.
///
/// `published` are the sets' sizes; `absent` may say more of a set that has another number, by its name and chapters.
///
/// # Errors
/// A set that the corpus does not have or the folder lacks, a folder without any; what `chapter` finds.
pub(super) fn list(
    root: &Path,
    asked: &[String],
    published: &[Published; 7],
    chapter: impl Fn(&Chapter) -> Result<Listing, DataError> + Sync,
    absent: impl Fn(&str, &[Chapter]) -> Result<String, DataError>,
) -> Result<Listing, DataError> {
    let names = || SETS.map(|(name, _)| name).join(", ");
    if let Some(unknown) = asked.iter().find(|name| !SETS.iter().any(|(set, _)| set == name)) {
        return Err(DataError::Invalid(format!("no set is called `{unknown}`; the corpus has {}", names())));
    }
    if let Some(absent) = asked.iter().find(|name| !root.join(name).is_dir()) {
        return Err(DataError::file(&root.join(absent), "no such folder; unpack the set there"));
    }
    let mut all = Listing::default();
    let mut found = false;
    for ((set, split), published) in SETS.into_iter().zip(published) {
        if !(root.join(set).is_dir() && (asked.is_empty() || asked.iter().any(|name| name == set))) {
            continue;
        }
        found = true;
        let chapters = chapters(root, set, split)?;
        let before = all.sources.len();
        for listing in chapters.par_iter().map(&chapter).collect::<Result<Vec<Listing>, _>>()? {
            all.sources.extend(listing.sources);
            all.bad.extend(listing.bad);
        }
        let utterances = difference(set, all.sources.len() - before, published.utterances, "utterances");
        let speakers = all.sources[before..].iter().flat_map(|source| &source.pieces).map(|p| &p.utterance.speaker);
        let speakers = difference(set, speakers.collect::<HashSet<_>>().len(), published.speakers, "speakers");
        match utterances {
            Some(line) => all.missing.push(line + &absent(set, &chapters)?),
            None => all.hours.push((Path::new("wav").join(set), published.hours)),
        }
        all.missing.extend(speakers);
    }
    if found { Ok(all) } else { Err(DataError::file(root, format!("holds none of the folders {}", names()))) }
}

/// The chapters of a set, by speaker and name.
fn chapters(root: &Path, set: &'static str, split: Split) -> Result<Vec<Chapter>, DataError> {
    let mut chapters = Vec::new();
    for speaker in entries(&root.join(set))?.into_iter().filter(|path| path.is_dir()) {
        let name = speaker.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for folder in entries(&speaker)?.into_iter().filter(|path| path.is_dir()) {
            chapters.push(Chapter { set, split, speaker: name.clone(), folder });
        }
    }
    Ok(chapters)
}
