//! Folders in transformers' layout.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use vocable_audio::{Frames, standardise};
use vocable_nn::Init;
use vocable_published::{Layout, Names, load};
use vocable_random::Key;
use vocable_weights::{Weights, read_json};

use crate::{HubertConfig, HubertEncoder, HubertError};

/// Samples per second of what the models hear.
pub const RATE: u32 = 16_000;

const CONFIG: &str = "config.json";
const FRONT_END: &str = "preprocessor_config.json";
/// transformers' own.
const EPSILON: f64 = 1e-7;

/// transformers' names, of the weight norm in both spellings.
static NAMES: Names = {
    use Layout::{Conv, Flat, Linear, Taps};
    Names {
        rows: &[
            ("extractor.blocks.*.weight", "feature_extractor.conv_layers.*.conv.weight", Conv),
            ("extractor.blocks.*.channel_norm", "feature_extractor.conv_layers.*.layer_norm", Flat),
            ("norm", "feature_projection.layer_norm", Flat),
            ("projection", "feature_projection.projection", Linear),
            ("positional.bias", "encoder.pos_conv_embed.conv.bias", Flat),
            ("positional.gain", "encoder.pos_conv_embed.conv.parametrizations.weight.original0", Taps),
            ("positional.direction", "encoder.pos_conv_embed.conv.parametrizations.weight.original1", Conv),
            ("positional.gain", "encoder.pos_conv_embed.conv.weight_g", Taps),
            ("positional.direction", "encoder.pos_conv_embed.conv.weight_v", Conv),
            ("encoder.norm", "encoder.layer_norm", Flat),
            ("encoder.layers.*.attention.query", "encoder.layers.*.attention.q_proj", Linear),
            ("encoder.layers.*.attention.key", "encoder.layers.*.attention.k_proj", Linear),
            ("encoder.layers.*.attention.value", "encoder.layers.*.attention.v_proj", Linear),
            ("encoder.layers.*.attention.output", "encoder.layers.*.attention.out_proj", Linear),
            ("encoder.layers.*.attention_norm", "encoder.layers.*.layer_norm", Flat),
            ("encoder.layers.*.feed_forward.inner", "encoder.layers.*.feed_forward.intermediate_dense", Linear),
            ("encoder.layers.*.feed_forward.outer", "encoder.layers.*.feed_forward.output_dense", Linear),
            ("encoder.layers.*.feed_forward_norm", "encoder.layers.*.final_layer_norm", Flat),
        ],
        // What hides frames in training.
        constants: &["masked_spec_embed"],
        wrapper: None,
    }
};

/// A published HuBERT model.
#[derive(Debug)]
pub struct Hubert {
    /// Where it was read from.
    pub path: PathBuf,
    /// Sizes.
    pub config: HubertConfig,
    /// The network.
    pub model: HubertEncoder,
    normalize: bool,
}

/// What is used of `preprocessor_config.json`.
#[derive(Deserialize)]
#[serde(default)]
struct FrontEnd {
    do_normalize: bool,
    sampling_rate: u32,
}

impl Default for FrontEnd {
    fn default() -> Self {
        Self { do_normalize: true, sampling_rate: RATE }
    }
}

impl Hubert {
    /// Opens a folder such as `facebook/hubert-base-ls960`: `config.json`, `preprocessor_config.json` (its defaults where
    /// there is none) and the weights, safetensors or `pytorch_model.bin`.
    ///
    /// # Errors
    /// A file that is missing or damaged; another model, or a variant that is not computed here; tensors that are missing,
    /// of another shape or unknown.
    pub fn open(folder: impl AsRef<Path>, device: &Device) -> Result<Self, HubertError> {
        let path = folder.as_ref();
        let config: HubertConfig = read_json(path.join(CONFIG))?;
        config.check().map_err(|message| HubertError::Invalid { path: path.join(CONFIG), message })?;
        let front_end = path.join(FRONT_END);
        let FrontEnd { do_normalize, sampling_rate } =
            if front_end.exists() { read_json(&front_end)? } else { FrontEnd::default() };
        if sampling_rate != RATE {
            let message = format!("sampling_rate is {sampling_rate}, where {RATE} is supported");
            return Err(HubertError::Invalid { path: front_end, message });
        }
        let weights = Weights::open(path)?;
        let wrong = |message| HubertError::Invalid { path: weights.path().into(), message };
        weights.warrant(config.weights(), 2.0, 1e6).map_err(wrong)?;
        let model = config.init(&Init::new(Key::new(0), device));
        let (model, report) = load(&weights, &NAMES, model, &[], |name| NAMES.meaning(name))?;
        report.strict(&["extractor", "norm", "projection", "positional", "encoder"], weights.path())?;
        Ok(Self { path: path.into(), config, model, normalize: do_normalize })
    }

    /// The output of layer `layer` (from 1) for samples at [`RATE`], `[frames, width]`, 50 frames a second for the published
    /// models.
    ///
    /// # Errors
    /// No such layer; a recording shorter than a frame.
    pub fn hidden_states(&self, samples: &[f32], layer: usize) -> Result<Frames, HubertError> {
        let layers = self.config.num_hidden_layers;
        if !(1..=layers).contains(&layer) {
            return Err(HubertError::Layer { layer, layers });
        }
        if self.config.extractor().frames(samples.len()) == 0 {
            return Err(HubertError::Short { samples: samples.len() });
        }
        let samples = if self.normalize { standardise(samples, EPSILON) } else { samples.to_vec() };
        let device = self.model.projection.weight.val().device();
        let count = samples.len();
        let states = self.model.hidden_states(Tensor::from_data(TensorData::new(samples, [1, count]), &device), layer);
        let values = states.try_into_vec_as::<f32>().expect("states are floats");
        Ok(Frames::new(values, self.config.hidden_size))
    }
}
