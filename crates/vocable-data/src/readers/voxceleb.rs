//! VoxCeleb1: 1,251 celebrities in interviews, for identification (Nagrani et al., Interspeech 2017).
//!
//! Its public layout is `wav/idNNNNN/VIDEO/NNNNN.wav` (16 kHz, both archives unpacked into one folder), beside which lies `iden_split.txt` with
//! lines `1 idNNNNN/VIDEO/NNNNN.wav`: 1 becomes `train`, 2 `valid` and 3 `test-clean`, known voices all. There are no
//! texts.

use std::collections::HashSet;
use std::path::Path;

use super::listing::{Listing, Source};
use super::text::{Lines, below, difference};
use crate::DataError;
use crate::manifest::{Split, Utterance};

/// Utterances by the first column of `iden_split.txt`.
const PARTS: [(&str, Split, usize); 3] =
    [("1", Split::Train, 138_361), ("2", Split::Valid, 6_904), ("3", Split::TestClean, 8_251)];
const SPEAKERS: usize = 1_251;
const HOURS: f64 = 352.0;

/// What `iden_split.txt` in `from` lists, below `from/wav`.
///
/// # Errors
/// A line that is not of the layout, by file and line.
pub fn list(from: &Path) -> Result<Listing, DataError> {
    let division = Lines::read(&from.join("iden_split.txt"))?;
    let mut listing = Listing::default();
    let mut speakers = HashSet::new();
    let mut counts = [0; PARTS.len()];
    for line in &division.lines {
        let (part, name) = line.text.trim().split_once(' ').unwrap_or_default();
        let (place, parts) = (PARTS.iter().position(|known| known.0 == part), name.split('/').collect::<Vec<_>>());
        let (Some(place), [speaker, video, file]) = (place, &parts[..]) else {
            return Err(division.fault(line, "expected 1, 2 or 3, a space and `speaker/video/number.wav`"));
        };
        let path = below(&from.join("wav"), name).map_err(|message| division.fault(line, message))?;
        let id = format!("{speaker}-{video}-{}", file.trim_end_matches(".wav"));
        let audio = format!("wav/{speaker}/{id}.wav");
        listing.sources.push(Source::whole(path, Utterance::new(id, audio, *speaker, PARTS[place].1)));
        speakers.insert(speaker.to_owned());
        counts[place] += 1;
    }
    for ((part, split, published), count) in PARTS.into_iter().zip(counts) {
        listing.missing.extend(difference(&format!("part {part} ({split})"), count, published, "utterances"));
    }
    listing.missing.extend(difference("VoxCeleb1", speakers.len(), SPEAKERS, "speakers"));
    if listing.missing.is_empty() {
        listing.hours.push(("wav".into(), HOURS));
    }
    Ok(listing)
}
