//! A folder of reference numbers: models in transformers' layout, inputs, and what they must give.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use vocable_audio::read;
use vocable_speecht5::SpeechT5;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::huggingface::ModelFolder;
use vocable_vocoder::Vocoder;
use vocable_weights::Weights;

/// The folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    cases: Value,
}

impl Folder {
    pub fn open(path: &Path) -> Self {
        let text = fs::read(path.join("cases.json")).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { path: path.to_owned(), cases: serde_json::from_slice(&text).expect("cases.json is JSON") }
    }

    /// Names of the cases of a kind, such as `asr_0`.
    pub fn cases(&self, kind: &str) -> Vec<String> {
        let cases = self.cases.as_object().expect("a table of cases");
        cases.keys().filter(|name| name.starts_with(&format!("{kind}_"))).cloned().collect()
    }

    pub fn case(&self, name: &str) -> &Value {
        &self.cases[name]
    }

    /// A model of the folder, every tensor of which is read and none is unknown.
    pub fn model(&self, name: &str) -> (ModelFolder, SpeechT5) {
        let folder = ModelFolder::open(self.path.join(name)).unwrap_or_else(|error| panic!("{error}"));
        let model = folder.load_strict(&device()).unwrap_or_else(|error| panic!("{error}"));
        (folder, model)
    }

    /// The vocoder of the folder.
    pub fn vocoder(&self) -> Vocoder {
        Vocoder::open(self.path.join("hifigan"), &device()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The recording of a case.
    pub fn audio(&self, name: &str) -> Vec<f32> {
        let audio = read(self.path.join(format!("{name}.wav"))).unwrap_or_else(|error| panic!("{error}"));
        audio.expect_rate(16_000).unwrap().samples
    }

    /// The speaker vector for a kind of cases: `[1, speaker]`.
    pub fn speaker(&self, kind: &str) -> Tensor<2> {
        let weights = Weights::open(self.path.join(format!("{kind}_speaker.safetensors"))).unwrap();
        let values = weights.tensors().next().expect("one tensor").to_f32().unwrap();
        let width = values.len();
        Tensor::from_data(TensorData::new(values, [1, width]), &device())
    }

    /// Expected tensors of a case.
    pub fn expected(&self, name: &str) -> Weights {
        Weights::open(self.path.join(format!("{name}.expected.safetensors"))).unwrap_or_else(|error| panic!("{error}"))
    }
}

pub fn device() -> Device {
    Device::flex()
}

/// One recording as a batch.
pub fn waveform(folder: &ModelFolder, samples: Vec<f32>) -> Waveforms {
    Waveforms::new(&[&folder.front_end.waveform(samples)], &device())
}

/// Numbers of a list.
pub fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

/// Whole numbers of a list.
pub fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|value| value.as_u64().expect("a whole number") as u32).collect()
}

/// Changes a case of `cases.json`.
pub fn alter_json(folder: &Path, case: &str, alter: impl FnOnce(&mut Value)) {
    let path = folder.join("cases.json");
    let mut cases: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    alter(&mut cases[case]);
    fs::write(&path, cases.to_string()).unwrap();
}
