//! The list of a corpus' utterances: one JSON object per line.
//!
//! ```json
//! {"id": "a1", "audio": "wav/a1.wav", "speaker": "anna", "text": "good morning", "seconds": 1.25, "split": "train"}
//! ```
//! `text` may be left out where nothing is transcribed; `text_de`, `text_fr`, `speaker_vector` (a file) and `sha256` (of
//! the recording) are optional. Paths are relative to the manifest's folder, without `..`, or absolute. A large manifest is a folder of such files
//! (*shards*), in the order of their names; its paths are relative to the folder that the shards' folder is in.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use vocable_files::hex;

use crate::files::{hash_file, write_atomically};
use crate::{DataError, bounded};

/// The part an utterance plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Learned from.
    Train,
    /// Chosen by: the checkpoint, the moment to stop.
    Valid,
    /// Scored: voices of `train`, sentences heard nowhere else.
    TestClean,
    /// Scored: voices heard nowhere else.
    TestOther,
}

impl Split {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Train, Self::Valid, Self::TestClean, Self::TestOther];

    /// Whether it is scored.
    pub fn is_test(self) -> bool {
        matches!(self, Self::TestClean | Self::TestOther)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::TestClean => "test-clean",
            Self::TestOther => "test-other",
        })
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(|split| split.to_string()).join(", ");
        Self::ALL
            .into_iter()
            .find(|split| split.to_string() == name)
            .ok_or_else(|| format!("expected one of {}", known()))
    }
}

/// What speech is translated into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// German.
    #[serde(rename = "de")]
    German,
    /// French.
    #[serde(rename = "fr")]
    French,
}

impl Language {
    /// Its ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::German => "de",
            Self::French => "fr",
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        let known = [Self::German, Self::French].into_iter().find(|language| language.code() == code);
        known.ok_or_else(|| "expected de or fr".into())
    }
}

/// One recording and what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utterance {
    /// Unique in the manifest.
    pub id: String,
    /// The recording, relative to the manifest's folder.
    pub audio: PathBuf,
    /// Who speaks.
    pub speaker: String,
    /// What is said, in English; empty, and then absent from the line, where nobody wrote it down.
    #[serde(default, deserialize_with = "not_empty", skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The same in German.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_de: Option<String>,
    /// The same in French.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_fr: Option<String>,
    /// Duration of the recording.
    pub seconds: f64,
    /// The part it plays.
    pub split: Split,
    /// A file with this utterance's speaker vector (`.npy` or `.safetensors`), relative to the manifest's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker_vector: Option<PathBuf>,
    /// SHA-256 of the recording's file, in hex. Where it is known it stands for the file in [`Manifest::hash`], and
    /// [`crate::verify::check`] holds the file to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let message = "`text` is empty; leave it out where nothing is transcribed";
    if text.is_empty() { Err(serde::de::Error::custom(message)) } else { Ok(text) }
}

impl Utterance {
    /// An utterance of which nothing but this is known: no text, a duration of 0.
    pub fn new(id: impl Into<String>, audio: impl Into<PathBuf>, speaker: impl Into<String>, split: Split) -> Self {
        Self {
            id: id.into(),
            audio: audio.into(),
            speaker: speaker.into(),
            text: String::new(),
            text_de: None,
            text_fr: None,
            seconds: 0.0,
            split,
            speaker_vector: None,
            sha256: None,
        }
    }

    /// The text in another language.
    pub fn translation(&self, language: Language) -> Option<&str> {
        match language {
            Language::German => self.text_de.as_deref(),
            Language::French => self.text_fr.as_deref(),
        }
    }

    /// What a well-formed line can still get wrong by itself.
    fn fault(&self) -> Option<String> {
        let texts =
            [("text", Some(&self.text)), ("text_de", self.text_de.as_ref()), ("text_fr", self.text_fr.as_ref())];
        let names = [("id", &self.id), ("speaker", &self.speaker)];
        if let Some((field, _)) = names.iter().find(|(_, value)| value.trim().is_empty()) {
            return Some(format!("`{field}` is empty"));
        }
        let blank = |text: &String| text.trim().is_empty() && !text.is_empty();
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.is_some_and(blank)) {
            return Some(format!("`{field}` of `{}` is empty", self.id));
        }
        if self.audio.as_os_str().is_empty() {
            return Some(format!("`audio` of `{}` is empty", self.id));
        }
        let paths = [("audio", Some(&self.audio)), ("speaker_vector", self.speaker_vector.as_ref())];
        let leaves = |path: &PathBuf| path.is_relative() && path.components().any(|part| part == Component::ParentDir);
        if let Some((field, Some(path))) = paths.iter().find(|(_, path)| path.is_some_and(leaves)) {
            let path = path.display();
            return Some(format!("`{field}` of `{}` leads out with `..`: `{path}`; tell its absolute path", self.id));
        }
        if !(self.seconds.is_finite() && self.seconds > 0.0) {
            return Some(format!("`seconds` of `{}` is {}, expected a positive duration", self.id, self.seconds));
        }
        let is_sum = |sum: &String| sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !self.sha256.as_ref().is_none_or(is_sum) {
            return Some(format!("`sha256` of `{}` is not of 64 hexadecimal digits", self.id));
        }
        None
    }
}

/// A corpus: a file of [`Utterance`]s and the folder it lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file; audio paths are relative to its folder.
    pub path: PathBuf,
    /// In the order of the file.
    pub utterances: Vec<Utterance>,
}

impl Manifest {
    /// Reads and checks a manifest, a file or a folder of shards; whether the audio files are usable is
    /// [`crate::verify`]'s question.
    ///
    /// # Errors
    /// With file and line: not a JSON object, an unknown, missing or mistyped field, an unknown split, an empty id,
    /// speaker or text, a duration that is not positive, a path with `..`, an id seen before, a line of more than a megabyte. A manifest without utterances.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let shards = if path.is_dir() { shards(path)? } else { vec![path.to_owned()] };
        let read: Vec<Vec<Line>> = shards.par_iter().map(|shard| read_lines(shard)).collect::<Result<_, _>>()?;
        let mut utterances = Vec::with_capacity(read.iter().map(Vec::len).sum());
        let mut first_lines: HashMap<String, (usize, usize)> = HashMap::with_capacity(utterances.capacity());
        for (shard, lines) in read.into_iter().enumerate() {
            for Line { number, utterance } in lines {
                if let Some((first, line)) = first_lines.insert(utterance.id.clone(), (shard, number)) {
                    let place = if first == shard { String::new() } else { format!(" of {}", shards[first].display()) };
                    let message = format!("the id `{}` is already used in line {line}{place}", utterance.id);
                    return Err(DataError::Line { path: shards[shard].clone(), line: number, message });
                }
                utterances.push(utterance);
            }
        }
        if utterances.is_empty() {
            return Err(DataError::file(path, "the manifest lists no utterance"));
        }
        Ok(Self { path: path.to_owned(), utterances })
    }

    /// Writes the manifest to its own `path` as one file, whole or not at all.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self) -> Result<(), DataError> {
        write_lines(&self.path, &self.utterances)
    }

    /// Writes the manifest as a folder of shards of `lines` utterances each, whole or not at all. There must be nothing
    /// under its `path`.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write_shards(&self, lines: usize) -> Result<(), DataError> {
        let beside = vocable_files::beside(&self.path);
        let write = || {
            for (number, shard) in self.utterances.chunks(lines).enumerate() {
                write_lines(&beside.join(format!("{number:05}.jsonl")), shard)?;
            }
            fs::rename(&beside, &self.path).map_err(DataError::io(&self.path))
        };
        write().inspect_err(|_| {
            let _ = fs::remove_dir_all(&beside);
        })
    }

    /// A path of an utterance (`audio` or `speaker_vector`) as a path that can be opened.
    pub fn resolve(&self, relative: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(relative)
    }

    /// Indices into `utterances` of one split, in the order of the file.
    pub fn split(&self, split: Split) -> Vec<usize> {
        (0..self.utterances.len()).filter(|&index| self.utterances[index].split == split).collect()
    }

    /// The voices of one split, sorted; the position in this list is a speaker's class.
    pub fn speakers(&self, split: Split) -> Vec<String> {
        let names: BTreeSet<&String> =
            self.utterances.iter().filter(|utterance| utterance.split == split).map(|u| &u.speaker).collect();
        names.into_iter().cloned().collect()
    }

    /// SHA-256, in hex, over the utterances and every byte of the files they name: equal hashes mean equal data.
    ///
    /// The manifest's place and its layout on the lines do not enter. A recording whose hash its line tells is not read
    /// again. A file that cannot be read counts as absent: [`crate::verify::check`] says which are.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut seen = BTreeSet::new();
        for utterance in &self.utterances {
            hash.update(serde_json::to_vec(utterance).expect("an utterance is plain data"));
            let audio = utterance.sha256.is_none().then_some(&utterance.audio);
            for file in [audio, utterance.speaker_vector.as_ref()].into_iter().flatten() {
                if seen.insert(file) {
                    let path = self.resolve(file);
                    if hash_file(&path, &mut hash).is_err() {
                        hash.update(u64::MAX.to_le_bytes());
                    }
                }
            }
        }
        hex(&hash.finalize())
    }
}

/// A line of a manifest file, counted from 1.
struct Line {
    number: usize,
    utterance: Utterance,
}

fn read_lines(path: &Path) -> Result<Vec<Line>, DataError> {
    let mut read = Vec::new();
    bounded::lines(path, |number, line| {
        let fail = |message| DataError::Line { path: path.to_owned(), line: number, message };
        if !line.trim().is_empty() {
            let mut utterance: Utterance =
                serde_json::from_str(line).map_err(|error| fail(without_position(&error)))?;
            utterance.fault().map_or(Ok(()), |fault| Err(fail(fault)))?;
            if let Some(sum) = &mut utterance.sha256 {
                sum.make_ascii_lowercase();
            }
            read.push(Line { number, utterance });
        }
        Ok(())
    })?;
    Ok(read)
}

fn write_lines(path: &Path, utterances: &[Utterance]) -> Result<(), DataError> {
    write_atomically(path, |out| {
        for utterance in utterances {
            serde_json::to_writer(&mut *out, utterance)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// The `.jsonl` files of a folder by name.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = crate::files::entries(folder)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    Ok(files)
}

/// The parser's message without its "at line 1", which would contradict the manifest's line number.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let text = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
    format!("{text} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"id":"a1","audio":"a1.wav","speaker":"anna","text":"good morning","seconds":1.25,"split":"train"}"#;

    fn with_sum(sum: &str) -> String {
        GOOD.replace("}", &format!(",\"sha256\":\"{sum}\"}}"))
    }

    fn read(content: &str) -> Result<Manifest, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.jsonl");
        fs::write(&path, content).unwrap();
        Manifest::read(&path)
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(read(&format!("\u{feff}{GOOD}\n")).unwrap().utterances[0].id, "a1");
    }

    #[test]
    fn every_fault_is_named_with_file_and_line() {
        let cases = [
            (GOOD.replace("\"text\"", "\"txt\""), "unknown field `txt`, expected one of `id`"),
            (GOOD.replace(r#""speaker":"anna","#, ""), "missing field `speaker`"),
            (
                GOOD.replace("a1\"", "a2\"").replace("\"train\"", "\"dev\""),
                "unknown variant `dev`, expected one of `train`",
            ),
            (GOOD.replace("good morning", " "), "`text` of `a1` is empty"),
            (GOOD.replace("good morning", ""), "`text` is empty; leave it out"),
            (GOOD.replace("anna", ""), "`speaker` is empty"),
            (GOOD.replace("1.25", "0"), "expected a positive duration"),
            (GOOD.replace("1.25", "\"long\""), "invalid type: string \"long\", expected f64"),
            (with_sum("aa/tmp/evil"), "`sha256` of `a1` is not of 64 hexadecimal digits"),
            (with_sum(&"0g".repeat(32)), "`sha256` of `a1` is not"),
            (GOOD.to_owned(), "the id `a1` is already used in line 1"),
            ("[]".to_owned(), "invalid length 0"),
            ("{\"id\":".to_owned(), "EOF"),
        ];
        for (line, expected) in cases {
            let message = read(&format!("{GOOD}\n\n{line}\n")).unwrap_err().to_string();
            assert!(message.contains("manifest.jsonl:3: "), "{message}");
            assert!(message.contains(expected), "{message} lacks {expected}");
            assert!(!message.contains("line 1 column"), "{message}");
        }
        assert!(read("\n").unwrap_err().to_string().contains("lists no utterance"));
    }

    #[test]
    fn paths_with_dots_are_named() {
        for path in ["../a1.wav", "wav/../../a1.wav", "wav/../b/a1.wav"] {
            let message = read(&GOOD.replace("a1.wav", path)).unwrap_err().to_string();
            assert!(
                message.contains(&format!("manifest.jsonl:1: `audio` of `a1` leads out with `..`: `{path}`")),
                "{message}"
            );
            let vector = GOOD.replace("}", &format!(",\"speaker_vector\":\"{path}\"}}"));
            assert!(read(&vector).unwrap_err().to_string().contains("`speaker_vector` of `a1` leads out"));
        }
        for path in ["/data/a1.wav", "/data/runs/../a1.wav", "wav/a..1.wav"] {
            assert!(read(&GOOD.replace("a1.wav", path)).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let line = |id: usize| Utterance {
            id: format!("u{id}"),
            audio: format!("wav/{id}.wav").into(),
            speaker: ["anna", "bert", "cleo"][id % 3].into(),
            text: if id == 7 { String::new() } else { "eins \"zwei\" дрей".into() },
            text_de: id.is_multiple_of(2).then(|| "ja".into()),
            text_fr: None,
            seconds: 0.1 + id as f64 / 3.0,
            split: Split::ALL[id % 4],
            speaker_vector: (id == 5).then(|| "v.npy".into()),
            sha256: (id == 6).then(|| "00ff".repeat(16)),
        };
        let manifest = Manifest { path: dir.path().join("m.jsonl"), utterances: (0..12).map(line).collect() };
        manifest.write().unwrap();
        let again = Manifest::read(&manifest.path).unwrap();
        assert_eq!(again, manifest);
        assert!(!fs::read_to_string(&manifest.path).unwrap().contains("\"text\":\"\""));
        let shards = Manifest { path: dir.path().join("m"), ..manifest.clone() };
        shards.write_shards(5).unwrap();
        assert_eq!(Manifest::read(&shards.path).unwrap(), shards);
        assert_eq!(fs::read_dir(&shards.path).unwrap().count(), 3);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing partial is left");
        assert_eq!(shards.resolve("wav/3.wav".as_ref()), manifest.resolve("wav/3.wav".as_ref()));
        fs::copy(shards.path.join("00000.jsonl"), shards.path.join("00007.jsonl")).unwrap();
        let twice = Manifest::read(&shards.path).unwrap_err().to_string();
        assert!(twice.contains("00007.jsonl:1: the id `u0` is already used in line 1 of"), "{twice}");
        assert_eq!(again.split(Split::TestClean), [2, 6, 10]);
        assert_eq!(again.speakers(Split::Train), ["anna", "bert", "cleo"]);
        assert_eq!(again.resolve(&again.utterances[3].audio), dir.path().join("wav/3.wav"));
    }

    #[test]
    fn the_hash_sees_text_and_audio_and_not_the_place() {
        let copy = |text: &str, audio: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("manifest.jsonl");
            fs::write(&path, GOOD.replace("good morning", text)).unwrap();
            fs::write(dir.path().join("a1.wav"), audio).unwrap();
            Manifest::read(&path).unwrap().hash()
        };
        let hash = copy("one", "abc");
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, copy("one", "abc"));
        assert_ne!(hash, copy("two", "abc"));
        assert_ne!(hash, copy("one", "abd"));
        // A hash on the line stands for the recording, which is not read.
        let told = |sum: &str| read(&with_sum(&sum.repeat(16))).unwrap().hash();
        assert_eq!(told("12ab"), told("12AB"));
        assert_ne!(told("12ab"), told("12ac"));
        // Recordings that are not there change the hash and stop nothing.
        assert_ne!(read(GOOD).unwrap().hash(), hash);
    }
}
