//! Folders of published vocoders.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::Value;
use vocable_weights::{Weights, read_array, read_settings};

use crate::vocoder::{Generator, Normaliser};
use crate::{HifiGan, HifiGanConfig, ParallelWaveGan, ParallelWaveGanConfig, Vocoder, VocoderError};

/// What transformers calls the model of a [`TransformersConfig`]: until version 5, and from then on.
const MODEL_TYPES: [&str; 2] = ["hifigan", "speecht5_hifigan"];

/// Transformers' `SpeechT5HifiGanConfig`.
#[derive(Deserialize)]
#[serde(default)]
struct TransformersConfig {
    sampling_rate: u32,
    upsample_rates: Vec<usize>,
    upsample_kernel_sizes: Vec<usize>,
    resblock_dilation_sizes: Vec<Vec<usize>>,
    leaky_relu_slope: f64,
    normalize_before: bool,
}

impl Default for TransformersConfig {
    fn default() -> Self {
        Self {
            sampling_rate: 16_000,
            upsample_rates: vec![4; 4],
            upsample_kernel_sizes: vec![8; 4],
            resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
            leaky_relu_slope: 0.1,
            normalize_before: true,
        }
    }
}

/// What is used of ParallelWaveGAN's `config.yml`.
#[derive(Deserialize)]
struct TrainerConfig {
    sampling_rate: u32,
    #[serde(default = "parallel_wavegan")]
    generator_type: String,
    generator_params: GeneratorParams,
}

fn parallel_wavegan() -> String {
    "ParallelWaveGANGenerator".into()
}

/// Parameters of either generator, with the trainer's defaults.
#[derive(Deserialize)]
#[serde(default)]
struct GeneratorParams {
    layers: usize,
    stacks: usize,
    upsample_params: UpsampleParams,
    upsample_net: String,
    upsample_scales: Vec<usize>,
    resblock_dilations: Vec<Vec<usize>>,
    nonlinear_activation_params: ActivationParams,
    nonlinear_activation: String,
    use_causal_conv: bool,
}

#[derive(Deserialize)]
struct UpsampleParams {
    upsample_scales: Vec<usize>,
}

#[derive(Deserialize)]
struct ActivationParams {
    negative_slope: f64,
}

impl Default for GeneratorParams {
    fn default() -> Self {
        Self {
            layers: 30,
            stacks: 3,
            upsample_params: UpsampleParams { upsample_scales: vec![4; 4] },
            upsample_net: "ConvInUpsampleNetwork".into(),
            upsample_scales: vec![8, 8, 2, 2],
            resblock_dilations: vec![vec![1, 3, 5]; 3],
            nonlinear_activation_params: ActivationParams { negative_slope: 0.1 },
            nonlinear_activation: "LeakyReLU".into(),
            use_causal_conv: false,
        }
    }
}

/// Samples of a frame that nobody's frames have.
const LONGEST_HOP: usize = 1 << 14;

pub(crate) fn open(folder: &Path, device: &Device) -> Result<Vocoder, VocoderError> {
    let (path, config) = configuration(folder)?;
    let wrong = |message: String| VocoderError::Invalid { path: path.clone(), message };
    match (config["model_type"].as_str(), config.get("generator_params")) {
        (Some(name), _) if MODEL_TYPES.contains(&name) => transformers(folder, &path, config, device),
        (_, Some(_)) => trainer(folder, &path, config, device),
        (Some(other), None) => Err(wrong(format!("it is for a model of type {other:?}, which is no vocoder"))),
        (None, None) => Err(wrong("it has neither model_type (transformers) nor generator_params".into())),
    }
}

/// The folder's configuration, which ParallelWaveGAN writes as YAML.
fn configuration(folder: &Path) -> Result<(PathBuf, Value), VocoderError> {
    let names = ["config.json", "config.yml"].map(|name| folder.join(name));
    let Some(path) = names.into_iter().find(|path| path.exists()) else {
        let message = match folder.is_dir() {
            true => "it holds neither config.json nor config.yml, and so is no vocoder's",
            false => "there is no such folder",
        };
        return Err(VocoderError::Invalid { path: folder.into(), message: message.into() });
    };
    let wrong = |message: String| VocoderError::Invalid { path: path.clone(), message };
    let text = read_settings(&path)?;
    let config = match path.extension().is_some_and(|extension| extension == "yml") {
        true => serde_saphyr::from_str(&text).map_err(|error| error.to_string()),
        false => serde_json::from_str(&text).map_err(|error| error.to_string()),
    };
    let config = config.map_err(|message| wrong(message.lines().next().unwrap_or_default().to_owned()))?;
    Ok((path, config))
}

fn transformers(folder: &Path, path: &Path, config: Value, device: &Device) -> Result<Vocoder, VocoderError> {
    let wrong = |message: String| VocoderError::Invalid { path: path.into(), message };
    let config: TransformersConfig = serde_json::from_value(config).map_err(|error| wrong(error.to_string()))?;
    check_rates(&config.upsample_rates).map_err(wrong)?;
    // An odd surplus of taps would give a step more than the rate says.
    if config.upsample_rates.iter().zip(&config.upsample_kernel_sizes).any(|(rate, kernel)| (kernel + rate) % 2 != 0) {
        return Err(wrong("an upsampling has an even number of taps at an odd rate or the other way round".into()));
    }
    let weights = Weights::open(folder)?;
    let generator = HifiGanConfig {
        rates: config.upsample_rates,
        dilations: config.resblock_dilation_sizes,
        slope: config.leaky_relu_slope,
    };
    let normaliser = match (config.normalize_before, weights.get("mean"), weights.get("scale")) {
        (true, Some(mean), Some(scale)) => Some(normaliser(&weights, mean.to_f32()?, scale.to_f32()?)?),
        _ => None,
    };
    let generator = Generator::HifiGan(Box::new(HifiGan::read(&weights, &generator, device)?));
    finish(generator, normaliser, config.sampling_rate, device, &weights)
}

fn trainer(folder: &Path, path: &Path, config: Value, device: &Device) -> Result<Vocoder, VocoderError> {
    let wrong = |message: String| VocoderError::Invalid { path: path.into(), message };
    let config: TrainerConfig = serde_json::from_value(config).map_err(|error| wrong(error.to_string()))?;
    let params = config.generator_params;
    if params.use_causal_conv {
        return Err(wrong("use_causal_conv is true; causal generators are not read".into()));
    }
    let weights = Weights::open(newest(folder)?)?;
    let generator = match config.generator_type.as_str() {
        "ParallelWaveGANGenerator" => {
            let scales = params.upsample_params.upsample_scales;
            check_rates(&scales).map_err(wrong)?;
            if params.upsample_net != "ConvInUpsampleNetwork" {
                return Err(wrong(format!("upsample_net is {}; ConvInUpsampleNetwork is read", params.upsample_net)));
            }
            let config = ParallelWaveGanConfig { layers: params.layers, stacks: params.stacks, scales };
            Generator::ParallelWaveGan(Box::new(ParallelWaveGan::read(&weights, &config, device)?))
        }
        "HiFiGANGenerator" => {
            check_rates(&params.upsample_scales).map_err(wrong)?;
            if params.nonlinear_activation != "LeakyReLU" {
                return Err(wrong(format!(
                    "nonlinear_activation is {}; LeakyReLU is read",
                    params.nonlinear_activation
                )));
            }
            let config = HifiGanConfig {
                rates: params.upsample_scales,
                dilations: params.resblock_dilations,
                slope: params.nonlinear_activation_params.negative_slope,
            };
            Generator::HifiGan(Box::new(HifiGan::read(&weights, &config, device)?))
        }
        other => {
            let known = "ParallelWaveGANGenerator and HiFiGANGenerator are read";
            return Err(wrong(format!("generator_type is {other}; {known}")));
        }
    };
    finish(generator, statistics(folder)?, config.sampling_rate, device, &weights)
}

fn check_rates(rates: &[usize]) -> Result<(), String> {
    let hop = rates.iter().try_fold(1_usize, |hop, &rate| hop.checked_mul(rate));
    match hop {
        Some(1..=LONGEST_HOP) => Ok(()),
        _ => Err(format!("it makes {rates:?} steps of one, stage by stage")),
    }
}

fn finish(
    generator: Generator,
    normaliser: Option<Normaliser>,
    rate: u32,
    device: &Device,
    weights: &Weights,
) -> Result<Vocoder, VocoderError> {
    let vocoder = Vocoder { generator, normaliser, rate, device: device.clone(), chunk: Vocoder::CHUNK };
    match (vocoder.mel(), &vocoder.normaliser) {
        (Some(mel), Some(normaliser)) if normaliser.mean.len() != mel => {
            let message = format!("statistics of {} mel bins for a generator of {mel}", normaliser.mean.len());
            Err(VocoderError::Invalid { path: weights.path().into(), message })
        }
        _ => Ok(vocoder),
    }
}

/// The trainer's checkpoint of the most steps.
fn newest(folder: &Path) -> Result<PathBuf, VocoderError> {
    let wrong = |message: String| VocoderError::Invalid { path: folder.into(), message };
    let entries = fs::read_dir(folder).map_err(|error| wrong(error.to_string()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let steps = |path: &PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        Some((digits.parse::<u64>().unwrap_or(0), name))
    };
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "pkl"))
        .max_by_key(steps)
        .ok_or_else(|| wrong("it has no checkpoint (*.pkl)".into()))
}

/// Mean and scale of the log-mels that the trainer saw, where the folder has them.
fn statistics(folder: &Path) -> Result<Option<Normaliser>, VocoderError> {
    let path = folder.join("stats.npy");
    let wrong = |message: String| VocoderError::Invalid { path: folder.join("stats.h5"), message };
    if !path.exists() {
        return match folder.join("stats.h5").exists() {
            true => Err(wrong("HDF5 is not read; save its mean and scale as the two rows of stats.npy".into())),
            false => Ok(None),
        };
    }
    match read_array(&path)? {
        (_, values) if !values.iter().all(|value| value.is_finite()) => {
            Err(VocoderError::Invalid { path, message: "it holds a value that is not finite".into() })
        }
        (shape, values) if shape.len() == 2 && shape[0] == 2 => {
            let (mean, scale) = values.split_at(shape[1]);
            Ok(Some(Normaliser { mean: mean.to_vec(), scale: scale.to_vec() }))
        }
        (shape, _) => {
            let message = format!("it has the shape {shape:?}, where two rows are expected: mean and scale");
            Err(VocoderError::Invalid { path, message })
        }
    }
}

fn normaliser(weights: &Weights, mean: Vec<f32>, scale: Vec<f32>) -> Result<Normaliser, VocoderError> {
    if mean.len() != scale.len() {
        let message = format!("its mean has {} values, its scale {}", mean.len(), scale.len());
        return Err(VocoderError::Invalid { path: weights.path().into(), message });
    }
    Ok(Normaliser { mean, scale })
}
