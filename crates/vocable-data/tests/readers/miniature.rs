//! What the miniatures of all corpora are made of, and what is true of every prepared folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempDir;
use vocable_data::readers::{Lenience, Prepared};
use vocable_data::{DataError, Manifest, Split, Utterance, verify};

pub const STRICT: Lenience = Lenience { skip_bad: false, partial: false };
/// A miniature is never of the published size.
pub const PARTIAL: Lenience = Lenience { skip_bad: false, partial: true };
pub const ANY: Lenience = Lenience { skip_bad: true, partial: true };

/// A folder with a miniature, and one to prepare it in.
pub struct Folders {
    dir: TempDir,
}

impl Folders {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("from")).unwrap();
        Self { dir }
    }

    pub fn from(&self) -> PathBuf {
        self.dir.path().join("from")
    }

    pub fn to(&self) -> PathBuf {
        self.dir.path().join("to")
    }

    /// A path in the miniature, whose folder is made.
    pub fn at(&self, path: &str) -> PathBuf {
        let path = self.from().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Writes a text file of the miniature.
    pub fn write(&self, path: &str, content: &str) {
        fs::write(self.at(path), content).unwrap();
    }

    /// Writes a tone as a WAV file of 16 bits, the same in all channels.
    pub fn wav(&self, path: &str, rate: u32, channels: u16, seconds: f64, hertz: f64) {
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(self.at(path), spec).unwrap();
        for value in tone(rate, seconds, hertz) {
            (0..channels).for_each(|_| writer.write_sample(value).unwrap());
        }
        writer.finalize().unwrap();
    }

    /// Writes a WAV file of 16 bits with a tone in each of two channels.
    pub fn stereo(&self, path: &str, rate: u32, seconds: f64, hertz: [f64; 2]) {
        let spec = WavSpec { channels: 2, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(self.at(path), spec).unwrap();
        let [left, right] = hertz.map(|hertz| tone(rate, seconds, hertz));
        left.into_iter().zip(right).for_each(|(left, right)| {
            writer.write_sample(left).unwrap();
            writer.write_sample(right).unwrap();
        });
        writer.finalize().unwrap();
    }

    /// Writes a tone as a FLAC file of 16 bits.
    pub fn flac(&self, path: &str, rate: u32, seconds: f64, hertz: f64) {
        fs::write(self.at(path), flac(rate, &tone(rate, seconds, hertz))).unwrap();
    }

    /// Names of what lies below the prepared folder, with the times they were written.
    pub fn prepared_files(&self) -> BTreeMap<PathBuf, SystemTime> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.to()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
                }
            }
        }
        files
    }

    /// What holds after every good preparation: the manifest on disk is the one returned, all its files are good, their hashes are
    /// there, nothing partial lies around, and a second run keeps every recording and writes the same manifest.
    pub fn assert_prepared(&self, prepare: impl Fn() -> Result<Prepared, DataError>) -> Manifest {
        let first = prepare().unwrap();
        let manifest = Manifest::read(&first.manifest.path).unwrap();
        assert_eq!(manifest, first.manifest);
        assert_eq!(verify::check(&manifest, 16_000, &|| ()), []);
        assert!(manifest.utterances.iter().all(|utterance| utterance.sha256.is_some()));
        let files = self.prepared_files();
        assert!(files.keys().all(|path| !path.to_string_lossy().ends_with(".partial")), "{files:?}");

        let second = prepare().unwrap();
        assert_eq!(second.manifest, first.manifest);
        assert_eq!(second.kept, manifest.utterances.len(), "a second run keeps everything");
        let again = self.prepared_files();
        let list = |path: &Path| path.extension().is_some_and(|end| end == "jsonl" || end == "km");
        for (path, written) in files.into_iter().filter(|(path, _)| !list(path)) {
            assert_eq!(again[&path], written, "{} is written again", path.display());
        }

        // A lost and a cut recording, as after an interrupted run, are made again, and only these.
        let [lost, cut] = [0, manifest.utterances.len() - 1].map(|n| manifest.resolve(&manifest.utterances[n].audio));
        fs::remove_file(&lost).unwrap();
        if cut != lost {
            let bytes = fs::read(&cut).unwrap();
            fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        }
        let third = prepare().unwrap();
        assert_eq!(third.manifest, first.manifest);
        assert_eq!(third.kept, manifest.utterances.len().saturating_sub(2));
        manifest
    }

    /// A preparation must fail with these words.
    pub fn assert_refused(&self, prepared: Result<Prepared, DataError>, words: &[&str]) {
        let message = prepared.expect_err("it is refused").to_string();
        for words in words {
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
    }
}

/// The utterance with an id.
pub fn find<'a>(manifest: &'a Manifest, id: &str) -> &'a Utterance {
    manifest.utterances.iter().find(|utterance| utterance.id == id).unwrap_or_else(|| panic!("no utterance {id}"))
}

/// Utterances of every split.
pub fn counts(manifest: &Manifest) -> [usize; 4] {
    Split::ALL.map(|split| manifest.split(split).len())
}

/// Asserts that an utterance sounds like a tone of this length and height, away from its ends.
pub fn assert_tone(manifest: &Manifest, id: &str, seconds: f64, hertz: f64) {
    let samples = vocable_audio::read(manifest.resolve(&find(manifest, id).audio)).unwrap().samples;
    assert_eq!(samples.len(), (seconds * 16_000.0).round() as usize, "{id}");
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let crossings = middle.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    let expected = hertz * middle.len() as f64 / 16_000.0;
    // A period at each end may or may not count.
    assert!((crossings as f64 - expected).abs() <= 1.0, "{id}: {crossings} periods for {expected}");
}

/// A sine of amplitude 0.4.
pub fn tone(rate: u32, seconds: f64, hertz: f64) -> Vec<i16> {
    let value = |n| (0.4 * 32_768.0 * (f64::from(n) * hertz * std::f64::consts::TAU / f64::from(rate)).sin()) as i16;
    (0..(seconds * f64::from(rate)).round() as u32).map(value).collect()
}

/// A FLAC file of one channel: frames of 4,096 samples, written as they are.
fn flac(rate: u32, samples: &[i16]) -> Vec<u8> {
    const BLOCK: usize = 4_096;
    let mut file = b"fLaC\x80\x00\x00\x22".to_vec();
    file.extend([(BLOCK as u16).to_be_bytes(); 2].concat());
    file.extend([0; 6]);
    // 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of samples; a checksum of zeros is none.
    let packed = u64::from(rate) << 44 | 15 << 36 | samples.len() as u64;
    file.extend(packed.to_be_bytes());
    file.extend([0; 16]);
    for (number, block) in samples.chunks(BLOCK).enumerate() {
        assert!(number < 128, "a frame's number has one byte here");
        // The block's size follows in 16 bits; rate and bits are those of the file; one channel.
        let mut frame = vec![0xff, 0xf8, 0x70, 0x00, number as u8];
        frame.extend((block.len() as u16 - 1).to_be_bytes());
        frame.push(crc(&frame, 0x07, 8) as u8);
        frame.push(0x02);
        frame.extend(block.iter().flat_map(|sample| sample.to_be_bytes()));
        frame.extend((crc(&frame, 0x8005, 16) as u16).to_be_bytes());
        file.extend(frame);
    }
    file
}

fn crc(bytes: &[u8], polynomial: u32, bits: u32) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |crc, _| {
            let shifted = crc << 1 & ((1 << bits) - 1);
            if crc >> (bits - 1) & 1 == 1 { shifted ^ polynomial } else { shifted }
        })
    })
}

/// Whether a path exists that should never have been written.
pub fn assert_absent(path: &Path) {
    assert!(!path.exists(), "{} is there", path.display());
}
