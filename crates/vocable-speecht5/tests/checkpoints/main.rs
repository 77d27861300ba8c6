//! Published files in and out: what is reported, what is refused, and that nothing is lost on the way.

mod reading;
mod writing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use vocable_random::Key;
use vocable_speecht5::checkpoint::{Checkpoint, visit};
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeechT5};
use vocable_weights::{OwnedTensor, Weights, write_safetensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn device() -> Device {
    Device::flex()
}

/// A model of a checkpoint's sizes, before anything is loaded.
fn fresh(config: &ModelConfig, vocabulary: usize) -> SpeechT5 {
    config.init(vocabulary, 1, &Regularisation::none(), Key::new(3), &device())
}

/// All parameters, bit by bit.
fn parameters<M: Module>(module: &M) -> BTreeMap<String, Vec<u32>> {
    let mut parameters = BTreeMap::new();
    visit(module, |path, leaf| {
        parameters.insert(path.to_owned(), leaf.values().iter().map(|value| value.to_bits()).collect());
    });
    parameters
}

/// The tensors of a file, to be changed and written again.
fn tensors(path: &Path) -> BTreeMap<String, OwnedTensor> {
    let weights = Weights::open(path).unwrap();
    weights.tensors().map(|tensor| (tensor.name().to_owned(), tensor.into())).collect()
}

fn write(path: &Path, tensors: BTreeMap<String, OwnedTensor>) {
    write_safetensors(path, tensors.into_iter().collect(), Some(("format", "pt"))).unwrap();
}

/// The fairseq checkpoint of the reference, with the model that it holds.
fn official() -> (Checkpoint, ModelConfig, usize) {
    let checkpoint = Checkpoint::open(fixture("official/model.pt")).unwrap();
    let vocabulary = checkpoint.sizes().unwrap().vocabulary.unwrap();
    let config = checkpoint.config(Preset::Official).unwrap();
    (checkpoint, config, vocabulary)
}
