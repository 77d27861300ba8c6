//! LibriSpeech: read English, a thousand hours of audio books (Panayotov et al., ICASSP 2015).
//!
//! Its public layout is `LibriSpeech/SET/SPEAKER/CHAPTER/` with `SPEAKER-CHAPTER-NNNN.flac` (16 kHz) and one
//! `SPEAKER-CHAPTER.trans.txt` of lines `SPEAKER-CHAPTER-NNNN THE WORDS`; `LibriSpeech/SPEAKERS.TXT` lists the voices of every
//! set. The three training sets become `train`, both development sets `valid`, and the test sets keep their names: here
//! all voices of `test-clean` are new ones, too. Transcripts are lower-cased.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::libri::{self, Chapter, Published};
use super::listing::{Listing, Source};
use super::origin::State;
use super::text::{Lines, difference, stem};
use super::{Progress, claim};
use crate::DataError;
use crate::bounded::{self, LONGEST_LINE};
use crate::files::{entries, write_atomically};
use crate::manifest::Utterance;
use crate::verify::BadFile;

/// The seven sets in the order of `libri::SETS`: utterances of the archives, speakers and hours of the paper's table 1.
const PUBLISHED: [Published; 7] = [
    Published::new(28_539, 251, 100.6),
    Published::new(104_014, 921, 363.6),
    Published::new(148_688, 1_166, 496.7),
    Published::new(2_703, 40, 5.4),
    Published::new(2_864, 33, 5.3),
    Published::new(2_620, 40, 5.4),
    Published::new(2_939, 33, 5.1),
];

/// What there is of the sets called `sets`, or of all that are there, in `from` (`LibriSpeech`, or the folder it was unpacked in).
///
/// # Errors
/// A set that does not exist or is not there; a line of a transcript that is not of the layout, by file and line.
pub fn list(from: &Path, sets: &[String]) -> Result<Listing, DataError> {
    let root = libri::root(from, "LibriSpeech");
    libri::list(&root, sets, &PUBLISHED, list_chapter, |set, chapters| {
        let mut absent = published_speakers(&root, set)?;
        absent.retain(|name| chapters.iter().all(|chapter| chapter.speaker != *name));
        let absent: Vec<String> = absent.into_iter().collect();
        Ok(if absent.is_empty() { String::new() } else { format!("; no recording by {}", absent.join(", ")) })
    })
}

fn list_chapter(chapter: &Chapter) -> Result<Listing, DataError> {
    let Chapter { set, split, speaker, folder } = chapter;
    let mut listing = Listing::default();
    let (flac, rest): (Vec<_>, Vec<_>) =
        entries(folder)?.into_iter().partition(|file| file.extension().is_some_and(|extension| extension == "flac"));
    let Some(path) = rest.iter().find(|file| file.to_string_lossy().ends_with(".trans.txt")) else {
        listing.bad.push(BadFile::new(folder, "holds no `.trans.txt`"));
        return Ok(listing);
    };
    let transcripts = Lines::read(path)?;
    let mut told = HashSet::new();
    for line in &transcripts.lines {
        let Some((id, words)) = line.text.trim().split_once(' ') else {
            return Err(transcripts.fault(line, "expected the name of a recording, a space and its words"));
        };
        if !id.starts_with(&format!("{speaker}-")) || id.contains(['/', '\\']) {
            return Err(transcripts.fault(line, format!("`{id}` is no recording by speaker {speaker}")));
        }
        let mut utterance = Utterance::new(id, format!("wav/{set}/{speaker}/{id}.wav"), speaker, *split);
        utterance.text = words.trim().to_lowercase();
        listing.sources.push(Source::whole(folder.join(format!("{id}.flac")), utterance));
        told.insert(id.to_owned());
    }
    for file in flac.iter().filter(|file| !told.contains(&stem(file))) {
        listing.bad.push(BadFile::new(file, format!("has no line in {}", path.display())));
    }
    Ok(listing)
}

/// The speakers of a set by `SPEAKERS.TXT`; none where there is no such file.
fn published_speakers(root: &Path, set: &str) -> Result<BTreeSet<String>, DataError> {
    let path = root.join("SPEAKERS.TXT");
    if !path.is_file() {
        return Ok(BTreeSet::new());
    }
    let table = Lines::read(&path)?;
    let mut speakers = BTreeSet::new();
    for line in table.lines.iter().filter(|line| !line.text.starts_with(';')) {
        let fields: Vec<&str> = line.text.split('|').map(str::trim).collect();
        let [id, _, subset, ..] = fields[..] else {
            return Err(table.fault(line, "expected `ID | SEX | SUBSET | MINUTES | NAME`"));
        };
        if subset == set {
            speakers.insert(id.to_owned());
        }
    }
    Ok(speakers)
}

/// The file of [`prepare_text`].
pub const TEXT: &str = "text.txt";
/// Lines of `librispeech-lm-norm.txt.gz`.
const PUBLISHED_LINES: usize = 40_418_260;
/// Lines between two reports of progress.
const REPORT: usize = 100_000;

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedText {
    /// Sentences, one a line.
    pub lines: usize,
    /// How the text differs from the published one; empty unless the caller asked to take it all the same.
    pub missing: Vec<String>,
}

/// Unpacks the text for language models, `librispeech-lm-norm.txt.gz` (or the unpacked file), into `to/text.txt`: one sentence a line,
/// lower-cased, without empty lines.
///
/// # Errors
/// A file that is damaged, holds other bytes than UTF-8 or a line of more than a megabyte, by line; a file that would be
/// replaced; unless `partial`, a text of another than the published number of lines, before which nothing is written.
pub fn prepare_text(from: &Path, to: &Path, partial: bool, progress: &dyn Progress) -> Result<PreparedText, DataError> {
    let file = bounded::open(from)?;
    let state = State::of(from)?;
    let recipe = serde_json::json!({ "reader": "librispeech-lm", "from": state.path, "bytes": state.bytes,
        "modified": state.modified });
    let path = to.join(TEXT);
    if path.canonicalize().is_ok_and(|path| from.canonicalize().is_ok_and(|from| from == path)) {
        return Err(DataError::file(from, "would be replaced by the prepared text; choose another folder"));
    }
    let packed = from.extension().is_some_and(|extension| extension == "gz");
    if claim(to, &recipe, std::slice::from_ref(&path))? && path.exists() {
        progress.step("counting", 1);
        let lines = count_lines(bounded::open(&path)?).map_err(DataError::io(&path))?;
        progress.done();
        return finished(lines, partial);
    }
    let mut reader: Box<dyn BufRead> = if packed {
        Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::with_capacity(1 << 20, file))
    };
    progress.step("unpacking text", PUBLISHED_LINES / REPORT + 1);
    let (mut number, mut lines, mut fault) = (0, 0, None);
    let written = write_atomically(&path, |out| {
        let mut line = String::new();
        loop {
            line.clear();
            number += 1;
            let read = Read::by_ref(&mut reader).take(LONGEST_LINE as u64).read_line(&mut line);
            let message = match read {
                Ok(0) => break,
                Ok(bytes) if bytes == LONGEST_LINE => "is longer than a megabyte".to_owned(),
                Ok(_) => {
                    let sentence = line.trim();
                    if !sentence.is_empty() {
                        writeln!(out, "{}", sentence.to_lowercase())?;
                        lines += 1;
                    }
                    // What goes on for ever is noticed before it fills the disk.
                    if lines > PUBLISHED_LINES && !partial {
                        break;
                    }
                    if number % REPORT == 0 {
                        progress.done();
                    }
                    continue;
                }
                Err(error) => error.to_string(),
            };
            fault = Some(DataError::Line { path: from.to_owned(), line: number, message });
            return Err(std::io::Error::other("unreadable text"));
        }
        if lines != PUBLISHED_LINES && !partial {
            fault = finished(lines, partial).err();
            return Err(std::io::Error::other("not the published text"));
        }
        Ok(())
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    written?;
    finished(lines, partial)
}

fn finished(lines: usize, partial: bool) -> Result<PreparedText, DataError> {
    let missing: Vec<String> =
        difference("librispeech-lm-norm.txt.gz", lines, PUBLISHED_LINES, "lines").into_iter().collect();
    if missing.is_empty() || partial {
        Ok(PreparedText { lines, missing })
    } else {
        Err(DataError::Incomplete(missing))
    }
}

/// Line feeds in a file of any size.
fn count_lines(file: File) -> std::io::Result<usize> {
    let (mut reader, mut lines) = (BufReader::with_capacity(1 << 20, file), 0);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += bytes.iter().filter(|&&byte| byte == b'\n').count();
        let read = bytes.len();
        reader.consume(read);
    }
}
