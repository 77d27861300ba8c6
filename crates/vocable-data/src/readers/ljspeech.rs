//! LJSpeech: 24 hours of one voice reading English (Ito and Johnson, 2017).
//!
//! Its public layout is `LJSpeech-1.1/wavs/LJNNN-NNNN.wav` (22.05 kHz) and `LJSpeech-1.1/metadata.csv` with lines
//! `LJNNN-NNNN|the text|the text with numbers spelled out`, of which the last is taken. There is no official division: of the last 500
//! utterances the first 250 become `valid` and the others `test-clean`, as in ESPnet's recipe; of a part of the corpus, a
//! tenth each at most.

use std::collections::HashSet;
use std::path::Path;

use super::libri::root;
use super::listing::{Listing, Source};
use super::text::{Lines, difference, stem};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

const PUBLISHED: usize = 13_100;
const HOURS: f64 = 23.92;
const HELD_OUT: usize = 250;

/// What there is in `from` (`LJSpeech-1.1`, or the folder it was unpacked in).
///
/// # Errors
/// A line of `metadata.csv` that is not of the layout, by file and line.
pub fn list(from: &Path) -> Result<Listing, DataError> {
    let root = root(from, "LJSpeech-1.1");
    let metadata = Lines::read(&root.join("metadata.csv"))?;
    let mut listing = Listing::default();
    let mut told = HashSet::new();
    let count = metadata.lines.len();
    let held_out = HELD_OUT.min(count / 10);
    for (place, line) in metadata.lines.iter().enumerate() {
        let fields: Vec<&str> = line.text.split('|').map(str::trim).collect();
        let [id, _, text] = fields[..] else {
            return Err(metadata.fault(line, "expected `name|text|text with numbers spelled out`"));
        };
        if id.is_empty() || id.contains(['/', '\\']) || text.is_empty() {
            return Err(metadata.fault(line, format!("`{id}` is no recording with a text")));
        }
        let split = match place {
            _ if place < count - 2 * held_out => Split::Train,
            _ if place < count - held_out => Split::Valid,
            _ => Split::TestClean,
        };
        let mut utterance = Utterance::new(id, format!("wav/{id}.wav"), "LJ", split);
        utterance.text = text.to_owned();
        listing.sources.push(Source::whole(root.join("wavs").join(format!("{id}.wav")), utterance));
        told.insert(id.to_owned());
    }
    for file in entries(&root.join("wavs"))?.into_iter().filter(|file| !told.contains(&stem(file))) {
        listing.bad.push(BadFile::new(&file, "has no line in metadata.csv"));
    }
    match difference("LJSpeech-1.1", count, PUBLISHED, "utterances") {
        Some(line) => listing.missing.push(line),
        None => listing.hours.push(("wav".into(), HOURS)),
    }
    Ok(listing)
}
