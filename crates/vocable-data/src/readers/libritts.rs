//! LibriTTS: LibriSpeech's books cut at sentences, 24 kHz, for synthesis (Zen et al., Interspeech 2019).
//!
//! Its public layout is `LibriTTS/SET/SPEAKER/CHAPTER/` with `NAME.wav`, `NAME.normalized.txt` and `NAME.original.txt`. The text is
//! the normalised one, as it is; the sets' parts are those of LibriSpeech.

use std::path::Path;

use super::libri::{self, Chapter, Published};
use super::listing::{Listing, Source};
use super::text::stem;
use crate::files::entries;
use crate::manifest::Utterance;
use crate::verify::BadFile;
use crate::{DataError, bounded};

/// The seven sets in the order of `libri::SETS`: utterances of the archives, speakers and hours of the paper's table 1.
const PUBLISHED: [Published; 7] = [
    Published::new(33_236, 247, 53.78),
    Published::new(116_500, 904, 191.29),
    Published::new(205_044, 1_160, 310.08),
    Published::new(5_736, 40, 8.97),
    Published::new(4_613, 33, 6.43),
    Published::new(4_837, 39, 8.56),
    Published::new(5_120, 33, 6.69),
];

/// What there is of the sets called `sets`, or of all that are there, in `from` (`LibriTTS`, or the folder it was unpacked in).
///
/// # Errors
/// A set that does not exist or is not there.
pub fn list(from: &Path, sets: &[String]) -> Result<Listing, DataError> {
    let root = libri::root(from, "LibriTTS");
    libri::list(&root, sets, &PUBLISHED, list_chapter, |_, _| Ok(String::new()))
}

fn list_chapter(chapter: &Chapter) -> Result<Listing, DataError> {
    let Chapter { set, split, speaker, folder } = chapter;
    let mut listing = Listing::default();
    let files = entries(folder)?;
    let ends = |end: &'static str| files.iter().filter(move |file| file.to_string_lossy().ends_with(end));
    for recording in ends(".wav") {
        let (id, text) = (stem(recording), recording.with_extension("normalized.txt"));
        match words(&text) {
            Ok(text) if !text.trim().is_empty() => {
                let mut utterance = Utterance::new(&id, format!("wav/{set}/{speaker}/{id}.wav"), speaker, *split);
                utterance.text = text.trim().to_owned();
                listing.sources.push(Source::whole(recording, utterance));
            }
            Ok(_) => listing.bad.push(BadFile::new(&text, "holds no text")),
            Err(error) => listing.bad.push(BadFile::new(&text, error)),
        }
    }
    for text in ends(".normalized.txt") {
        let recording = folder.join(format!("{}.wav", stem(text)));
        if !files.contains(&recording) {
            listing.bad.push(BadFile::new(&recording, "no such file"));
        }
    }
    Ok(listing)
}

fn words(path: &Path) -> Result<String, DataError> {
    let bytes = bounded::read(path, bounded::LARGEST_VALUE)?;
    String::from_utf8(bytes).map_err(|_| DataError::file(path, "is not UTF-8"))
}
