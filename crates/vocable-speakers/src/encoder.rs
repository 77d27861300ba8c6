//! A network with its front end, and its files: SpeechBrain's.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use vocable_audio::{Fbank, Frames};
use vocable_data::files::write_atomically;
use vocable_nn::{Init, Mode};
use vocable_published::{Layout, Names, load, published};
use vocable_random::Key;
use vocable_weights::{Weights, read_settings, write_pytorch};

use crate::{SpeakerError, Tdnn, XVector, XVectorConfig};

/// Samples per second of what the networks hear.
pub const RATE: u32 = 16_000;

const WEIGHTS: &str = "embedding_model.ckpt";
const SETTINGS: &str = "hyperparams.yaml";
/// The line of the settings that no tensor tells.
const DILATIONS: &str = "tdnn_dilations:";

/// SpeechBrain's names. Its blocks are a convolution, a rectifier and a norm each; the pooling is the last but one.
static NAMES: Names = {
    use Layout::{Conv, Flat, Linear};
    Names {
        rows: &[
            ("blocks.0.conv", "blocks.0.conv", Conv),
            ("blocks.0.norm", "blocks.2.norm", Flat),
            ("blocks.1.conv", "blocks.3.conv", Conv),
            ("blocks.1.norm", "blocks.5.norm", Flat),
            ("blocks.2.conv", "blocks.6.conv", Conv),
            ("blocks.2.norm", "blocks.8.norm", Flat),
            ("blocks.3.conv", "blocks.9.conv", Conv),
            ("blocks.3.norm", "blocks.11.norm", Flat),
            ("blocks.4.conv", "blocks.12.conv", Conv),
            ("blocks.4.norm", "blocks.14.norm", Flat),
            ("output", "blocks.16.w", Linear),
        ],
        constants: &["num_batches_tracked"],
        wrapper: None,
    }
};

/// The features of samples at [`RATE`]: filter-bank energies less their means over the recording, `[frames, bands]`.
pub fn features(fbank: &Fbank, samples: &[f32]) -> Frames {
    let mut frames = fbank.fbank(samples);
    let (count, width) = (frames.len() as f64, frames.width);
    let mut means = vec![0.0; width];
    frames
        .rows()
        .for_each(|row| means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / count));
    let centred = |row: &mut [f32]| row.iter_mut().zip(&means).for_each(|(value, mean)| *value -= *mean as f32);
    frames.data.chunks_exact_mut(width).for_each(centred);
    frames
}

/// A network that turns recordings into speaker vectors.
pub struct SpeakerEncoder {
    /// Where it was read from.
    pub path: PathBuf,
    /// Sizes.
    pub config: XVectorConfig,
    /// The network.
    pub model: XVector,
    fbank: Fbank,
}

impl SpeakerEncoder {
    /// A network as it is after training; `path` is where it comes from.
    pub fn new(path: impl Into<PathBuf>, config: XVectorConfig, model: XVector) -> Self {
        let fbank = Fbank::new(RATE, config.bands);
        Self { path: path.into(), config, model, fbank }
    }

    /// Opens a folder of SpeechBrain's, such as `spkrec-xvect-voxceleb`, or one that [`save`](Self::save) wrote:
    /// `embedding_model.ckpt`, and `hyperparams.yaml`, of which `tdnn_dilations` is read; all else is in the tensors.
    /// Dilations are the published model's where there is no such file.
    ///
    /// # Errors
    /// A file that is missing or damaged, a network of another kind, tensors that do not belong together.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self, SpeakerError> {
        let path = path.as_ref();
        let weights = Weights::open(path.join(WEIGHTS))?;
        let settings = path.join(SETTINGS);
        let dilations = match settings.exists() {
            true => dilations(&settings)?,
            false => XVectorConfig::official().layers.map(|layer| layer.dilation),
        };
        let wrong = |message| SpeakerError::Invalid { path: weights.path().into(), message };
        let config = seen(&weights, dilations).map_err(wrong)?;
        let model = config.init(&Init::new(Key::new(0), device));
        let (model, report) = load(&weights, &NAMES, model, &[], |name| NAMES.meaning(name))?;
        report.strict(&["blocks", "output"], weights.path())?;
        Ok(Self::new(path, config, model))
    }

    /// Writes a folder as [`open`](Self::open) reads it. SpeechBrain's `Xvector` takes the weights as they are.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), SpeakerError> {
        let failed = |error: std::io::Error| SpeakerError::Invalid { path: folder.into(), message: error.to_string() };
        fs::create_dir_all(folder).map_err(failed)?;
        let taps = |path: &str| {
            let number = path.split('.').nth(1).and_then(|number| number.parse::<usize>().ok());
            number.and_then(|number| self.config.layers.get(number)).map_or(1, |layer| layer.kernel)
        };
        let tensors = published(&self.model, |path| NAMES.names(path).next(), taps);
        write_pytorch(&folder.join(WEIGHTS), None, &tensors)?;
        let settings = self.settings();
        Ok(write_atomically(&folder.join(SETTINGS), |out| out.write_all(settings.as_bytes()))?)
    }

    /// The sizes as SpeechBrain's settings, without its classifier.
    fn settings(&self) -> String {
        let XVectorConfig { bands, layers, width } = &self.config;
        let [channels, kernels, dilations] =
            [layers.map(|l| l.channels), layers.map(|l| l.kernel), layers.map(|l| l.dilation)];
        format!(
            "n_mels: {bands}

compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>

mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False

embedding_model: !new:speechbrain.lobes.models.Xvector.Xvector
    in_channels: !ref <n_mels>
    activation: !name:torch.nn.LeakyReLU
    tdnn_blocks: {}
    tdnn_channels: {channels:?}
    tdnn_kernel_sizes: {kernels:?}
    {DILATIONS} {dilations:?}
    lin_neurons: {width}
",
            layers.len()
        )
    }

    /// The speaker vector of samples at [`RATE`], `[width]`, of any length; see [`unit`](crate::unit).
    ///
    /// # Errors
    /// [`SpeakerError::Short`].
    pub fn embed(&self, samples: &[f32]) -> Result<Vec<f32>, SpeakerError> {
        let least = self.least_samples();
        if samples.len() < least {
            return Err(SpeakerError::Short { samples: samples.len(), least });
        }
        let Frames { data, width } = features(&self.fbank, samples);
        let device = self.model.output.weight.val().device();
        let features = Tensor::from_data(TensorData::new(data, [1, self.fbank.frames(samples.len()), width]), &device);
        let vector = self.model.forward(features, Mode::Eval);
        Ok(vector.try_into_vec_as::<f32>().expect("vectors are floats"))
    }

    /// Samples that a recording must have.
    pub fn least_samples(&self) -> usize {
        (1..).find(|&samples| self.fbank.frames(samples) >= self.config.least_frames()).expect("frames follow samples")
    }
}

impl std::fmt::Debug for SpeakerEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, config, model, .. } = self;
        f.debug_struct("SpeakerEncoder").field("path", path).field("config", config).field("model", model).finish()
    }
}

/// The dilations that the settings name, which are YAML of SpeechBrain's own kind.
fn dilations(path: &Path) -> Result<[usize; 5], SpeakerError> {
    let wrong = |message: String| SpeakerError::Invalid { path: path.into(), message };
    let text = read_settings(path)?;
    let list = text.lines().find_map(|line| line.trim().strip_prefix(DILATIONS));
    let list = list.ok_or_else(|| wrong(format!("it has no line `{DILATIONS}`; an x-vector model is expected")))?;
    let list = list.split_once('#').map_or(list, |(list, _)| list).trim();
    serde_json::from_str(list)
        .map_err(|_| wrong(format!("{DILATIONS} {list}, where a list of five numbers is expected")))
}

/// The sizes that the tensors tell.
fn seen(weights: &Weights, dilations: [usize; 5]) -> Result<XVectorConfig, String> {
    let shape = |name: String| match weights.get(&name) {
        Some(tensor) => Ok(tensor.shape().to_vec()),
        None => Err(format!("it has no {name}; the weights of an x-vector model are expected")),
    };
    let mut layers = [Tdnn { channels: 0, kernel: 0, dilation: 0 }; 5];
    let mut bands = 0;
    for (n, (layer, dilation)) in layers.iter_mut().zip(dilations).enumerate() {
        let name = format!("blocks.{}.conv.weight", 3 * n);
        match shape(name.clone())?[..] {
            [channels, input, kernel] => {
                *layer = Tdnn { channels, kernel, dilation };
                bands = if n == 0 { input } else { bands };
            }
            ref other => return Err(format!("{name} has the shape {other:?}, which is no convolution's")),
        }
    }
    let width = shape("blocks.16.w.weight".into())?.first().copied().unwrap_or(0);
    let config = XVectorConfig { bands, layers, width };
    config.check()?;
    Ok(config)
}
