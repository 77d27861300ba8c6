//! The numbers of a run as they happen: one JSON object per line.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Memory, TrainError};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// An update was made.
    Update {
        /// Number of updates done, this one included.
        update: usize,
        /// Mean of the micro-batches' losses.
        loss: f64,
        /// Each term, averaged over the micro-batches that report it, in the order of their first appearance.
        #[serde(with = "numbers")]
        terms: Vec<(String, f64)>,
        /// Norm of the mean gradient before clipping.
        gradient_norm: f64,
        /// The rate that was applied.
        learning_rate: f64,
        /// Utterances in the update's batches; 0 when the objective names none.
        utterances: usize,
        /// Frames (or whatever the objective counts) in the update's batches, without padding.
        frames: usize,
        /// The share of padding in each kind of sequence (`audio`, `text`), from 0 to 1.
        #[serde(with = "numbers", default)]
        padding: Vec<(String, f64)>,
        /// Wall-clock time of the update.
        seconds: f64,
        /// The part of it in which the step waited for its batches.
        #[serde(default)]
        waited: f64,
        /// Memory of the process at the end of the update, and at most during it; none where the system does not tell.
        #[serde(default)]
        memory: Option<Memory>,
    },
    /// An update was skipped because a number was not finite or nothing of a batch could be used: no parameter changed.
    Skipped {
        /// Number of updates done or skipped, this one included.
        update: usize,
        /// Which number was not finite, or what is wrong with the batch.
        reason: String,
        /// What the batches held.
        utterances: Vec<String>,
        /// Wall-clock time of the update.
        seconds: f64,
    },
    /// An utterance was left out of a batch of the update or of the validation after it; each file that is to blame is
    /// recorded once.
    LeftOut {
        /// Number of updates done, this one included.
        update: usize,
        /// The utterance.
        utterance: String,
        /// Why, beginning with the file.
        reason: String,
    },
    /// The model was validated.
    Validation {
        /// Number of updates done.
        update: usize,
        /// The objective's numbers, in its order.
        #[serde(with = "numbers")]
        numbers: Vec<(String, f64)>,
        /// Wall-clock time of the validation.
        seconds: f64,
        /// The part of it in which it waited for its batches.
        #[serde(default)]
        waited: f64,
    },
}

impl Record {
    /// Number of updates done when the record was written.
    pub fn update(&self) -> usize {
        match *self {
            Self::Update { update, .. }
            | Self::Skipped { update, .. }
            | Self::LeftOut { update, .. }
            | Self::Validation { update, .. } => update,
        }
    }
}

/// Reads a file of records.
///
/// # Errors
/// A file that cannot be read, a line that is not a record.
pub fn read(path: &Path) -> Result<Vec<Record>, TrainError> {
    let text = fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| TrainError::Records {
                path: path.to_path_buf(),
                reason: format!("line {} is not a record: {error}", index + 1),
            })
        })
        .collect()
}

/// A file of records that is being written.
pub(crate) struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    /// Opens the file and forgets everything after its first `bytes` bytes, which belongs to updates that are made again.
    pub(crate) fn open(path: PathBuf, bytes: u64) -> Result<Self, TrainError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .append(false)
            .open(&path)
            .map_err(TrainError::io("open", &path))?;
        let found = file.metadata().map_err(TrainError::io("read", &path))?.len();
        if found < bytes {
            let reason = format!(
                "holds {found} bytes, but the checkpoint was saved with {bytes}: put the file back, \
                 or start over in an empty directory"
            );
            return Err(TrainError::Records { path, reason });
        }
        file.set_len(bytes).map_err(TrainError::io("truncate", &path))?;
        // A checkpoint counts on the file, so the file's name must be as durable as the checkpoint.
        vocable_files::sync_directory(vocable_files::folder(&path)).map_err(TrainError::io("sync", &path))?;
        let mut writer = Self { path, file, bytes };
        std::io::Seek::seek(&mut writer.file, std::io::SeekFrom::End(0))
            .map_err(TrainError::io("seek in", &writer.path))?;
        Ok(writer)
    }

    /// Appends one line.
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(record).expect("a record is plain data");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(TrainError::io("write", &self.path))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Waits until the disk has every line, and returns how many bytes they are.
    pub(crate) fn sync(&mut self) -> Result<u64, TrainError> {
        self.file.sync_all().map_err(TrainError::io("write", &self.path))?;
        Ok(self.bytes)
    }
}

/// Named numbers as a JSON object that keeps their order; a number that is not finite is `null`.
mod numbers {
    use std::fmt;

    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(numbers: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(numbers.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
        struct Numbers;

        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<(String, f64)>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut numbers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                    numbers.push((name, value.unwrap_or(f64::NAN)));
                }
                Ok(numbers)
            }
        }

        deserializer.deserialize_map(Numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(update: usize) -> Record {
        Record::Validation {
            update,
            numbers: vec![("zebra".into(), 0.1 + 0.2), ("ant".into(), 2.0)],
            seconds: 0.5,
            waited: 0.25,
        }
    }

    #[test]
    fn records_read_back_exactly_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let skipped = Record::Skipped { update: 2, reason: "NaN".into(), utterances: vec!["a".into()], seconds: 1e-3 };
        let mut writer = Writer::open(path.clone(), 0).unwrap();
        writer.write(&record(1)).unwrap();
        writer.write(&skipped).unwrap();
        assert_eq!(writer.sync().unwrap(), fs::metadata(&path).unwrap().len());
        assert_eq!(read(&path).unwrap(), [record(1), skipped]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(r#"{"kind":"validation","update":1,"numbers":{"zebra":0.30000000000000004,"ant":2.0}"#)
        );
    }

    #[test]
    fn records_of_earlier_versions_are_read() {
        let line = r#"{"kind":"update","update":1,"loss":2.0,"terms":{"a":1.0},"gradient_norm":1.0,"learning_rate":0.1,
            "utterances":2,"frames":9,"seconds":0.5}"#;
        let Record::Update { padding, memory, .. } = serde_json::from_str(line).unwrap() else { panic!() };
        assert!(padding.is_empty() && memory.is_none());
    }

    #[test]
    fn a_number_that_is_not_finite_reads_back_as_nan() {
        let line = serde_json::to_string(&Record::Validation {
            update: 1,
            numbers: vec![("wer".into(), f64::INFINITY)],
            seconds: 0.0,
            waited: 0.0,
        });
        let Record::Validation { numbers, .. } = serde_json::from_str(&line.unwrap()).unwrap() else { panic!() };
        assert!(numbers[0].1.is_nan());
    }

    #[test]
    fn lines_after_the_checkpoint_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut writer = Writer::open(path.clone(), 0).unwrap();
        writer.write(&record(1)).unwrap();
        let bytes = writer.sync().unwrap();
        writer.write(&record(2)).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"kind\":\"upd".to_vec()].concat()).unwrap();
        let mut writer = Writer::open(path.clone(), bytes).unwrap();
        writer.write(&record(3)).unwrap();
        assert_eq!(read(&path).unwrap(), [record(1), record(3)]);
        let error = Writer::open(path.clone(), 10_000).err().unwrap().to_string();
        assert!(error.contains("metrics.jsonl") && error.contains("10000"), "{error}");
        fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let full = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&full).unwrap();
        let mut writer = Writer { path: full, file, bytes: 0 };
        assert!(writer.write(&record(1)).unwrap_err().to_string().contains("cannot write /dev/full"));
    }
}
