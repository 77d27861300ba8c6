//! A folder of reference numbers: configuration, weights, and per case a JSON and a safetensors file.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use vocable_decode::{SpeechLimits, generate_speech};
use vocable_nets::{SpeechOutput, Tokens};
use vocable_nn::{ExtractorNorm, Mode, NormPlacement};
use vocable_objectives::Losses;
use vocable_objectives::quantizer::QuantizerConfig;
use vocable_random::Key;
use vocable_speecht5::batch::SpeechTarget;
use vocable_speecht5::checkpoint::{Checkpoint, Format, Layout, LoadReport, visit};
use vocable_speecht5::decode::SpeechDecoding;
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeechT5};
use vocable_weights::{OwnedTensor, write_safetensors};

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
    weights: Checkpoint,
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

    /// Writes one tensor to a file of its own, under another name.
    pub fn save(&self, name: &str, new: &str, path: &Path) {
        let Values { shape, data } = self.values(name);
        let tensor = OwnedTensor::f32(shape.clone(), data);
        write_safetensors(path, vec![(new.to_owned(), tensor)], None).unwrap();
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
            guide: None,
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
            weights: Checkpoint::open(path.join("model.pt")).unwrap_or_else(|error| panic!("{error}")),
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

    /// The model configuration of preset `official` at the folder's sizes, without any dropout. The tensors tell it, and
    /// config.json says the same.
    pub fn model(&self) -> ModelConfig {
        let number = |key: &str| self.argument(key).as_u64().expect("a whole number") as usize;
        let config = ModelConfig {
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
            postnet_channels: self.size("post"),
            postnet_layers: number("postnet_layers"),
            reduction: self.size("reduction_factor"),
            speaker: self.size("spk"),
            ..ModelConfig::base(Preset::Official)
        };
        assert_eq!(self.weights.config(Preset::Official).unwrap(), config);
        ModelConfig { prenet_dropout: 0.0, positional_dropout: 0.0, postnet_dropout: 0.0, ..config }
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

    /// Fills any module with the folder's weights; nothing may be missing or unknown.
    pub fn fill<M: Module>(&self, module: M) -> M {
        let (module, report) = self.weights.load(module).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(LoadReport { left_out: Vec::new(), ..report }, LoadReport::default());
        module
    }
}

/// The name and layout of a parameter in the official code.
fn counterpart(path: &str) -> Option<(String, Layout)> {
    Format::Fairseq.names(path).next()
}

pub fn device() -> Device {
    Device::flex().autodiff()
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

    /// Compares what a task that ends in speech computes: states in evaluation, every term of the loss.
    pub fn speech(
        &self,
        report: &mut Report,
        prefix: &str,
        task: &str,
        losses: &Losses,
        states: &Tensor<3>,
        output: &SpeechOutput,
    ) {
        if prefix.is_empty() {
            self.state(report, prefix, "decoder_out", states);
            self.state(report, prefix, "mel_before", &output.before);
            self.state(report, prefix, "mel_after", &output.after);
            self.state(report, prefix, "stop_logits", &output.stop);
        }
        for (ours, theirs) in [
            ("spectrogram_before", "l1_before"),
            ("spectrogram_after", "l1_after"),
            ("stop", "log.bce_loss"),
            ("guided_attention", "log.enc_dec_attn_loss"),
        ] {
            let value = losses.get(&format!("{task}/{ours}")).unwrap_or_else(|| panic!("{ours} is not reported"));
            let theirs = format!("{prefix}{theirs}");
            report.number(&theirs, value, self.number(&theirs));
        }
        let loss = f64::from(losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, self.number(&format!("{prefix}loss_per_sample_size")));
    }

    /// Speaks over a memory (`[1, time, width]`) without dropout, the stop bias moved by `shift`, and compares the frames
    /// and stop probabilities with those under `name`.
    pub fn generation(
        &self,
        report: &mut Report,
        name: &str,
        mut core: SpeechT5,
        memory: &Tensor<3>,
        shift: f64,
        limits: &SpeechLimits,
    ) {
        let stop = &mut core.speech_decoder_postnet.stop;
        stop.bias = stop.bias.take().map(|bias| bias.map(|bias| bias + shift));
        let speaker = self.tensors.float("gen.in.spkembs", &device());
        let lengths = [memory.dims()[1]];
        let mel = self.tensors.values(&format!("{name}.mel")).shape[1];
        let mut stepper = SpeechDecoding::new(&core, memory, &lengths, speaker, None);
        let spoken = generate_speech(&mut stepper, &lengths, mel, limits, &device()).remove(0);
        let refined = core.speech_decoder_postnet.refine(spoken.mel.unsqueeze(), Mode::Eval);
        let refined = refined.try_into_vec_as::<f32>().expect("log-mels are floats");
        report.close(&format!("{name}.mel"), &refined, &self.tensors.values(&format!("{name}.mel")).data);
        report.close(&format!("{name}.stop"), &spoken.stop, &self.tensors.values(&format!("{name}.stop_probs")).data);
    }

    /// Compares every gradient that the case holds, and the norms of all.
    pub fn gradients<M: Module>(&self, report: &mut Report, prefix: &str, module: &M, loss: Tensor<1>) {
        let gradients = loss.backward();
        let norms = self.numbers[format!("{prefix}grad_norms")].as_object().expect("norms of all gradients");
        let total = self.number(&format!("{prefix}grad_total_norm"));
        let mut compared = 0;
        let mut seen = 0;
        visit(module, |path, leaf| {
            let Some((name, layout)) = counterpart(path) else { return };
            let ours = leaf.gradient(&gradients);
            if let Some(theirs) = norms.get(&name) {
                seen += 1;
                let norm = ours.as_ref().map(|v| v.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt());
                report.gradient_norm(&format!("{prefix}{name}"), norm, theirs.as_f64(), total);
            }
            if let Some(theirs) = self.tensors.get(&format!("{prefix}grad.{name}")) {
                compared += 1;
                let ours = ours.unwrap_or_else(|| vec![0.0; theirs.data.len()]);
                let ours = layout.publish(ours, &leaf.shape(), &theirs.shape);
                report.gradient(&format!("{prefix}grad.{name}"), &ours, &theirs.data, total);
            }
        });
        let stored = self.tensors.names().filter(|name| name.starts_with(&format!("{prefix}grad."))).count();
        assert_eq!(compared, stored, "gradients of the reference that no parameter of ours answers to");
        assert!(seen > 10, "only {seen} norms were compared");
    }

    /// Compares running statistics after one training pass, all that the reference has of them.
    pub fn buffers<M: Module>(&self, report: &mut Report, module: &M) {
        let (prefix, mut compared) = ("train.out.buffer.", 0);
        visit(module, |path, leaf| {
            let Some((name, _)) = counterpart(path) else { return };
            if let Some(theirs) = self.tensors.get(&format!("{prefix}{name}")) {
                report.close(&name, &leaf.values(), &theirs.data);
                compared += 1;
            }
        });
        let stored = self.tensors.names().filter(|name| name.starts_with(prefix)).count();
        assert!(stored > 0 && compared == stored, "{compared} of the reference's {stored} statistics are ours");
    }
}
