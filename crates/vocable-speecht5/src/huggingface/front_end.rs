use std::path::Path;

use serde::{Deserialize, Serialize};
use vocable_audio::{LogMelConfig, standardise};
use vocable_weights::read_json;

use crate::ModelError;

/// Name of the file in a model's folder.
pub(super) const FILE: &str = "preprocessor_config.json";

/// How recordings become waveforms and log-mels: a folder's `preprocessor_config.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrontEnd {
    /// Whether waveforms are brought to zero mean and unit variance (table D16).
    pub normalize: bool,
    /// The log-mel spectrograms, and the sample rate of both.
    pub log_mel: LogMelConfig,
}

/// The file; transformers' names and defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct File {
    do_normalize: bool,
    feature_extractor_type: String,
    feature_size: u32,
    fmax: f64,
    fmin: f64,
    /// In milliseconds.
    hop_length: u32,
    mel_floor: f64,
    num_mel_bins: usize,
    padding_side: String,
    padding_value: f64,
    return_attention_mask: bool,
    sampling_rate: u32,
    win_function: String,
    /// In milliseconds.
    win_length: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            do_normalize: false,
            feature_extractor_type: "SpeechT5FeatureExtractor".into(),
            feature_size: 1,
            fmax: 7600.0,
            fmin: 80.0,
            hop_length: 16,
            mel_floor: 1e-10,
            num_mel_bins: 80,
            padding_side: "right".into(),
            padding_value: 0.0,
            return_attention_mask: true,
            sampling_rate: 16_000,
            win_function: "hann_window".into(),
            win_length: 64,
        }
    }
}

impl FrontEnd {
    /// Reads the file of a model's folder; without one, the defaults hold.
    ///
    /// # Errors
    /// A file that is not JSON, or that asks for what is not computed here.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let file: File = read_json(&path)?;
        file.front_end().map_err(|message| ModelError::Weights { path, message })
    }

    /// The content of the file.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let LogMelConfig { rate, fft, hop, bands, low, high, floor } = self.log_mel;
        let milliseconds = |samples: usize| (samples * 1000 / rate as usize) as u32;
        let file = File {
            do_normalize: self.normalize,
            fmax: high,
            fmin: low,
            hop_length: milliseconds(hop),
            mel_floor: floor,
            num_mel_bins: bands,
            sampling_rate: rate,
            win_length: milliseconds(fft),
            ..File::default()
        };
        serde_json::to_value(file).expect("plain numbers and words")
    }

    /// A waveform as the speech-encoder pre-net takes it.
    pub fn waveform(&self, samples: Vec<f32>) -> Vec<f32> {
        // transformers' epsilon.
        if self.normalize { standardise(&samples, 1e-7) } else { samples }
    }
}

impl File {
    fn front_end(self) -> Result<FrontEnd, String> {
        if self.win_function != "hann_window" {
            return Err(format!("win_function is {}, where hann_window is supported", self.win_function));
        }
        let rate = self.sampling_rate;
        let samples = |milliseconds: u32| milliseconds as usize * rate as usize / 1000;
        let (fft, hop) = (samples(self.win_length), samples(self.hop_length));
        if !fft.is_power_of_two() || !(2..=1 << 16).contains(&fft) {
            return Err(format!("win_length is {fft} samples; a power of two up to 65536 is supported"));
        }
        if !(1..=fft).contains(&hop) {
            return Err(format!("hop_length is {hop} samples, which skips samples of a window of {fft}"));
        }
        if !(self.fmin >= 0.0 && self.fmin < self.fmax && self.fmax <= f64::from(rate) / 2.0) {
            return Err(format!("frequencies from {} to {} Hz at {rate} Hz", self.fmin, self.fmax));
        }
        if !(1..=fft / 2).contains(&self.num_mel_bins) || self.mel_floor <= 0.0 {
            return Err(format!("num_mel_bins is {} and mel_floor {}", self.num_mel_bins, self.mel_floor));
        }
        Ok(FrontEnd {
            normalize: self.do_normalize,
            log_mel: LogMelConfig {
                rate,
                fft,
                hop,
                bands: self.num_mel_bins,
                low: self.fmin,
                high: self.fmax,
                floor: self.mel_floor,
            },
        })
    }
}
