//! The vector that stands for a voice: statistics of its spectrum, or a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use npyz::{NpyFile, TypeChar};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use vocable_audio::{Frames, LogMel};

use crate::DataError;
use crate::corpus::Corpus;
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
        Self {
            frames: 0,
            sums: vec![0.0; bands],
            squares: vec![0.0; bands],
        }
    }

    /// Adds the frames of a recording.
    ///
    /// # Panics
    /// If they have another number of bands.
    pub fn add(&mut self, mel: &Frames) {
        assert_eq!(mel.width, self.sums.len(), "log-mel of another number of bands");
        self.frames += mel.len();
        for row in mel.rows() {
            for ((value, sum), square) in row
                .iter()
                .map(|&v| f64::from(v))
                .zip(&mut self.sums)
                .zip(&mut self.squares)
            {
                *sum += value;
                *square += value * value;
            }
        }
    }

    /// The speaker vector, `[width]`, of length 1: means, then deviations, each taken to half of `width` by linear
    /// interpolation along the bands (unchanged where `width` is twice their number).
    ///
    /// # Panics
    /// If nothing was added.
    pub fn vector(&self, width: usize) -> Vec<f32> {
        assert!(self.frames > 0, "no frame to take statistics of");
        let n = self.frames as f64;
        let means: Vec<f64> = self.sums.iter().map(|sum| sum / n).collect();
        let spread = |(square, mean): (&f64, &f64)| (square / n - mean * mean).max(0.0).sqrt();
        let deviations: Vec<f64> = self.squares.iter().zip(&means).map(spread).collect();
        let half = width.div_ceil(2);
        let mut vector = interpolate(&means, half);
        vector.extend(interpolate(&deviations, width - half));
        normalise(vector)
    }
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

fn normalise(vector: Vec<f64>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    vector.into_iter().map(|value| (value / length) as f32).collect()
}

/// One vector of the same width per voice of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerVectors {
    width: usize,
    by_speaker: BTreeMap<String, Vec<f32>>,
}

impl SpeakerVectors {
    /// Statistics of each voice's training utterances; of all its utterances where it has none for training.
    ///
    /// # Errors
    /// An unusable recording, by name.
    pub fn statistics(corpus: &Corpus, log_mel: &LogMel, width: usize) -> Result<Self, DataError> {
        let utterances = &corpus.manifest().utterances;
        let mut voices: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (index, utterance) in utterances.iter().enumerate() {
            let (training, other) = voices.entry(&utterance.speaker).or_default();
            if utterance.split == Split::Train {
                training.push(index)
            } else {
                other.push(index)
            }
        }
        let vectors = voices.into_par_iter().map(|(speaker, (training, other))| {
            let own = if training.is_empty() { other } else { training };
            let mut statistics: Option<MelStatistics> = None;
            for index in own {
                let mel = log_mel.log_mel(corpus.audio(index)?);
                statistics
                    .get_or_insert_with(|| MelStatistics::new(mel.width))
                    .add(&mel);
            }
            let statistics = statistics.expect("a voice has an utterance");
            Ok((speaker.to_owned(), statistics.vector(width)))
        });
        Ok(Self {
            width,
            by_speaker: vectors.collect::<Result<_, DataError>>()?,
        })
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
            None => Ok(self
                .of(&utterance.speaker)
                .expect("every voice of the corpus has a vector")
                .to_vec()),
        }
    }
}

/// Reads a speaker vector of shape (width) or (1, width) from a `.npy` or `.safetensors` file, as it is: no
/// normalisation. Safetensors must hold a single float32 tensor; NumPy files float32 or float64.
///
/// # Errors
/// A file that is missing, of another format, type or shape, or holds a value that is not finite.
pub fn read(path: &Path, width: usize) -> Result<Vec<f32>, DataError> {
    let bytes = fs::read(path).map_err(DataError::io(path))?;
    let (shape, values) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => npy(&bytes),
        Some("safetensors") => single_tensor(&bytes),
        _ => Err("speaker vectors are read from .npy and .safetensors files".into()),
    }
    .map_err(|message| DataError::file(path, message))?;
    if shape != [width] && shape != [1, width] {
        return Err(DataError::file(
            path,
            format!("the speaker vector has shape {shape:?}, expected [{width}]"),
        ));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(DataError::file(
            path,
            "the speaker vector holds a value that is not finite",
        ));
    }
    Ok(values)
}

type Tensor = (Vec<usize>, Vec<f32>);

fn npy(bytes: &[u8]) -> Result<Tensor, String> {
    let file = NpyFile::new(bytes).map_err(|error| format!("not a NumPy file: {error}"))?;
    let shape = file.shape().iter().map(|&n| n as usize).collect();
    let npyz::DType::Plain(kind) = file.dtype() else {
        return Err("a structured array is no vector".into());
    };
    let values = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => file.into_vec::<f32>(),
        (TypeChar::Float, 8) => file
            .into_vec::<f64>()
            .map(|v| v.into_iter().map(|value| value as f32).collect()),
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
    let values = tensor
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|&chunk| f32::from_le_bytes(chunk))
        .collect();
    Ok((tensor.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;
    use safetensors::tensor::TensorView;

    use super::*;

    fn tilted(slope: f32, frames: usize) -> Frames {
        let data = (0..frames)
            .flat_map(|t| (0..80).map(move |b| -3.0 + slope * b as f32 + (t % 2) as f32))
            .collect();
        Frames::new(data, 80)
    }

    #[test]
    fn the_vector_is_means_then_deviations_of_length_one() {
        let mut statistics = MelStatistics::new(80);
        statistics.add(&tilted(0.01, 3));
        statistics.add(&tilted(0.01, 5));
        // Frames alternate 0, 1, 0 and 0, 1, 0, 1, 0: three of eight are 1.
        let mut expected: Vec<f64> = (0..80).map(|b| -3.0 + 0.01 * f64::from(b) + 3.0 / 8.0).collect();
        expected.extend([(3.0_f64 / 8.0 * 5.0 / 8.0).sqrt(); 80]);
        for (mine, expected) in statistics.vector(160).iter().zip(normalise(expected)) {
            // Float32 inputs of magnitude 3.
            assert!((mine - expected).abs() < 1e-6, "{mine} {expected}");
        }
        for width in [2, 7, 64, 160, 512] {
            let vector = statistics.vector(width);
            assert_eq!(vector.len(), width);
            assert!((vector.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
        }
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
        let npy = |name: &str, shape: &[u64], values: &[f64], single: bool| {
            let path = dir.path().join(name);
            let mut file = Vec::new();
            if single {
                let mut writer = npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(shape)
                    .writer(&mut file)
                    .begin_nd()
                    .unwrap();
                writer.extend(values.iter().map(|&v| v as f32)).unwrap();
                writer.finish().unwrap();
            } else {
                let mut writer = npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(shape)
                    .writer(&mut file)
                    .begin_nd()
                    .unwrap();
                writer.extend(values.iter().copied()).unwrap();
                writer.finish().unwrap();
            }
            fs::write(&path, file).unwrap();
            path
        };
        let wide = values.map(f64::from);
        assert_eq!(read(&npy("a.npy", &[3], &wide, true), 3).unwrap(), values);
        assert_eq!(read(&npy("b.npy", &[1, 3], &wide, false), 3).unwrap(), values);

        let path = dir.path().join("c.safetensors");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, vec![1, 3], &bytes).unwrap();
        fs::write(&path, safetensors::serialize([("vector", tensor)], None).unwrap()).unwrap();
        assert_eq!(read(&path, 3).unwrap(), values);

        let fault = |path: &Path, width| read(path, width).unwrap_err().to_string();
        assert!(fault(&path, 512).contains("c.safetensors: the speaker vector has shape [1, 3], expected [512]"));
        assert!(fault(&npy("d.npy", &[3, 1], &wide, true), 3).contains("shape [3, 1]"));
        assert!(fault(&npy("e.npy", &[1], &[f64::NAN], true), 1).contains("not finite"));
        assert!(fault(&dir.path().join("none.npy"), 3).contains("none.npy"));
        fs::write(dir.path().join("f.npy"), "text").unwrap();
        assert!(fault(&dir.path().join("f.npy"), 3).contains("not a NumPy file"));
        fs::write(dir.path().join("g.bin"), "text").unwrap();
        assert!(fault(&dir.path().join("g.bin"), 3).contains(".npy and .safetensors"));
    }
}
