//! HiFi-GAN (Kong, Kim and Bae 2020).

use burn::tensor::{Device, Tensor};
use vocable_kernels::{leaky_relu, tanh};
use vocable_weights::Weights;

use crate::VocoderError;
use crate::layers::{Conv, Reader, Upsampling};

/// What the tensors of a [`HifiGan`] do not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct HifiGanConfig {
    /// How many steps each stage makes of one.
    pub rates: Vec<usize>,
    /// Dilations of each of a stage's residual blocks.
    pub dilations: Vec<Vec<usize>>,
    /// Slope of the rectifiers below zero, but for the last one.
    pub slope: f64,
}

/// Slope of the last rectifier (PyTorch's default, which the published models were trained with).
const LAST_SLOPE: f64 = 0.01;

/// A generator of waveforms from log-mels: stages of a transposed convolution and the mean of residual blocks.
#[derive(Debug)]
pub struct HifiGan {
    input: Conv,
    stages: Vec<Stage>,
    output: Conv,
    slope: f64,
}

#[derive(Debug)]
struct Stage {
    up: Upsampling,
    blocks: Vec<Vec<Residual>>,
    rate: usize,
}

/// One or two convolutions around which the input goes.
#[derive(Debug)]
struct Residual {
    dilated: Conv,
    plain: Option<Conv>,
}

/// Names of layers in a file.
struct Names {
    input: &'static str,
    up: &'static str,
    blocks: &'static str,
    output: &'static str,
    /// What follows a layer's number.
    inner: &'static str,
}

const TRANSFORMERS: Names =
    Names { input: "conv_pre", up: "upsampler", blocks: "resblocks", output: "conv_post", inner: "" };
const PARALLEL_WAVEGAN: Names =
    Names { input: "input_conv", up: "upsamples", blocks: "blocks", output: "output_conv.1", inner: ".1" };

impl HifiGan {
    /// Reads the generator of a file of transformers' `SpeechT5HifiGan` or of ParallelWaveGAN's `HiFiGANGenerator`, with
    /// or without weight norm. Channels and kernels are those of the tensors.
    ///
    /// # Errors
    /// A tensor that is missing, has a shape that does not fit, or has no place in this generator.
    pub fn read(weights: &Weights, config: &HifiGanConfig, device: &Device) -> Result<Self, VocoderError> {
        let mut reader = Reader::new(weights, device);
        let generator = Self::take(&mut reader, weights, config).and_then(|generator| {
            // Transformers keeps the statistics of the log-mels among the weights.
            reader.take("mean")?;
            reader.take("scale")?;
            reader.finish()?;
            Ok(generator)
        });
        generator.map_err(|message| VocoderError::Invalid { path: weights.path().into(), message })
    }

    fn take(reader: &mut Reader, weights: &Weights, config: &HifiGanConfig) -> Result<Self, String> {
        let ours = |tensor: vocable_weights::Tensor| tensor.name().starts_with(TRANSFORMERS.input);
        let names = if weights.tensors().any(ours) { TRANSFORMERS } else { PARALLEL_WAVEGAN };
        let Names { inner, blocks, .. } = names;
        if config.rates.is_empty() || config.dilations.is_empty() {
            return Err("its configuration has no stages or no residual blocks".into());
        }
        // An input convolution tells itself how many channels come in.
        let (shape, _) = reader.weight(names.input)?;
        let input = reader.conv(names.input, shape.get(1).copied().unwrap_or(0), 1)?;
        let mut channels = input.outputs();
        let mut stages = Vec::new();
        for (number, &rate) in config.rates.iter().enumerate() {
            let up = reader.upsampling(&format!("{}.{number}{inner}", names.up), channels, rate)?;
            channels = up.outputs();
            let mut block = |(index, dilations): (usize, &Vec<usize>)| {
                let block = number * config.dilations.len() + index;
                let residual = |(n, &dilation): (usize, &usize)| {
                    let dilated = reader.conv(&format!("{blocks}.{block}.convs1.{n}{inner}"), channels, dilation)?;
                    // Left out where the model was trained without `use_additional_convs`.
                    let second = format!("{blocks}.{block}.convs2.{n}{inner}");
                    let there = weights.tensors().any(|tensor| tensor.name().starts_with(&format!("{second}.")));
                    let plain = there.then(|| reader.conv(&second, channels, 1)).transpose()?;
                    Ok(Residual { dilated, plain })
                };
                dilations.iter().enumerate().map(residual).collect::<Result<Vec<_>, String>>()
            };
            let blocks = config.dilations.iter().enumerate().map(&mut block).collect::<Result<_, _>>()?;
            stages.push(Stage { up, blocks, rate });
        }
        let output = reader.conv(names.output, channels, 1)?;
        if output.outputs() != 1 {
            return Err(format!("it makes {} waveforms at once, where one is expected", output.outputs()));
        }
        Ok(Self { input, stages, output, slope: config.slope })
    }

    /// Log-mels `[batch, frames, mel]` → waveforms `[batch, hop · frames]` in [-1, 1].
    pub fn forward(&self, log_mel: Tensor<3>) -> Tensor<2> {
        let mut x = self.input.forward(log_mel);
        for stage in &self.stages {
            let up = stage.up.forward(leaky_relu(x, self.slope));
            let sum = stage.blocks.iter().map(|block| self.block(block, up.clone())).reduce(|sum, x| sum + x);
            x = sum.expect("a stage has blocks").div_scalar(stage.blocks.len() as f64);
        }
        tanh(self.output.forward(leaky_relu(x, LAST_SLOPE)).squeeze_dim(2))
    }

    fn block(&self, block: &[Residual], x: Tensor<3>) -> Tensor<3> {
        block.iter().fold(x, |x, Residual { dilated, plain }| {
            let y = dilated.forward(leaky_relu(x.clone(), self.slope));
            match plain {
                Some(plain) => x + plain.forward(leaky_relu(y, self.slope)),
                None => x + y,
            }
        })
    }

    /// Mel bins of a frame.
    pub fn mel(&self) -> usize {
        self.input.inputs()
    }

    /// Samples of a frame.
    pub fn hop(&self) -> usize {
        self.stages.iter().map(|stage| stage.rate).product()
    }

    /// Frames on each side of its own that a sample depends on.
    pub fn reach(&self) -> usize {
        let block = |block: &Vec<Residual>| {
            block.iter().map(|pair| pair.dilated.reach() + pair.plain.as_ref().map_or(0, Conv::reach)).sum::<usize>()
        };
        let stages = self.stages.iter().rev().fold(self.output.reach(), |reach, stage| {
            stage.up.reach(reach + stage.blocks.iter().map(block).max().expect("a stage has blocks"))
        });
        stages + self.input.reach()
    }
}
