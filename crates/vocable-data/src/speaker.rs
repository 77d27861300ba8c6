//! The vector that stands for a voice: statistics of its spectrum, or a file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use npyz::{TypeChar, WriterBuilder};
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use vocable_audio::{Frames, LogMel};
use vocable_weights::open_npy;

use crate::DataError;
use crate::bounded::{self, LARGEST_VALUE};
use crate::corpus::Corpus;
use crate::files::write_atomically;
use crate::manifest::Split;

/// Mean and deviation of log-mel frames, per band.
#[derive(Clone, Debug)]
pub struct MelStatistics {
    frames: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl MelStatistics {
    /// Statistics of nothing yet, over `bands` mel bands.
    pub fn new(bands: usize) -> Self {
        Self { frames: 0, sums: vec![0.0; bands], squares: vec![0.0; bands] }
    }

    /// Adds the frames of a recording.
    ///
    /// # Panics
    /// If they have another number of bands.
    pub fn add(&mut self, mel: &Frames) {
        assert_eq!(mel.width, self.sums.len(), "log-mel of another number of bands");
        self.frames += mel.len();
        for row in mel.rows() {
            for ((value, sum), square) in row.iter().map(|&v| f64::from(v)).zip(&mut self.sums).zip(&mut self.squares) {
                *sum += value;
                *square += value * value;
            }
        }
    }

    /// Means, then deviations, `[width]`, each taken to half of `width` by linear interpolation along the bands
    /// (unchanged where `width` is twice their number).
    ///
    /// # Panics
    /// If nothing was added.
    pub fn values(&self, width: usize) -> Vec<f64> {
        assert!(self.frames > 0, "no frame to take statistics of");
        let n = self.frames as f64;
        let means: Vec<f64> = self.sums.iter().map(|sum| sum / n).collect();
        let spread = |(square, mean): (&f64, &f64)| (square / n - mean * mean).max(0.0).sqrt();
        let deviations: Vec<f64> = self.squares.iter().zip(&means).map(spread).collect();
        let half = width.div_ceil(2);
        let mut values = interpolate(&means, half);
        values.extend(interpolate(&deviations, width - half));
        values
    }
}

/// What a voice's statistics are measured from before they are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From zero. All voices share most of their spectrum, so such vectors are nearly parallel.
    Zero,
    /// From the mean of the training voices: only what distinguishes a voice remains (nothing, if there is but one).
    MeanVoice,
}

/// Values at `width` evenly spaced places from the first to the last of `values`.
fn interpolate(values: &[f64], width: usize) -> Vec<f64> {
    let last = values.len() - 1;
    let value = |place: usize| {
        let position = place as f64 * last as f64 / (width.max(2) - 1) as f64;
        let low = (position as usize).min(last);
        let high = (low + 1).min(last);
        values[low] + (position - low as f64) * (values[high] - values[low])
    };
    (0..width).map(value).collect()
}

/// A vector of length 1 in the same direction, as SpeechT5's voices are kept; zeros stay zeros.
pub fn unit<T: Copy + Into<f64>>(vector: &[T]) -> Vec<f32> {
    let length = vector.iter().map(|&value| value.into().powi(2)).sum::<f64>().sqrt().max(1e-12);
    vector.iter().map(|&value| (value.into() / length) as f32).collect()
}

/// Statistics less an origin, as a vector of length 1.
fn relative(values: &[f64], origin: &[f64]) -> Vec<f32> {
    unit(&values.iter().zip(origin).map(|(value, origin)| value - origin).collect::<Vec<_>>())
}

/// One vector of the same width per voice of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerVectors {
    width: usize,
    /// What statistics are measured from, `[width]`.
    origin: Vec<f64>,
    by_speaker: BTreeMap<String, Vec<f32>>,
}

impl SpeakerVectors {
    /// Statistics of each voice's training utterances, or of all its utterances where it has none for training; less
    /// the `origin`, and then of length 1.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn statistics(corpus: &Corpus, log_mel: &LogMel, width: usize, origin: Origin) -> Result<Self, DataError> {
        let manifest = corpus.manifest();
        let training = manifest.speakers(Split::Train);
        let mut voices: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, utterance) in manifest.utterances.iter().enumerate() {
            if utterance.split == Split::Train || training.binary_search(&utterance.speaker).is_err() {
                voices.entry(&utterance.speaker).or_default().push(index);
            }
        }
        let statistics = voices.into_par_iter().map(|(speaker, own)| {
            let mut statistics: Option<MelStatistics> = None;
            for index in own {
                let mel = log_mel.log_mel(&corpus.audio(index)?);
                statistics.get_or_insert_with(|| MelStatistics::new(mel.width)).add(&mel);
            }
            let statistics = statistics.expect("a voice has an utterance");
            Ok((speaker.to_owned(), statistics.values(width)))
        });
        let voices = statistics.collect::<Result<BTreeMap<String, Vec<f64>>, DataError>>()?;
        let mut from = vec![0.0; width];
        if origin == Origin::MeanVoice {
            for value in training.iter().map(|speaker| &voices[speaker]) {
                from.iter_mut().zip(value).for_each(|(mean, value)| *mean += value / training.len() as f64);
            }
        }
        let by_speaker = voices.into_iter().map(|(speaker, values)| (speaker, relative(&values, &from))).collect();
        Ok(Self { width, origin: from, by_speaker })
    }

    /// The vector of a sound that is no recording of the corpus, `[width]`: statistics of its log-mel alone.
    ///
    /// # Panics
    /// If it has no frame.
    pub fn of_sound(&self, mel: &Frames) -> Vec<f32> {
        let mut statistics = MelStatistics::new(mel.width);
        statistics.add(mel);
        relative(&statistics.values(self.width), &self.origin)
    }

    /// Values per vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The vector of a voice, `[width]`; none if the corpus does not know it.
    pub fn of(&self, speaker: &str) -> Option<&[f32]> {
        self.by_speaker.get(speaker).map(Vec::as_slice)
    }

    /// The vector of an utterance, `[width]`: from its own file where the manifest names one, else its voice's.
    ///
    /// # Errors
    /// As [`read`].
    ///
    /// # Panics
    /// If the utterance is of another corpus.
    pub fn of_utterance(&self, corpus: &Corpus, index: usize) -> Result<Vec<f32>, DataError> {
        let utterance = &corpus.manifest().utterances[index];
        match &utterance.speaker_vector {
            Some(file) => read(&corpus.manifest().resolve(file), self.width),
            None => Ok(self.of(&utterance.speaker).expect("every voice of the corpus has a vector").to_vec()),
        }
    }
}

/// Reads a speaker vector of shape (width) or (1, width) from a `.npy` or `.safetensors` file, as it is: no
/// normalisation. Safetensors must hold a single float32 tensor; NumPy files float32 or float64.
///
/// # Errors
/// A file that is missing, of more than a megabyte, of another format, type or shape, or holds a value that is not finite.
pub fn read(path: &Path, width: usize) -> Result<Vec<f32>, DataError> {
    let (shape, values) = tensor(path, &bounded::read(path, LARGEST_VALUE)?)?;
    if shape != [width] && shape != [1, width] {
        return Err(DataError::file(path, format!("the speaker vector has shape {shape:?}, expected [{width}]")));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(DataError::file(path, "the speaker vector holds a value that is not finite"));
    }
    Ok(values)
}

/// Writes a speaker vector of shape (width) in single precision, as [`read`] reads it, whole or not at all.
///
/// # Errors
/// Another extension than `.npy` and `.safetensors`, what the file system refuses.
pub fn write(path: &Path, vector: &[f32]) -> Result<(), DataError> {
    let bytes = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => npy_bytes(vector).map_err(DataError::io(path))?,
        Some("safetensors") => {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = TensorView::new(Dtype::F32, vec![vector.len()], &bytes).expect("four bytes a value");
            safetensors::serialize([("vector", tensor)], None).map_err(|error| DataError::file(path, error))?
        }
        _ => return Err(DataError::file(path, "speaker vectors are written to .npy and .safetensors files")),
    };
    write_atomically(path, |out| out.write_all(&bytes))
}

fn npy_bytes(vector: &[f32]) -> std::io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&[vector.len() as u64]).writer(&mut file).begin_nd()?;
    writer.extend(vector.iter().copied())?;
    writer.finish()?;
    Ok(file)
}

type Tensor = (Vec<usize>, Vec<f32>);

/// Shape and values of the content of a file.
fn tensor(path: &Path, bytes: &[u8]) -> Result<Tensor, DataError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => npy(bytes),
        Some("safetensors") => single_tensor(bytes),
        _ => Err("speaker vectors are read from .npy and .safetensors files".into()),
    }
    .map_err(|message| DataError::file(path, message))
}

/// The content of a file, after a look that it is a speaker vector of whatever width: other files are not copied.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = bounded::read(path, LARGEST_VALUE)?;
    tensor(path, &bytes).map(|_| bytes)
}

fn npy(bytes: &[u8]) -> Result<Tensor, String> {
    let file = open_npy(bytes)?;
    let shape = file.shape().iter().map(|&n| n as usize).collect();
    let npyz::DType::Plain(kind) = file.dtype() else {
        return Err("a structured array is no vector".into());
    };
    let values = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => file.into_vec::<f32>(),
        (TypeChar::Float, 8) => file.into_vec::<f64>().map(|v| v.into_iter().map(|value| value as f32).collect()),
        _ => return Err(format!("its values are {kind}, expected float32 or float64")),
    };
    Ok((shape, values.map_err(|error| error.to_string())?))
}

fn single_tensor(bytes: &[u8]) -> Result<Tensor, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensors = file.tensors();
    let [(_, tensor)] = tensors.as_slice() else {
        return Err(format!("it holds {} tensors, expected one", tensors.len()));
    };
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("its values are {:?}, expected F32", tensor.dtype()));
    }
    let values = tensor.data().as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
    Ok((tensor.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rand::RngExt;
    use vocable_audio::LogMelConfig;
    use vocable_random::Key;

    use super::*;
    use crate::manifest::{Manifest, Utterance};

    fn write_npy<T: npyz::Serialize + npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], values: &[T]) {
        let mut file = Vec::new();
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        fs::write(path, file).unwrap();
    }

    fn tilted(slope: f32, frames: usize) -> Frames {
        let data = (0..frames).flat_map(|t| (0..80).map(move |b| -3.0 + slope * b as f32 + (t % 2) as f32)).collect();
        Frames::new(data, 80)
    }

    #[test]
    fn statistics_are_means_then_deviations() {
        let mut statistics = MelStatistics::new(80);
        statistics.add(&tilted(0.01, 3));
        statistics.add(&tilted(0.01, 5));
        // Frames alternate 0, 1, 0 and 0, 1, 0, 1, 0: three of eight are 1.
        let mut expected: Vec<f64> = (0..80).map(|b| -3.0 + 0.01 * f64::from(b) + 3.0 / 8.0).collect();
        expected.extend([(3.0_f64 / 8.0 * 5.0 / 8.0).sqrt(); 80]);
        for (mine, expected) in statistics.values(160).iter().zip(expected) {
            // Float32 inputs of magnitude 3.
            assert!((mine - expected).abs() < 1e-6, "{mine} {expected}");
        }
        for width in [2, 7, 64, 160, 512] {
            assert_eq!(statistics.values(width).len(), width);
        }
    }

    /// Noise of four voices, each through a filter of its own; the last one is heard in `test-other` alone.
    fn corpus(dir: &Path) -> Corpus {
        let utterance = |n: usize| {
            let (voice, split) =
                (n % 4, if n % 4 == 3 { Split::TestOther } else { [Split::Train, Split::Valid][n / 8] });
            let mut rng = Key::new(1).fold(n).rng();
            let mut last = 0.0;
            let smooth = |_| {
                last = last * (0.2 + 0.2 * voice as f32) + rng.random_range(-0.2..0.2);
                last
            };
            let samples: Vec<f32> = (0..8_000).map(smooth).collect();
            vocable_audio::write_wav(dir.join(format!("{n}.wav")), &samples, 16_000).unwrap();
            Utterance {
                id: n.to_string(),
                audio: format!("{n}.wav").into(),
                speaker: format!("voice {voice}"),
                text: "hush".into(),
                text_de: None,
                text_fr: None,
                seconds: 0.5,
                split,
                speaker_vector: (n == 5).then(|| "own.npy".into()),
                sha256: None,
            }
        };
        Corpus::new(Manifest { path: dir.join("manifest.jsonl"), utterances: (0..16).map(utterance).collect() })
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn voices_are_told_apart_once_their_mean_is_the_origin() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = corpus(dir.path());
        let mel = LogMel::new(LogMelConfig::default());
        let vectors = |origin| SpeakerVectors::statistics(&corpus, &mel, 160, origin).unwrap();
        for origin in [Origin::Zero, Origin::MeanVoice] {
            for voice in 0..4 {
                let vector = vectors(origin).of(&format!("voice {voice}")).unwrap().to_vec();
                assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-5);
            }
        }
        let between = |origin| cosine(vectors(origin).of("voice 0").unwrap(), vectors(origin).of("voice 2").unwrap());
        assert!(between(Origin::Zero) > 0.8 && between(Origin::MeanVoice) < 0.0);
        assert_eq!(vectors(Origin::Zero).of("voice 9"), None);
        // A sound's own vector is that of a voice that said nothing else.
        let said = [0, 4].map(|index| mel.log_mel(&corpus.audio(index).unwrap()).data).concat();
        let relative = vectors(Origin::MeanVoice);
        assert_eq!(relative.of_sound(&Frames::new(said, 80)), relative.of("voice 0").unwrap());
        // Validation recordings don't enter a training voice's statistics: without them nothing changes.
        let mut fewer = corpus.manifest().clone();
        fewer.utterances.retain(|utterance| utterance.split != Split::Valid);
        let fewer = SpeakerVectors::statistics(&Corpus::new(fewer), &mel, 160, Origin::Zero).unwrap();
        assert_eq!(fewer, vectors(Origin::Zero));
    }

    #[test]
    fn an_utterance_has_its_own_files_vector_or_its_voices() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = corpus(dir.path());
        let mel = LogMel::new(LogMelConfig::default());
        let vectors = SpeakerVectors::statistics(&corpus, &mel, 3, Origin::Zero).unwrap();
        assert_eq!(vectors.of_utterance(&corpus, 1).unwrap(), vectors.of("voice 1").unwrap());
        assert!(vectors.of_utterance(&corpus, 5).unwrap_err().to_string().contains("own.npy"));
        write_npy(&dir.path().join("own.npy"), &[1, 3], &[0.5, -1.0, 2.0_f32]);
        assert_eq!(vectors.of_utterance(&corpus, 5).unwrap(), [0.5, -1.0, 2.0]);
    }

    #[test]
    fn interpolation_keeps_the_ends_and_straight_lines() {
        let line: Vec<f64> = (0..80).map(f64::from).collect();
        for (place, value) in interpolate(&line, 33).iter().enumerate() {
            assert!((value - 79.0 * place as f64 / 32.0).abs() < 1e-9);
        }
        assert_eq!(interpolate(&line, 80), line);
    }

    #[test]
    fn vectors_are_read_from_both_formats_and_shapes_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let values = [0.25_f32, -1.5, 3.0];
        let at = |name: &str| dir.path().join(name);
        write_npy(&at("a.npy"), &[3], &values);
        assert_eq!(read(&at("a.npy"), 3).unwrap(), values);
        write_npy(&at("b.npy"), &[1, 3], &values.map(f64::from));
        assert_eq!(read(&at("b.npy"), 3).unwrap(), values);

        let path = dir.path().join("c.safetensors");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, vec![1, 3], &bytes).unwrap();
        fs::write(&path, safetensors::serialize([("vector", tensor)], None).unwrap()).unwrap();
        assert_eq!(read(&path, 3).unwrap(), values);

        for name in ["d.npy", "d.safetensors", "deep/d.npy"] {
            write(&at(name), &values).unwrap();
            assert_eq!(read(&at(name), 3).unwrap(), values);
        }
        assert!(write(&at("d.pt"), &values).unwrap_err().to_string().contains("d.pt: speaker vectors are written to"));

        let fault = |path: &Path, width| read(path, width).unwrap_err().to_string();
        assert!(fault(&path, 512).contains("c.safetensors: the speaker vector has shape [1, 3], expected [512]"));
        write_npy(&at("d.npy"), &[3, 1], &values);
        assert!(fault(&at("d.npy"), 3).contains("shape [3, 1]"));
        write_npy(&at("e.npy"), &[1], &[f64::NAN]);
        assert!(fault(&at("e.npy"), 1).contains("not finite"));
        write_npy(&at("h.npy"), &[1], &[1_i32]);
        assert!(fault(&at("h.npy"), 1).contains("expected float32 or float64"));
        assert!(fault(&dir.path().join("none.npy"), 3).contains("none.npy"));
        fs::write(dir.path().join("f.npy"), "text").unwrap();
        assert!(fault(&dir.path().join("f.npy"), 3).contains("not a NumPy file"));
        fs::write(dir.path().join("g.bin"), "text").unwrap();
        assert!(fault(&dir.path().join("g.bin"), 3).contains(".npy and .safetensors"));
    }
}
