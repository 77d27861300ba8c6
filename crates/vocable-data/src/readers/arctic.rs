//! CMU Arctic: the same 1,132 English sentences in several voices (Kominek and Black, 2004).
//!
//! Its public layout is a folder `cmu_us_VOICE_arctic` per voice with `wav/arctic_NNNNN.wav` (16 kHz) and `etc/txt.done.data` of lines
//! `( arctic_NNNNN "The text." )`. A sentence has one text in all voices, the first voice's, and lies in one split: by
//! name, the last 100 sentences are `test-clean`, the 100 before them `valid` and 932 `train`, as in SpeechT5's voice conversion; of a
//! part of the corpus, a tenth each at most. Utterances of equal text are the pairs of voice conversion.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::convert::{Listing, Source};
use super::text::{Lines, difference, stem};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

/// The voices of SpeechT5's voice conversion; each has all sentences.
pub const VOICES: [&str; 4] = ["bdl", "clb", "slt", "rms"];
const PUBLISHED: usize = 1_132;
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
        for file in entries(&folder.join("wav"))?.into_iter().filter(|file| !prompts.contains_key(&stem(file))) {
            listing.bad.push(BadFile::new(&file, "has no line in etc/txt.done.data"));
        }
        said.push((voice, folder, prompts.keys().cloned().collect::<Vec<_>>()));
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
        if VOICES.contains(&voice.as_str()) {
            listing.missing.extend(difference(voice, names.len(), PUBLISHED, "utterances").map(|line| {
                let lacks = |name: &&String| names.binary_search(name).is_err();
                let lacking: Vec<&str> = sentences.keys().filter(lacks).take(NAMED).map(String::as_str).collect();
                if lacking.is_empty() { line } else { format!("{line}; without {}", lacking.join(", ")) }
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
