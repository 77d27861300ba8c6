//! Event files for TensorBoard: what `metrics.jsonl` holds, as curves.
//!
//! A file is a row of records (length, masked CRC-32C of the length, an `Event` message of TensorFlow's `event.proto`,
//! masked CRC-32C of the message), of which scalars need a handful of fields, written here by hand.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Record, TrainError};

/// An event file that is being written, one per process of a run.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Begins a file in `directory` for a run that stands after `update` updates: what other files of the directory say
    /// of later ones was lost, and TensorBoard forgets it.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn create(directory: &Path, update: usize) -> Result<Self, TrainError> {
        fs::create_dir_all(directory).map_err(TrainError::io("create the directory", directory))?;
        let now = now();
        // TensorBoard reads the files of a directory in the order of their names.
        let name = format!("events.out.tfevents.{:010}.{:09}", now.as_secs(), now.subsec_nanos());
        let path = directory.join(name);
        let file = File::create_new(&path).map_err(TrainError::io("create", &path))?;
        let mut writer = Self { path, file };
        writer.write(0, |event| event.bytes(3, b"brain.Event:2"))?;
        writer.write(update as i64 + 1, |event| event.message(7, |session| session.varint(1, 1)))?;
        Ok(writer)
    }

    /// Adds the numbers of a record; one that holds none adds nothing.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn add(&mut self, record: &Record) -> Result<(), TrainError> {
        let scalars = scalars(record);
        if scalars.is_empty() {
            return Ok(());
        }
        self.write(record.update() as i64, |event| {
            event.message(5, |summary| {
                for (tag, value) in &scalars {
                    summary.message(1, |scalar| {
                        scalar.bytes(1, tag.as_bytes());
                        scalar.fixed32(2, (*value as f32).to_le_bytes());
                    });
                }
            });
        })
    }

    /// Appends an event of a step.
    fn write(&mut self, step: i64, content: impl FnOnce(&mut Message)) -> Result<(), TrainError> {
        let mut event = Message::default();
        event.fixed64(1, now().as_secs_f64().to_le_bytes());
        event.varint(2, step as u64);
        content(&mut event);
        let length = (event.0.len() as u64).to_le_bytes();
        let record = [&length[..], &masked_crc(&length), &event.0, &masked_crc(&event.0)].concat();
        self.file.write_all(&record).map_err(TrainError::io("write", &self.path))
    }
}

/// The curves that a record has a point of.
fn scalars(record: &Record) -> Vec<(String, f64)> {
    let under = |part: &str, numbers: &[(String, f64)]| -> Vec<(String, f64)> {
        numbers.iter().map(|(name, value)| (format!("{part}/{name}"), *value)).collect()
    };
    match record {
        Record::Update {
            loss,
            terms,
            gradient_norm,
            learning_rate,
            utterances,
            frames,
            padding,
            seconds,
            waited,
            memory,
            ..
        } => {
            let mut scalars = vec![("train/loss".to_owned(), *loss)];
            scalars.extend(under("train", terms));
            scalars.extend(under("padding", padding));
            let mut one = |name: &str, value: f64| scalars.push((name.to_owned(), value));
            one("optimiser/gradient_norm", *gradient_norm);
            one("optimiser/learning_rate", *learning_rate);
            one("speed/seconds", *seconds);
            one("speed/waited", *waited);
            one("speed/utterances_per_second", *utterances as f64 / seconds);
            one("speed/frames_per_second", *frames as f64 / seconds);
            if let Some(memory) = memory {
                one("memory/resident", memory.resident as f64);
                one("memory/peak", memory.peak as f64);
            }
            scalars
        }
        Record::Validation { numbers, .. } => under("valid", numbers),
        Record::Skipped { .. } => vec![("optimiser/skipped".to_owned(), 1.0)],
        Record::LeftOut { .. } => Vec::new(),
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is after 1970")
}

/// A message in the wire format of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.raw_varint(field << 3 | wire_type);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn fixed64(&mut self, field: u64, bytes: [u8; 8]) {
        self.key(field, 1);
        self.0.extend(bytes);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, content: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        content(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn fixed32(&mut self, field: u64, bytes: [u8; 4]) {
        self.key(field, 5);
        self.0.extend(bytes);
    }
}

/// CRC-32C (Castagnoli), bit by bit: a record is a kilobyte.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// The checksum as TFRecord files keep it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_message_has_the_wire_format() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.bytes(2, b"testing");
        message.message(3, |inner| inner.varint(1, 150));
        // The examples of the protocol buffers' documentation on encoding.
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn a_file_is_a_row_of_checked_records() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(directory.path(), 4).unwrap();
        let numbers = vec![("wer".to_owned(), 0.5)];
        writer.add(&Record::Validation { update: 5, numbers, seconds: 1.0, waited: 0.0 }).unwrap();
        let left_out = Record::LeftOut { update: 5, utterance: "a".into(), reason: "a.wav: no such file".into() };
        writer.add(&left_out).unwrap();
        let bytes = fs::read(&writer.path).unwrap();
        let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]));
            let (event, after) = rest[12..].split_at(length);
            assert_eq!(after[..4], masked_crc(event));
            // Behind key and value of the time.
            events.push(&event[9..]);
            rest = &after[4..];
        }
        let value = 0.5_f32.to_le_bytes();
        let scalar = [b"\x10\x05\x2a\x12\x0a\x10\x0a\x09valid/wer\x15".as_slice(), &value].concat();
        assert_eq!(events, [b"\x10\x00\x1a\x0dbrain.Event:2".as_slice(), b"\x10\x05\x3a\x02\x08\x01", &scalar]);
    }
}
