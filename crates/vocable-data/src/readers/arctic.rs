//! CMU Arctic: the same 1,132 English sentences in several voices (Kominek and Black, 2004).
//!
//! Its public layout is a folder `cmu_us_VOICE_arctic` per voice with `wav/arctic_NNNNN.wav` (16 kHz) and `etc/txt.done.data` of lines
//! `( arctic_NNNNN "The text." )`. A sentence has one text in all voices, the first voice's, and lies in one split: by
//! name, the last 100 sentences are `test-clean`, the 100 before them `valid` and 932 `train`, as in SpeechT5's voice conversion; of a
//! part of the corpus, a tenth each at most. Utterances of equal text are the pairs of voice conversion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::listing::{Listing, Source};
use super::text::{Lines, difference, stem};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

/// The voices of SpeechT5's voice conversion.
pub const VOICES: [&str; 4] = ["bdl", "clb", "slt", "rms"];
const HELD_OUT: usize = 100;
/// Sentences that a voice lacks which are named.
const NAMED: usize = 10;

/// What there is of `voices` in `from`, the folder with theirs.
///
/// # Errors
/// A voice that is not there; a line of `txt.done.data` that is not of the layout, by file and line.
pub fn list(from: &Path, voices: &[String]) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    let mut sentences: BTreeMap<String, String> = BTreeMap::new();
    let mut said = Vec::new();
    for voice in voices {
        let folder = from.join(format!("cmu_us_{voice}_arctic"));
        if !folder.is_dir() {
            return Err(DataError::file(&folder, format!("no such folder; unpack the voice `{voice}` there")));
        }
        let prompts = prompts(&folder)?;
        let (with_text, without): (Vec<_>, Vec<_>) =
            entries(&folder.join("wav"))?.into_iter().partition(|file| prompts.contains_key(&stem(file)));
        listing.bad.extend(without.iter().map(|file| BadFile::new(file, "has no line in etc/txt.done.data")));
        let names: BTreeSet<String> = with_text.iter().map(|file| stem(file)).collect();
        // Where the number of recordings is known, it tells whether one that has a line was never published.
        if let (None, Some(absent)) = (published(voice), first(prompts.keys().filter(|name| !names.contains(*name)))) {
            listing.missing.push(format!("{voice}: no recording of {absent}"));
        }
        said.push((voice, folder, names));
        for (name, text) in prompts {
            sentences.entry(name).or_insert(text);
        }
    }
    let held_out = HELD_OUT.min(sentences.len() / 10);
    let valid = sentences.len() - 2 * held_out;
    let split = |place| match place {
        _ if place < valid => Split::Train,
        _ if place < valid + held_out => Split::Valid,
        _ => Split::TestClean,
    };
    let places: BTreeMap<&String, Split> = sentences.keys().enumerate().map(|(n, name)| (name, split(n))).collect();
    for (voice, folder, names) in &said {
        if let Some(published) = published(voice) {
            listing.missing.extend(difference(voice, names.len(), published, "utterances").map(|line| {
                match first(sentences.keys().filter(|name| !names.contains(*name))) {
                    Some(lacking) => format!("{line}; without {lacking}"),
                    None => line,
                }
            }));
        }
        for name in names {
            let id = format!("{voice}_{name}");
            let mut utterance =
                Utterance::new(&id, PathBuf::from(format!("wav/{voice}/{id}.wav")), *voice, places[name]);
            utterance.text = sentences[name].clone();
            listing.sources.push(Source::whole(folder.join("wav").join(format!("{name}.wav")), utterance));
        }
    }
    Ok(listing)
}

/// The first few of some names, if there are any.
fn first<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let names: Vec<&str> = names.take(NAMED).map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Sentences of a voice that are published, where it is known.
fn published(voice: &str) -> Option<usize> {
    match voice {
        "bdl" => Some(1_131),
        "clb" | "slt" | "rms" => Some(1_132),
        _ => None,
    }
}

/// The texts of a voice by the sentences' names.
fn prompts(folder: &Path) -> Result<BTreeMap<String, String>, DataError> {
    let prompts = Lines::read(&folder.join("etc/txt.done.data"))?;
    let mut texts = BTreeMap::new();
    for line in &prompts.lines {
        let inside = line.text.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(str::trim);
        let parts = inside.and_then(|inside| inside.split_once(char::is_whitespace));
        let quoted = parts.and_then(|(name, text)| Some((name, text.trim().strip_prefix('"')?.strip_suffix('"')?)));
        let Some((name, text)) = quoted.filter(|(_, text)| !text.trim().is_empty()) else {
            return Err(prompts.fault(line, "expected `( arctic_a0001 \"The text.\" )`"));
        };
        if name.contains(['/', '\\', '.']) {
            return Err(prompts.fault(line, format!("`{name}` is no sentence's name")));
        }
        texts.insert(name.to_owned(), text.trim().replace("\\\"", "\""));
    }
    Ok(texts)
}
