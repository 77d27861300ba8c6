//! A folder of reference numbers: configuration, weights, and per case a JSON and a safetensors file.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use vocable_nets::Tokens;
use vocable_nn::{ExtractorNorm, NormPlacement};
use vocable_objectives::quantizer::QuantizerConfig;
use vocable_random::Key;
use vocable_speecht5::batch::SpeechTarget;
use vocable_speecht5::fairseq::{self, Loaded};
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeechT5};

use super::report::Report;

/// Values of one tensor.
#[derive(Clone, Debug)]
pub struct Values {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// All tensors of a file, as float32.
#[derive(Debug)]
pub struct File(HashMap<String, Values>);

/// The folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    pub config: Value,
    weights: File,
}

/// A case of the folder.
#[derive(Debug)]
pub struct Case {
    pub numbers: Value,
    pub tensors: File,
}

impl File {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let values = file.tensors().into_iter().map(|(name, view)| {
            let data = match view.dtype() {
                Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
                Dtype::I64 => {
                    view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect()
                }
                Dtype::U8 => view.data().iter().map(|&b| f32::from(b)).collect(),
                other => panic!("{name} has type {other:?}"),
            };
            (name, Values { shape: view.shape().to_vec(), data })
        });
        Self(values.collect())
    }

    pub fn get(&self, name: &str) -> Option<&Values> {
        self.0.get(name)
    }

    pub fn values(&self, name: &str) -> &Values {
        self.get(name).unwrap_or_else(|| panic!("the reference has no {name}"))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn float<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let Values { shape, data } = self.values(name);
        Tensor::from_data(TensorData::new(data.clone(), shape.clone()), device)
    }

    pub fn mask(&self, name: &str, device: &Device) -> Tensor<2, Bool> {
        let Values { shape, data } = self.values(name);
        let mask: Vec<bool> = data.iter().map(|&value| value != 0.0).collect();
        Tensor::from_data(TensorData::new(mask, shape.clone()), device)
    }

    pub fn mask_rows(&self, name: &str) -> Vec<Vec<bool>> {
        self.rows(name).into_iter().map(|row| row.into_iter().map(|value| value != 0).collect()).collect()
    }

    /// A matrix of whole numbers.
    pub fn rows(&self, name: &str) -> Vec<Vec<u32>> {
        let Values { shape, data } = self.values(name);
        data.chunks(shape[1]).map(|row| row.iter().map(|&value| value as u32).collect()).collect()
    }

    /// A vector of whole numbers.
    pub fn numbers(&self, name: &str) -> Vec<usize> {
        self.values(name).data.iter().map(|&value| value as usize).collect()
    }

    /// Rows without the padding (id 1) at their ends.
    pub fn unpadded(&self, name: &str) -> Vec<Vec<u32>> {
        let trim = |mut row: Vec<u32>| {
            while row.last() == Some(&1) {
                row.pop();
            }
            row
        };
        self.rows(name).into_iter().map(trim).collect()
    }

    pub fn tokens(&self, name: &str, device: &Device) -> Tokens {
        let Values { shape, data } = self.values(name);
        let ids: Vec<i64> = data.iter().map(|&id| id as i64).collect();
        Tokens {
            ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape.clone()), device),
            lengths: self.unpadded(name).iter().map(Vec::len).collect(),
        }
    }

    /// The speech that a decoder must produce: frames and labels cut to whole steps, the last kept label forced to 1.
    pub fn speech_target(&self, reduction: usize, device: &Device) -> SpeechTarget {
        let full = self.numbers("in.dec_target_lengths");
        let lengths: Vec<usize> = full.iter().map(|frames| frames / reduction * reduction).collect();
        let longest = *lengths.iter().max().unwrap();
        let labels = self.values("in.labels");
        let mut stop: Vec<f32> =
            labels.data.chunks(labels.shape[1]).flat_map(|row| row[..longest].iter().copied()).collect();
        for (item, length) in lengths.iter().enumerate() {
            stop[item * longest + length - 1] = 1.0;
        }
        SpeechTarget {
            frames: self.float::<3>("in.dec_target", device).narrow(1, 0, longest),
            input: self.float("in.prev_output_tokens", device),
            steps: lengths.iter().map(|frames| frames / reduction).collect(),
            stop: Tensor::from_data(TensorData::new(stop, [lengths.len(), longest]), device),
            speaker: self.float("in.spkembs", device),
            lengths,
        }
    }
}

impl Folder {
    pub fn open(path: &Path) -> Self {
        let read =
            |name: &str| fs::read(path.join(name)).unwrap_or_else(|e| panic!("{}: {e}", path.join(name).display()));
        Self {
            config: serde_json::from_slice(&read("config.json")).expect("config.json is JSON"),
            weights: File::read(&path.join("model.safetensors")),
            path: path.to_owned(),
        }
    }

    pub fn case(&self, name: &str) -> Case {
        let json = fs::read(self.path.join(format!("{name}.json"))).expect("the case has its JSON");
        Case {
            numbers: serde_json::from_slice(&json).expect("the case is JSON"),
            tensors: File::read(&self.path.join(format!("{name}.safetensors"))),
        }
    }

    pub fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap_or_else(|| panic!("config.json has no {key}")) as usize
    }

    pub fn argument(&self, key: &str) -> &Value {
        &self.config["args"][key]
    }

    /// The model configuration of preset `official` at the folder's sizes, without any dropout.
    pub fn model(&self) -> ModelConfig {
        let number = |key: &str| self.argument(key).as_u64().expect("a whole number") as usize;
        ModelConfig {
            width: self.size("d"),
            feed_forward: self.size("ffn"),
            heads: self.size("heads"),
            encoder_layers: self.size("enc"),
            decoder_layers: self.size("dec"),
            norm: match self.argument("encoder_normalize_before").as_bool() {
                Some(true) => NormPlacement::Pre,
                _ => NormPlacement::Post,
            },
            encoder_relative_position: Some(self.size("max_rel")),
            extractor_channels: self.size("conv"),
            extractor_norm: match self.argument("extractor_mode").as_str() {
                Some("layer_norm") => ExtractorNorm::EveryBlock,
                _ => ExtractorNorm::FirstBlock,
            },
            positional_kernel: number("conv_pos"),
            positional_groups: number("conv_pos_groups"),
            prenet_units: self.size("units"),
            prenet_dropout: 0.0,
            positional_dropout: 0.0,
            postnet_channels: self.size("post"),
            postnet_layers: number("postnet_layers"),
            postnet_dropout: 0.0,
            reduction: self.size("reduction_factor"),
            speaker: self.size("spk"),
            ..ModelConfig::base(Preset::Official)
        }
    }

    pub fn quantizer(&self) -> QuantizerConfig {
        let number = |key: &str| self.argument(key).as_u64().expect("a whole number") as usize;
        QuantizerConfig { groups: number("latent_groups"), codes: number("latent_vars"), ..QuantizerConfig::official() }
    }

    /// A core with the folder's weights.
    pub fn core(&self, extractor_gradient: f64) -> SpeechT5 {
        let regularisation = Regularisation { extractor_gradient, ..Regularisation::none() };
        let core = self.model().init(self.size("V"), 1, &regularisation, Key::new(0), &device());
        self.fill(core)
    }

    /// Fills any module with the folder's weights; nothing may be missing.
    pub fn fill<M: Module>(&self, module: M) -> M {
        let (module, loaded) = self.fill_from(module, None);
        assert_eq!(loaded, Loaded::default());
        module
    }

    /// The same, with tensors of a case under `weight.` before the folder's.
    pub fn fill_from<M: Module>(&self, module: M, case: Option<&Case>) -> (M, Loaded) {
        fairseq::load(module, |name| {
            let own = case.and_then(|case| case.tensors.get(&format!("weight.{name}")));
            let values = own.or_else(|| self.weights.get(name))?;
            Some(TensorData::new(values.data.clone(), values.shape.clone()))
        })
    }
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

/// Adds `error` to one value of a tensor of a file.
pub fn alter(path: &Path, name: &str, error: f32) {
    let mut bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
    let old = f32::from_le_bytes(view.data()[..4].try_into().unwrap());
    bytes[offset..offset + 4].copy_from_slice(&(old + error).to_le_bytes());
    fs::write(path, bytes).unwrap();
}

impl Case {
    pub fn number(&self, name: &str) -> f64 {
        self.numbers[name].as_f64().unwrap_or_else(|| panic!("the reference has no number {name}"))
    }

    /// Compares a state with `<prefix><name>`; training tensors that equal those of evaluation are not stored twice.
    pub fn state<const D: usize>(&self, report: &mut Report, prefix: &str, name: &str, ours: &Tensor<D>) {
        let stored = self.tensors.get(&format!("{prefix}out.{name}"));
        let theirs = stored.or_else(|| self.tensors.get(&format!("out.{name}")));
        let theirs = theirs.unwrap_or_else(|| panic!("the reference has no out.{name}"));
        let ours = ours.clone().try_into_vec_as::<f32>().expect("states are floats");
        report.close(&format!("{prefix}out.{name}"), &ours, &theirs.data);
    }

    /// Compares every gradient that the case holds, and the norms of all.
    pub fn gradients<M: Module>(&self, report: &mut Report, prefix: &str, module: &M, loss: Tensor<1>) {
        let gradients = loss.backward();
        let norms = self.numbers[format!("{prefix}grad_norms")].as_object().expect("norms of all gradients");
        let total = self.number(&format!("{prefix}grad_total_norm"));
        let mut compared = 0;
        let mut seen = 0;
        fairseq::visit(module, |path, leaf| {
            let Some((name, layout)) = fairseq::counterpart(path) else { return };
            let ours = leaf.gradient(&gradients);
            if let Some(theirs) = norms.get(&name) {
                seen += 1;
                let norm = ours.as_ref().map(|v| v.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt());
                report.gradient_norm(&format!("{prefix}{name}"), norm, theirs.as_f64(), total);
            }
            if let Some(theirs) = self.tensors.get(&format!("{prefix}grad.{name}")) {
                compared += 1;
                let ours = ours.unwrap_or_else(|| vec![0.0; theirs.data.len()]);
                let ours = fairseq::export(ours, layout, &leaf.shape(), &theirs.shape);
                report.gradient(&format!("{prefix}grad.{name}"), &ours, &theirs.data, total);
            }
        });
        let stored = self.tensors.names().filter(|name| name.starts_with(&format!("{prefix}grad."))).count();
        assert_eq!(compared, stored, "gradients of the reference that no parameter of ours answers to");
        assert!(seen > 10, "only {seen} norms were compared");
    }

    /// Compares running statistics after one training pass.
    pub fn buffers<M: Module>(&self, report: &mut Report, module: &M) {
        fairseq::visit(module, |path, leaf| {
            let Some((name, _)) = fairseq::counterpart(path) else { return };
            if let Some(theirs) = self.tensors.get(&format!("train.out.buffer.{name}")) {
                report.close(&name, &leaf.values(), &theirs.data);
            }
        });
    }
}
