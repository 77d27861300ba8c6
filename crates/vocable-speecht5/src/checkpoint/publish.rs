//! Models under published names.

use std::path::Path;

use burn::module::Module;
use vocable_published::{Published, published};
use vocable_weights::{Dtype, OwnedTensor, View, write_pytorch, write_safetensors};

use super::{Checkpoint, Format, LoadReport, part};
use crate::{ModelConfig, ModelError};

/// Taps of the convolution at `path`.
pub(crate) fn taps(path: &str, config: &ModelConfig) -> usize {
    let path = Format::HuggingFace.table().path(path);
    let block = |prefix| path.strip_prefix(prefix)?.strip_suffix(".weight")?.parse::<usize>().ok();
    match block("speech_encoder_prenet.extractor.blocks.") {
        Some(number) => config.extractor().layers[number].kernel,
        None => config.postnet_kernel(),
    }
}

/// Writes a whole model: transformers' names, and fairseq's behind `extra.` for what transformers does not have, so that
/// nothing is lost. What the checkpoint `source`, which the model was loaded from, holds beyond the model (a part that the
/// model lacks, norms that no base model uses) is written again; parts that it lacks, which nobody trained, are left out.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_extended<M: Module>(
    path: &Path,
    module: &M,
    config: &ModelConfig,
    source: Option<(&Checkpoint, &LoadReport)>,
) -> Result<(), ModelError> {
    write(path, whole(module, config, Format::HuggingFace, source))
}

/// Writes a whole model with the official code's names, as a file that `torch.load` reads: a dictionary of tensors, the text matrix
/// under its three names, as the value of `model`. `source` is what it is to [`write_extended`]. What the official model has but
/// never applies (norms and a table of relative positions) is written in any case, so that its `load_state_dict` misses nothing of
/// the parts that this model has; the options and the optimiser that fairseq's own programs expect beside `model` are not.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_fairseq<M: Module>(
    path: &Path,
    module: &M,
    config: &ModelConfig,
    source: Option<(&Checkpoint, &LoadReport)>,
) -> Result<(), ModelError> {
    let mut tensors = whole(module, config, Format::Fairseq, source);
    for (name, tensor) in never_applied(config) {
        if tensors.iter().all(|(own, _)| *own != name) {
            tensors.push((name, tensor.into()));
        }
    }
    Ok(write_pytorch(path, Some("model"), &tensors)?)
}

/// What the official model holds beyond this one, as it is before any training.
fn never_applied(config: &ModelConfig) -> Vec<(String, OwnedTensor)> {
    let head = config.width / config.heads;
    let filled = |name: String, shape: Vec<usize>, value: f32| {
        let values = vec![value; shape.iter().product()];
        (name, OwnedTensor::f32(shape, &values))
    };
    let mut tensors = Vec::new();
    for part in ["speech_encoder_prenet", "text_decoder_prenet"] {
        tensors.push(filled(format!("{part}.embed_positions._float_tensor"), vec![1], 0.0));
    }
    for part in ["encoder", "decoder"] {
        // Up to version 2 fairseq takes a stack of layers to end without a norm.
        tensors.push(filled(format!("{part}.version"), vec![1], 3.0));
    }
    let Some(reach) = config.encoder_relative_position else { return tensors };
    tensors.push(filled("decoder.pos_emb.pe_k.weight".into(), vec![2 * reach, head], 0.0));
    for (part, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        for layer in 0..layers {
            let norm = |field, value| filled(format!("{part}.layers.{layer}.norm_k.{field}"), vec![head], value);
            tensors.extend([norm("weight", 1.0), norm("bias", 0.0)]);
        }
    }
    tensors
}

/// The parameters of a model under the names of a format, and what its source holds beyond it.
fn whole<M: Module>(
    module: &M,
    config: &ModelConfig,
    format: Format,
    source: Option<(&Checkpoint, &LoadReport)>,
) -> Vec<(String, Published)> {
    let absent: &[String] = source.map_or(&[], |(_, report)| report.absent.as_slice());
    let names = |path: &str| {
        if absent.iter().any(|absent| absent == part(path)) {
            return Vec::new();
        }
        let names = format.names(path);
        match format {
            // Copies are tied as they are read.
            Format::HuggingFace => names.take(1).collect(),
            Format::Fairseq => names.collect(),
        }
    };
    let mut tensors = published(module, names, |path| taps(path, config));
    if let Some((checkpoint, report)) = source {
        for (name, tensor) in checkpoint.carried(report, format) {
            // The model's own tensor counts, except for counters, which it does not have.
            match tensors.iter().position(|(own, _)| *own == name) {
                Some(own) if tensors[own].1.dtype() != Dtype::F32 => drop(tensors.swap_remove(own)),
                Some(_) => continue,
                None => {}
            }
            tensors.push((name, tensor.into()));
        }
    }
    tensors
}

pub(crate) fn write(path: &Path, tensors: Vec<(String, Published)>) -> Result<(), ModelError> {
    Ok(write_safetensors(path, tensors, Some(("format", "pt")))?)
}
