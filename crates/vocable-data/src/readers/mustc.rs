//! MuST-C: English TED talks with translations (Di Gangi et al., NAACL 2019), releases for German and French.
//!
//! Its public layout is `en-de/data/SET/` with `wav/ted_NNN.wav` (16 kHz, whole talks) and `txt/SET.{yaml,en,de}`: line n of the three
//! is one sentence, its place in a talk, its transcript and its translation. `train` and `dev` become `train` and `valid`, `tst-COMMON`
//! `test-clean` and `tst-HE` `test-other`, new voices in both.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::libri::root;
use super::listing::{Listing, Piece, Sound, Source};
use super::text::{Lines, below, difference, stem};
use crate::DataError;
use crate::manifest::{Language, Split, Utterance};
use crate::verify::BadFile;

/// The sets, the parts they play, and the sentences of version 1 in German and French.
const SETS: [(&str, Split, [usize; 2]); 4] = [
    ("train", Split::Train, [229_703, 275_085]),
    ("dev", Split::Valid, [1_423, 1_412]),
    ("tst-COMMON", Split::TestClean, [2_641, 2_632]),
    ("tst-HE", Split::TestOther, [600, 544]),
];

/// Bytes of the longest line of the YAML file that is parsed; those of the corpus have some hundred.
const LONGEST_SEGMENT: usize = 4096;

/// A line of the YAML file, a list of one mapping: more keys than these are allowed.
#[derive(Deserialize)]
struct Segment {
    duration: f64,
    offset: f64,
    speaker_id: String,
    wav: String,
}

/// What there is in `from` (`en-de` or `en-fr`, or the folder it was unpacked in).
///
/// # Errors
/// Files of a set that have different numbers of lines; a line of the YAML file that is not of the layout, by file and line.
pub fn list(from: &Path, language: Language) -> Result<Listing, DataError> {
    let data = root(from, &format!("en-{}", language.code())).join("data");
    let mut listing = Listing::default();
    let mut found = false;
    for (set, split, published) in SETS {
        let folder = data.join(set);
        if folder.is_dir() {
            found = true;
            let count = list_set(&folder, set, split, language, &mut listing)?;
            listing.missing.extend(difference(set, count, published[language as usize], "sentences of version 1"));
        } else {
            listing.missing.push(format!("{set}: no such folder"));
        }
    }
    if found { Ok(listing) } else { Err(DataError::file(&data, "holds none of train, dev, tst-COMMON and tst-HE")) }
}

fn list_set(
    folder: &Path,
    set: &str,
    split: Split,
    language: Language,
    listing: &mut Listing,
) -> Result<usize, DataError> {
    let text = |extension: &str| Lines::read_all(&folder.join("txt").join(format!("{set}.{extension}")));
    let (segments, english, translated) = (text("yaml")?, text("en")?, text(language.code())?);
    for other in [&english, &translated] {
        if other.lines.len() != segments.lines.len() {
            let (lines, expected) = (other.lines.len(), segments.lines.len());
            let message = format!("has {lines} lines, but {} has {expected}", segments.path.display());
            return Err(DataError::file(&other.path, message));
        }
    }
    let before = listing.sources.len();
    // Where a talk is in the listing, and how many of its sentences were seen.
    let mut talks: HashMap<String, (usize, usize)> = HashMap::new();
    for (place, line) in segments.lines.iter().enumerate() {
        if line.text.len() > LONGEST_SEGMENT {
            let message = format!("is longer than the {LONGEST_SEGMENT} bytes that a segment may have");
            return Err(segments.fault(line, message));
        }
        // Segments refer to nothing, and a few references to references could stand for any number of values.
        let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_anchors: 0 } };
        let parsed: Result<[Segment; 1], _> = serde_saphyr::from_str_with_options(&line.text, options);
        let [segment] =
            parsed.map_err(|error| segments.fault(line, error.to_string().lines().next().unwrap_or_default()))?;
        let (talk, seen) = talks.entry(segment.wav.clone()).or_insert((listing.sources.len(), 0));
        if *talk == listing.sources.len() {
            let path = below(&folder.join("wav"), &segment.wav).map_err(|message| segments.fault(line, message))?;
            listing.sources.push(Source { sound: Sound::File(path), pieces: Vec::new() });
        }
        let name = stem(Path::new(&segment.wav));
        let pieces = &mut listing.sources[*talk].pieces;
        let id = format!("{name}_{seen:04}");
        *seen += 1;
        let audio = format!("wav/{set}/{name}/{id}.wav");
        let mut utterance = Utterance::new(id, audio, segment.speaker_id, split);
        utterance.text = english.lines[place].text.trim().to_owned();
        let translation = translated.lines[place].text.trim().to_owned();
        for (lines, text) in [(&english, &utterance.text), (&translated, &translation)] {
            if text.is_empty() {
                listing.bad.push(BadFile::new(&lines.path, format!("line {} is empty", line.number)));
            }
        }
        let transcribed = !utterance.text.is_empty() && !translation.is_empty();
        *match language {
            Language::German => &mut utterance.text_de,
            Language::French => &mut utterance.text_fr,
        } = Some(translation);
        if transcribed {
            let span = Some(segment.offset..segment.offset + segment.duration);
            pieces.push(Piece { span, utterance });
        }
    }
    listing.sources[before..].iter_mut().for_each(|source| source.pieces.shrink_to_fit());
    Ok(segments.lines.len())
}
