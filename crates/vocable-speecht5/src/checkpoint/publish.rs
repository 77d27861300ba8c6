//! Models under published names.

use std::path::Path;

use burn::module::Module;
use vocable_published::{Published, published};
use vocable_weights::{Dtype, View, write_safetensors};

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
    let absent: &[String] = source.map_or(&[], |(_, report)| report.absent.as_slice());
    let name = |path: &str| match absent.iter().any(|absent| absent == part(path)) {
        true => None,
        false => Format::HuggingFace.names(path).next(),
    };
    let mut tensors = published(module, name, |path| taps(path, config));
    if let Some((checkpoint, report)) = source {
        for (name, tensor) in checkpoint.carried(report) {
            // The model's own tensor counts, except for counters, which it does not have.
            match tensors.iter().position(|(own, _)| *own == name) {
                Some(own) if tensors[own].1.dtype() != Dtype::F32 => drop(tensors.swap_remove(own)),
                Some(_) => continue,
                None => {}
            }
            tensors.push((name, tensor.into()));
        }
    }
    write(path, tensors)
}

pub(crate) fn write(path: &Path, tensors: Vec<(String, Published)>) -> Result<(), ModelError> {
    Ok(write_safetensors(path, tensors, Some(("format", "pt")))?)
}
