//! Language models on disk: folders of this project, and fairseq's `transformer_lm`.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Serialize;
use serde_json::Value;
use vocable_data::files::write_atomically;
use vocable_nn::NormPlacement;
use vocable_published::{Layout, Names, load, published};
use vocable_random::Key;
use vocable_weights::{Weights, read_json, write_safetensors};

use crate::{Dictionary, LmConfig, LmError, TransformerLm};

const CONFIG: &str = "config.json";
const VOCABULARY: &str = "vocabulary.json";
const WEIGHTS: &str = "model.safetensors";
/// fairseq's dictionary, beside its checkpoint.
const DICTIONARY: &str = "dict.txt";

/// The names of the weights in both: fairseq's.
static NAMES: Names = {
    use Layout::{Flat, Linear};
    Names {
        rows: &[
            ("embedding.weight", "decoder.embed_tokens.weight", Flat),
            ("stack.layers.*.attention.query", "decoder.layers.*.self_attn.q_proj", Linear),
            ("stack.layers.*.attention.key", "decoder.layers.*.self_attn.k_proj", Linear),
            ("stack.layers.*.attention.value", "decoder.layers.*.self_attn.v_proj", Linear),
            ("stack.layers.*.attention.output", "decoder.layers.*.self_attn.out_proj", Linear),
            ("stack.layers.*.attention_norm", "decoder.layers.*.self_attn_layer_norm", Flat),
            ("stack.layers.*.feed_forward.inner", "decoder.layers.*.fc1", Linear),
            ("stack.layers.*.feed_forward.outer", "decoder.layers.*.fc2", Linear),
            ("stack.layers.*.feed_forward_norm", "decoder.layers.*.final_layer_norm", Flat),
            ("stack.norm", "decoder.layer_norm", Flat),
            ("output.weight", "decoder.output_projection.weight", Flat),
            ("output.weight", "decoder.embed_out", Flat),
        ],
        constants: &["decoder.version", "embed_positions._float_tensor", "embed_positions.weights"],
        wrapper: None,
    }
};

/// A language model with its tokens.
#[derive(Debug)]
pub struct LanguageModel {
    /// Where it was read from.
    pub path: PathBuf,
    /// Sizes and switches; of fairseq's files without dropout.
    pub config: LmConfig,
    /// Its tokens.
    pub dictionary: Dictionary,
    /// The model.
    pub model: TransformerLm,
}

impl LanguageModel {
    /// Opens a folder that [`save`](Self::save) wrote, or a checkpoint of fairseq's `transformer_lm` beside its
    /// `dict.txt`.
    ///
    /// Sizes of the latter are those of the tensors. What no tensor tells (heads, scaled embeddings, the activation) is
    /// read from the arguments that fairseq keeps with them, and is as in [`LmConfig::official`] where it keeps none.
    ///
    /// # Errors
    /// A file that is missing or damaged; a model of another kind; tensors that are missing, of another shape or unknown;
    /// a vocabulary of another size than the embedding.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self, LmError> {
        let path = path.as_ref();
        let (config, dictionary, weights) = match path.is_dir() {
            true => {
                let config: LmConfig = read_json(path.join(CONFIG))?;
                let wrong = |message| LmError::Invalid { path: path.join(CONFIG), message };
                config.check().map_err(wrong)?;
                (config, read_json(path.join(VOCABULARY))?, Weights::open(path.join(WEIGHTS))?)
            }
            false => {
                let weights = Weights::open(path)?;
                let wrong = |message| LmError::Invalid { path: path.into(), message };
                let config = seen(&weights).map_err(wrong)?;
                (config, Dictionary::read(&path.with_file_name(DICTIONARY))?, weights)
            }
        };
        let wrong = |message: String| LmError::Invalid { path: weights.path().into(), message };
        weights.warrant(config.weights(dictionary.len()), 2.0, 1e6).map_err(wrong)?;
        if let Some(rows) = rows(&weights).filter(|rows| *rows != dictionary.len()) {
            let message = format!("its embedding has {rows} rows, but its vocabulary {} tokens", dictionary.len());
            return Err(wrong(message));
        }
        let model = config.init(dictionary.len(), dictionary.pad(), Key::new(0), device);
        let (model, report) = load(&weights, &NAMES, model, &[], |name| NAMES.meaning(name))?;
        report.strict(&["embedding", "stack", "output"], weights.path())?;
        Ok(Self { path: path.into(), config, dictionary, model })
    }

    /// Writes a folder: `config.json`, `vocabulary.json`, and `model.safetensors` with fairseq's names.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), LmError> {
        let failed = |error: std::io::Error| LmError::Invalid { path: folder.into(), message: error.to_string() };
        fs::create_dir_all(folder).map_err(failed)?;
        let tensors = published(&self.model, |path| NAMES.names(path).next(), |_| 1);
        write_safetensors(&folder.join(WEIGHTS), tensors, Some(("format", "pt")))?;
        write_json(&folder.join(VOCABULARY), &self.dictionary)?;
        // Last: a folder without it is no model's.
        write_json(&folder.join(CONFIG), &self.config)
    }
}

/// Rows of the embedding.
fn rows(weights: &Weights) -> Option<usize> {
    weights.get("decoder.embed_tokens.weight")?.shape().first().copied()
}

/// The configuration that fairseq's tensors and arguments tell.
fn seen(weights: &Weights) -> Result<LmConfig, String> {
    let official = LmConfig::official();
    let matrix = |name: &str| match weights.get(name).map(|tensor| tensor.shape()) {
        Some(&[rows, columns]) => Ok([rows, columns]),
        Some(shape) => Err(format!("{name} has shape {shape:?}, where 2 dimensions are expected")),
        None => Err(format!("{name} is missing, so it is no `transformer_lm` of fairseq")),
    };
    let [_, width] = matrix("decoder.embed_tokens.weight")?;
    let [feed_forward, _] = matrix("decoder.layers.0.fc1.weight")?;
    let has = |name: &str| weights.get(name).is_some();
    let copied = |name: &str| {
        let bytes = |name: &str| weights.get(name).map(|tensor| tensor.bytes());
        bytes(name).is_none_or(|copy| Some(copy) == bytes("decoder.embed_tokens.weight"))
    };
    let tied = copied("decoder.output_projection.weight") && copied("decoder.embed_out");
    if let Some(activation) = weights.setting("activation_fn").filter(|name| name != "gelu") {
        return Err(format!("activation_fn is {activation}, where \"gelu\" is read"));
    }
    let heads = weights.setting("decoder_attention_heads").as_ref().and_then(Value::as_u64);
    let unscaled = weights.setting("no_scale_embedding").as_ref().and_then(Value::as_bool);
    let config = LmConfig {
        layers: (0..).take_while(|n| has(&format!("decoder.layers.{n}.fc1.weight"))).count(),
        width,
        feed_forward,
        heads: heads.and_then(|heads| usize::try_from(heads).ok()).unwrap_or(official.heads),
        norm: if has("decoder.layer_norm.weight") { NormPlacement::Pre } else { NormPlacement::Post },
        tied,
        scale_embedding: !unscaled.unwrap_or(false),
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        ..official
    };
    config.check()?;
    Ok(config)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LmError> {
    let text = serde_json::to_string_pretty(value).expect("plain numbers and words");
    Ok(write_atomically(path, |out| std::io::Write::write_all(out, format!("{text}\n").as_bytes()))?)
}
