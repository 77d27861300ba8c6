//! Parallel WaveGAN (Yamamoto, Song and Kim 2020).

use burn::tensor::{Device, Tensor, activation};
use vocable_kernels::{Window, conv1d, linear, tanh};
use vocable_weights::Weights;

use crate::VocoderError;
use crate::layers::{Conv, Reader};

/// What the tensors of a [`ParallelWaveGan`] do not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelWaveGanConfig {
    /// Layers; their dilations double within each stack.
    pub layers: usize,
    /// Stacks of layers.
    pub stacks: usize,
    /// How many steps each upsampling makes of one.
    pub scales: Vec<usize>,
}

/// A generator of waveforms from noise and log-mels: a WaveNet without recursion.
#[derive(Debug)]
pub struct ParallelWaveGan {
    /// Over frames, without padding.
    context: Conv,
    stretches: Vec<Stretch>,
    first: Conv,
    layers: Vec<Layer>,
    last: [Conv; 2],
}

/// Repeats each step and smooths the result by one filter for all channels. Both together are a convolution over the
/// step and its neighbours.
#[derive(Debug)]
struct Stretch {
    /// `[3, scale]`.
    weight: Tensor<2>,
    scale: usize,
}

#[derive(Debug)]
struct Layer {
    dilated: Conv,
    /// From log-mels to both halves of the gate, `[mel, gate]`.
    condition: Tensor<2>,
    residual: Conv,
    skip: Conv,
}

impl ParallelWaveGan {
    /// Reads the generator of a file of ParallelWaveGAN's `ParallelWaveGANGenerator`, with or without weight norm.
    /// Channels and kernels are those of the tensors.
    ///
    /// # Errors
    /// A tensor that is missing, has a shape that does not fit, or has no place in this generator.
    pub fn read(weights: &Weights, config: &ParallelWaveGanConfig, device: &Device) -> Result<Self, VocoderError> {
        let mut reader = Reader::new(weights, device);
        let generator = Self::take(&mut reader, config).and_then(|generator| reader.finish().map(|()| generator));
        generator.map_err(|message| VocoderError::Invalid { path: weights.path().into(), message })
    }

    fn take(reader: &mut Reader, config: &ParallelWaveGanConfig) -> Result<Self, String> {
        let &ParallelWaveGanConfig { layers, stacks, ref scales } = config;
        if stacks == 0 || layers == 0 || layers % stacks != 0 || layers / stacks > 16 || scales.is_empty() {
            return Err(format!("its configuration has {layers} layers in {stacks} stacks and the scales {scales:?}"));
        }
        let (shape, _) = reader.weight("upsample_net.conv_in")?;
        let mut context = reader.conv("upsample_net.conv_in", shape.get(1).copied().unwrap_or(0), 1)?;
        context.window.padding = 0;
        let mel = context.outputs();
        let stretch = |(number, &scale): (usize, &usize)| {
            let layer = format!("upsample_net.upsample.up_layers.{}", 2 * number + 1);
            let (shape, filter) = reader.weight(&layer)?;
            if scale == 0 || shape != [1, 1, 1, 2 * scale + 1] {
                return Err(format!("{layer}: a filter of shape {shape:?} for a scale of {scale}"));
            }
            // Tap τ of output step j of a frame meets the frame before, the frame or the one after it.
            let mut weight = vec![0.0; 3 * scale];
            for step in 0..scale {
                for (tap, value) in filter.iter().enumerate() {
                    weight[(step + tap) / scale * scale + step] += value;
                }
            }
            Ok(Stretch { weight: reader.tensor(weight, vec![3, scale]), scale })
        };
        let stretches = scales.iter().enumerate().map(stretch).collect::<Result<Vec<_>, String>>()?;
        let first = reader.conv("first_conv", 1, 1)?;
        let channels = first.outputs();
        let layer = |number: usize| {
            let dilated =
                reader.conv(&format!("conv_layers.{number}.conv"), channels, 1 << (number % (layers / stacks)))?;
            let gate = dilated.outputs();
            let name = format!("conv_layers.{number}.conv1x1_aux");
            let (shape, values) = reader.weight(&name)?;
            if shape != [gate, mel, 1] || gate % 2 != 0 {
                return Err(format!("{name}: a weight of shape {shape:?} for {mel} channels and a gate of {gate}"));
            }
            let condition: Tensor<2> = reader.tensor(values, vec![gate, mel]);
            let residual = reader.conv(&format!("conv_layers.{number}.conv1x1_out"), gate / 2, 1)?;
            if residual.outputs() != channels {
                return Err(format!("{name}: {} channels come back of {channels}", residual.outputs()));
            }
            let skip = reader.conv(&format!("conv_layers.{number}.conv1x1_skip"), gate / 2, 1)?;
            Ok(Layer { dilated, condition: condition.transpose(), residual, skip })
        };
        let layers = (0..layers).map(layer).collect::<Result<Vec<_>, String>>()?;
        let skip = layers[0].skip.outputs();
        if layers.iter().any(|layer| layer.skip.outputs() != skip) {
            return Err("its layers skip to different numbers of channels".into());
        }
        let hidden = reader.conv("last_conv_layers.1", skip, 1)?;
        let output = reader.conv("last_conv_layers.3", hidden.outputs(), 1)?;
        if output.outputs() != 1 {
            return Err(format!("it makes {} waveforms at once, where one is expected", output.outputs()));
        }
        Ok(Self { context, stretches, first, layers, last: [hidden, output] })
    }

    /// Log-mels `[batch, frames, mel]` and standard normal noise `[batch, hop · frames]` → waveforms like the noise.
    pub fn forward(&self, log_mel: Tensor<3>, noise: Tensor<2>) -> Tensor<2> {
        let condition = self.condition(log_mel);
        let mut x = self.first.forward(noise.unsqueeze_dim(2));
        let mut skips = None;
        for layer in &self.layers {
            let gates = layer.dilated.forward(x.clone()) + linear(condition.clone(), layer.condition.clone(), None);
            let half = gates.dims()[2] / 2;
            let y = tanh(gates.clone().narrow(2, 0, half)) * activation::sigmoid(gates.narrow(2, half, half));
            let skip = layer.skip.forward(y.clone());
            skips = Some(match skips {
                Some(sum) => sum + skip,
                None => skip,
            });
            x = (layer.residual.forward(y) + x).mul_scalar(0.5_f64.sqrt());
        }
        let sum = skips.expect("there are layers").mul_scalar((1.0 / self.layers.len() as f64).sqrt());
        let [hidden, output] = &self.last;
        output.forward(activation::relu(hidden.forward(activation::relu(sum)))).squeeze_dim(2)
    }

    /// Log-mels as every sample meets them: `[batch, hop · frames, mel]`. The frames at both ends are repeated for the
    /// first convolution.
    fn condition(&self, log_mel: Tensor<3>) -> Tensor<3> {
        let (frames, reach) = (log_mel.dims()[1], self.context_reach());
        let end = |at: usize| log_mel.clone().narrow(1, at, 1).repeat_dim(1, reach);
        let padded = match reach {
            0 => log_mel,
            _ => Tensor::cat(vec![end(0), log_mel.clone(), end(frames - 1)], 1),
        };
        let x = self.context.forward(padded);
        let [batch, _, mel] = x.dims();
        // Each channel by itself: `[batch · mel, time, 1]`.
        let x = x.swap_dims(1, 2).reshape([batch * mel, frames, 1]);
        let x = self.stretches.iter().fold(x, |x, stretch| {
            let time = x.dims()[1];
            let window = Window { padding: 1, ..Window::new(3) };
            conv1d(x, stretch.weight.clone(), None, window).reshape([batch * mel, time * stretch.scale, 1])
        });
        x.reshape([batch, mel, frames * self.hop()]).swap_dims(1, 2)
    }

    /// Frames on each side that the first convolution looks at.
    fn context_reach(&self) -> usize {
        (self.context.window.kernel - 1) / 2
    }

    /// Mel bins of a frame.
    pub fn mel(&self) -> usize {
        self.context.inputs()
    }

    /// Samples of a frame.
    pub fn hop(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.scale).product()
    }

    /// Frames on each side of its own that a sample depends on.
    pub fn reach(&self) -> usize {
        let samples: usize = self.layers.iter().map(|layer| layer.dilated.reach()).sum();
        let frames = self.stretches.iter().rev().fold(samples, |reach, stretch| reach.div_ceil(stretch.scale) + 1);
        frames + self.context_reach()
    }
}
