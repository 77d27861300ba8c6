//! Mixing WSJ0's sentences with the published noise as the official scripts do (`wav16k/max`).
//!
//! `metadata/mix_param_meta_SET.csv` has a line per mixture, its name and the sample at which speech begins, and
//! `metadata/scaling_SET.npz` the gains in the same order; the scripts' `mix_2_spk_filenames_SET.csv` says which sentence of WSJ0 (converted to WAV) is
//! a mixture's first one. Of a recording the first channel counts; the sentence is scaled, rounded to 16 bits and scaled again, the noise
//! is scaled, and both are added over the length of the noise.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use npyz::Order;
use vocable_audio::{Audio, AudioError, read_first_channel};
use vocable_weights::open_npy;
use zip::ZipArchive;

use super::SETS;
use crate::corpus::RATE;
use crate::readers::listing::{Listing, Make, Piece, Sound, Source};
use crate::readers::text::{Lines, below, difference};
use crate::{DataError, bounded};

/// Bytes that an array of gains may have; the longest public one has 320,000.
const LARGEST: u64 = 1 << 24;

/// What is mixed with the published noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixing {
    /// The folder that has `wsj0/`, its sentences as WAV files.
    pub wsj0: PathBuf,
    /// The folder with `mix_2_spk_filenames_{tr,cv,tt}.csv`, `data` of the scripts.
    pub lists: PathBuf,
}

/// What is made of a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Clean,
    Noisy,
    Noise,
}

/// A mixture's sentence and gains, and what is made of them.
#[derive(Clone, Debug)]
struct Mixture {
    noise: PathBuf,
    sentence: PathBuf,
    /// The sample of the noise at which the sentence begins.
    start: usize,
    gains: Gains,
    signal: Signal,
}

#[derive(Clone, Copy, Debug)]
struct Gains {
    /// Of the sentence in WSJ0-2mix, whose files have 16 bits.
    wsj0: f64,
    /// Of that in WHAM!.
    speech: f64,
    noise: f64,
}

impl Make for Mixture {
    fn files(&self) -> Vec<&Path> {
        vec![&self.noise, &self.sentence]
    }

    fn make(&self) -> Result<Audio, AudioError> {
        let mut audio = read_first_channel(&self.noise)?.expect_rate(RATE)?;
        let level = if self.signal == Signal::Clean { 0.0 } else { self.gains.noise };
        let mut mixed: Vec<f64> = audio.samples.iter().map(|&sample| f64::from(sample) * level).collect();
        if self.signal != Signal::Noise {
            let sentence = read_first_channel(&self.sentence)?.expect_rate(RATE)?.samples;
            let Some(place) = mixed.get_mut(self.start..self.start.saturating_add(sentence.len())) else {
                let reason = format!("it ends before {}, which is mixed with it", self.sentence.display());
                return Err(AudioError::Damaged { path: self.noise.clone(), reason });
            };
            for (sample, spoken) in place.iter_mut().zip(sentence) {
                // NumPy rounds halves to even.
                let stored = (f64::from(spoken) * self.gains.wsj0 * 32_768.0).round_ties_even() / 32_768.0;
                *sample += stored * self.gains.speech;
            }
        }
        audio.samples = mixed.into_iter().map(|sample| sample as f32).collect();
        Ok(audio)
    }
}

/// The first channel of a recording of noise.
#[derive(Debug)]
pub(super) struct Noise(pub PathBuf);

impl Make for Noise {
    fn files(&self) -> Vec<&Path> {
        vec![&self.0]
    }

    fn make(&self) -> Result<Audio, AudioError> {
        read_first_channel(&self.0)
    }
}

/// The mixtures of all sets.
pub(super) struct Mixtures {
    /// With the index of its set; the signal is still to be chosen.
    mixtures: Vec<(usize, Mixture)>,
    missing: Vec<String>,
}

impl Mixing {
    /// All mixtures with the noise below `root`.
    pub(super) fn mixtures(&self, root: &Path) -> Result<Mixtures, DataError> {
        let (mut mixtures, mut missing) = (Vec::new(), Vec::new());
        for (index, (set, _, published)) in SETS.into_iter().enumerate() {
            let path = root.join(format!("metadata/mix_param_meta_{set}.csv"));
            let (table, names) = columns(&path, ["utterance_id", "noise_samples_beginning_16k"])?;
            let path = self.lists.join(format!("mix_2_spk_filenames_{set}.csv"));
            let (sentences, rows) = columns(&path, ["output_filename", "s1_path"])?;
            let sentence_of: HashMap<&str, (usize, &str)> =
                rows.iter().map(|(line, [name, sentence])| (name.as_str(), (*line, sentence.as_str()))).collect();
            let gains = gains(&root.join(format!("metadata/scaling_{set}.npz")), names.len())?;
            for ((line, [name, start]), gains) in names.iter().zip(gains) {
                let line = &table.lines[*line];
                let fault = |message: String| table.fault(line, message);
                let start = start.parse().map_err(|_| fault(format!("`{start}` is no number of samples")))?;
                let noise = below(&root.join(set), name).map_err(fault)?;
                let Some(&(row, sentence)) = sentence_of.get(name.as_str()) else {
                    return Err(fault(format!("`{name}` has no line in {}", sentences.path.display())));
                };
                let sentence = below(&self.wsj0, sentence);
                let sentence = sentence.map_err(|message| sentences.fault(&sentences.lines[row], message))?;
                mixtures.push((index, Mixture { noise, sentence, start, gains, signal: Signal::Noisy }));
            }
            missing.extend(difference(set, names.len(), published, "mixtures"));
        }
        Ok(Mixtures { mixtures, missing })
    }
}

impl Mixtures {
    /// One signal of every mixture.
    pub(super) fn list(&self, signal: Signal) -> Listing {
        let source = |(set, mixture): &(usize, Mixture)| {
            let (set, split, _) = SETS[*set];
            let utterance = super::utterance(&mixture.noise, set, split, signal == Signal::Noise);
            let sound = Sound::Made(Box::new(Mixture { signal, ..mixture.clone() }));
            Source { sound, pieces: vec![Piece { span: None, utterance }] }
        };
        let sources = self.mixtures.iter().map(source).collect();
        Listing { sources, bad: Vec::new(), missing: self.missing.clone(), hours: Vec::new() }
    }
}

/// A table of values with the places of the rows' lines.
type Rows = Vec<(usize, [String; 2])>;

/// Two columns of a CSV file without quotes, by the names in its first line.
fn columns(path: &Path, names: [&str; 2]) -> Result<(Lines, Rows), DataError> {
    let table = Lines::read(path)?;
    let split = |text: &str| -> Vec<String> { text.split(',').map(|field| field.trim().to_owned()).collect() };
    let header = table.lines.first().map(|line| split(&line.text)).unwrap_or_default();
    let places = names.map(|name| header.iter().position(|field| field == name));
    let [Some(first), Some(second)] = places else {
        return Err(DataError::file(path, format!("has no columns `{}` and `{}`", names[0], names[1])));
    };
    let mut rows = Vec::new();
    for (place, line) in table.lines.iter().enumerate().skip(1) {
        let fields = split(&line.text);
        let (Some(one), Some(two)) = (fields.get(first), fields.get(second)) else {
            return Err(table.fault(line, format!("expected {} fields", header.len())));
        };
        rows.push((place, [one.clone(), two.clone()]));
    }
    Ok((table, rows))
}

/// The gains of `count` mixtures.
fn gains(path: &Path, count: usize) -> Result<Vec<Gains>, DataError> {
    let mut archive = ZipArchive::new(bounded::open(path)?).map_err(|error| DataError::file(path, error))?;
    // The first column of an array.
    let mut array = |name: &str, width: usize| -> Result<Vec<f64>, DataError> {
        let fault = |message: String| DataError::file(path, format!("{name}: {message}"));
        let entry = archive.by_name(&format!("{name}.npy")).map_err(|error| fault(error.to_string()))?;
        if entry.size() > LARGEST {
            return Err(fault(format!("has {} bytes, more than gains need", entry.size())));
        }
        let mut bytes = Vec::new();
        entry.take(LARGEST).read_to_end(&mut bytes).map_err(|error| fault(error.to_string()))?;
        let file = open_npy(&bytes).map_err(fault)?;
        if file.shape().iter().product::<u64>() != (count * width) as u64 {
            return Err(fault(format!("has shape {:?} for {count} mixtures", file.shape())));
        }
        let step = if file.order() == Order::Fortran { 1 } else { width };
        let values: Vec<f64> = file.into_vec().map_err(|error| fault(error.to_string()))?;
        Ok((0..count).map(|n| values[n * step]).collect())
    };
    let (wsj0, speech, noise) = (
        array("scaling_wsjmix_16k_max", 2)?,
        array("scaling_wham_speech_16k_max", 1)?,
        array("scaling_wham_noise_16k_max", 1)?,
    );
    let gains = |n: usize| Gains { wsj0: wsj0[n], speech: speech[n], noise: noise[n] };
    Ok((0..count).map(gains).collect())
}
