//! Models under published names.

use std::borrow::Cow;
use std::path::Path;

use burn::module::Module;
use vocable_weights::{Dtype, OwnedTensor, View, write_safetensors};

use super::{Checkpoint, Format, Layout, LoadReport, part, visit};
use crate::{ModelConfig, ModelError};

/// A tensor as it is published; its values are made when they are written.
pub(crate) struct Published {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Box<dyn Fn() -> Vec<u8>>,
}

impl Published {
    /// A counter at zero, as a norm that nobody trained has it.
    fn counter() -> Self {
        Self { dtype: Dtype::I64, shape: Vec::new(), bytes: Box::new(|| vec![0; 8]) }
    }
}

impl View for Published {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned((self.bytes)())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// The parameters of a model for which `name` knows a name and its layout.
pub(crate) fn published<M: Module>(
    module: &M,
    config: &ModelConfig,
    name: impl Fn(&str) -> Option<(String, Layout)>,
) -> Vec<(String, Published)> {
    let mut tensors = Vec::new();
    visit(module, |path, leaf| {
        let Some((name, layout)) = name(path) else { return };
        let ours = leaf.shape();
        let shape = layout.published_shape(&ours, taps(path, config));
        let (values, theirs) = (leaf.later(), shape.clone());
        let bytes =
            move || layout.publish(values(), &ours, &theirs).iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name, Published { dtype: Dtype::F32, shape, bytes: Box::new(bytes) }));
    });
    let norms: Vec<String> =
        tensors.iter().filter_map(|(name, _)| Some(name.strip_suffix("running_var")?.into())).collect();
    tensors.extend(norms.iter().map(|norm| (format!("{norm}num_batches_tracked"), Published::counter())));
    tensors
}

/// Taps of the convolution at `path`.
fn taps(path: &str, config: &ModelConfig) -> usize {
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
    let mut tensors = published(module, config, |path| match absent.iter().any(|absent| absent == part(path)) {
        true => None,
        false => Format::HuggingFace.names(path).next(),
    });
    if let Some((checkpoint, report)) = source {
        for (name, tensor) in checkpoint.carried(report) {
            // The model's own tensor counts, except for counters, which it does not have.
            match tensors.iter().position(|(own, _)| *own == name) {
                Some(own) if tensors[own].1.dtype != Dtype::F32 => drop(tensors.swap_remove(own)),
                Some(_) => continue,
                None => {}
            }
            let OwnedTensor { dtype, shape, bytes } = tensor.into();
            tensors.push((name, Published { dtype, shape, bytes: Box::new(move || bytes.clone()) }));
        }
    }
    write(path, tensors)
}

pub(crate) fn write(path: &Path, tensors: Vec<(String, Published)>) -> Result<(), ModelError> {
    Ok(write_safetensors(path, tensors, Some(("format", "pt")))?)
}
