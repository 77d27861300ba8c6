//! The list of a corpus' utterances: one JSON object per line.
//!
//! ```json
//! {"id": "a1", "audio": "wav/a1.wav", "speaker": "anna", "text": "good morning", "seconds": 1.25, "split": "train"}
//! ```
//! `text_de`, `text_fr` and `speaker_vector` (a file) are optional. Paths are relative to the manifest's folder.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::DataError;
use crate::files::write_atomically;

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
    /// What is said, in English.
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
}

impl Utterance {
    /// What a well-formed line can still get wrong by itself.
    fn fault(&self) -> Option<String> {
        let texts =
            [("text", Some(&self.text)), ("text_de", self.text_de.as_ref()), ("text_fr", self.text_fr.as_ref())];
        let names = [("id", &self.id), ("speaker", &self.speaker)];
        if let Some((field, _)) = names.iter().find(|(_, value)| value.trim().is_empty()) {
            return Some(format!("`{field}` is empty"));
        }
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.is_some_and(|text| text.trim().is_empty())) {
            return Some(format!("`{field}` of `{}` is empty", self.id));
        }
        if self.audio.as_os_str().is_empty() {
            return Some(format!("`audio` of `{}` is empty", self.id));
        }
        if !(self.seconds.is_finite() && self.seconds > 0.0) {
            return Some(format!("`seconds` of `{}` is {}, expected a positive duration", self.id, self.seconds));
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
    /// Reads and checks a manifest; whether the audio files are usable is [`crate::verify`]'s question.
    ///
    /// # Errors
    /// With file and line: not a JSON object, an unknown, missing or mistyped field, an unknown split, an empty id,
    /// speaker or text, a duration that is not positive, an id seen before. A manifest without utterances.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let content = fs::read_to_string(path).map_err(DataError::io(path))?;
        let mut utterances = Vec::new();
        let mut first_lines = HashMap::new();
        for (index, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = index + 1;
            let fail = |message| DataError::Line { path: path.to_owned(), line: number, message };
            let utterance: Utterance = serde_json::from_str(line).map_err(|error| fail(without_position(&error)))?;
            if let Some(fault) = utterance.fault() {
                return Err(fail(fault));
            }
            if let Some(first) = first_lines.insert(utterance.id.clone(), number) {
                return Err(fail(format!("the id `{}` is already used in line {first}", utterance.id)));
            }
            utterances.push(utterance);
        }
        if utterances.is_empty() {
            return Err(DataError::file(path, "the manifest lists no utterance"));
        }
        Ok(Self { path: path.to_owned(), utterances })
    }

    /// Writes the manifest to its own `path`, whole or not at all.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self) -> Result<(), DataError> {
        write_atomically(&self.path, |out| {
            for utterance in &self.utterances {
                serde_json::to_writer(&mut *out, utterance)?;
                out.write_all(b"\n")?;
            }
            Ok(())
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
    /// The manifest's place and its layout on the lines do not enter. A file that cannot be read counts as absent:
    /// [`crate::verify::check`] says which are.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut seen = BTreeSet::new();
        for utterance in &self.utterances {
            hash.update(serde_json::to_vec(utterance).expect("an utterance is plain data"));
            for file in [Some(&utterance.audio), utterance.speaker_vector.as_ref()].into_iter().flatten() {
                if seen.insert(file) {
                    let path = self.resolve(file);
                    match fs::read(&path) {
                        Ok(bytes) => {
                            hash.update((bytes.len() as u64).to_le_bytes());
                            hash.update(bytes);
                        }
                        Err(_) => hash.update(u64::MAX.to_le_bytes()),
                    }
                }
            }
        }
        hex(&hash.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn read(content: &str) -> Result<Manifest, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.jsonl");
        fs::write(&path, content).unwrap();
        Manifest::read(&path)
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
            (GOOD.replace("anna", ""), "`speaker` is empty"),
            (GOOD.replace("1.25", "0"), "expected a positive duration"),
            (GOOD.replace("1.25", "\"long\""), "invalid type: string \"long\", expected f64"),
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
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let line = |id: usize| Utterance {
            id: format!("u{id}"),
            audio: format!("wav/{id}.wav").into(),
            speaker: ["anna", "bert", "cleo"][id % 3].into(),
            text: "eins \"zwei\" дрей".into(),
            text_de: id.is_multiple_of(2).then(|| "ja".into()),
            text_fr: None,
            seconds: 0.1 + id as f64 / 3.0,
            split: Split::ALL[id % 4],
            speaker_vector: (id == 5).then(|| "v.npy".into()),
        };
        let manifest = Manifest { path: dir.path().join("m.jsonl"), utterances: (0..12).map(line).collect() };
        manifest.write().unwrap();
        let again = Manifest::read(&manifest.path).unwrap();
        assert_eq!(again, manifest);
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
        // Recordings that are not there change the hash and stop nothing.
        assert_ne!(read(GOOD).unwrap().hash(), hash);
    }
}
