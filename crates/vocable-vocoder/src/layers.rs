//! Convolutions, and how they are read from a file.

use std::collections::HashSet;

use burn::tensor::{Device, Tensor, TensorData};
use vocable_kernels::{Window, conv_transpose1d, conv1d};
use vocable_weights::Weights;

/// Farther apart, taps would ask for any amount of padding.
const FARTHEST: usize = 1 << 16;

/// A convolution over time that keeps the number of steps: padded by half its span.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    pub(crate) window: Window,
}

impl Conv {
    /// `[batch, time, input]` → `[batch, time, output]`.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        conv1d(x, self.weight.clone(), self.bias.clone(), self.window)
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims()[0] / self.window.kernel
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[1]
    }

    /// Steps on each side that an output step depends on.
    pub(crate) fn reach(&self) -> usize {
        self.window.padding
    }
}

/// A transposed convolution that makes `stride` steps of each step.
#[derive(Clone, Debug)]
pub(crate) struct Upsampling {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    window: Window,
    /// Steps that the left side loses more than the right one.
    extra: usize,
}

impl Upsampling {
    /// `[batch, time, input]` → `[batch, stride · time, output]`.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let steps = x.dims()[1] * self.window.stride;
        conv_transpose1d(x, self.weight.clone(), self.bias.clone(), self.window).narrow(1, self.extra, steps)
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[0] / self.window.kernel
    }

    /// Input steps on each side that the output steps up to `reach` away from an output step depend on.
    pub(crate) fn reach(&self, reach: usize) -> usize {
        (reach + self.window.kernel - 1 - self.window.padding).div_ceil(self.window.stride)
    }
}

/// Takes tensors out of a file, and knows which ones it has taken.
pub(crate) struct Reader<'a> {
    weights: &'a Weights,
    device: &'a Device,
    taken: HashSet<String>,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub(crate) fn new(weights: &'a Weights, device: &'a Device) -> Self {
        Self { weights, device, taken: HashSet::new() }
    }

    /// Shape and values of a tensor, if the file has it; all of them finite.
    pub(crate) fn take(&mut self, name: &str) -> Read<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(tensor) = self.weights.get(name) else { return Ok(None) };
        self.taken.insert(name.to_owned());
        let values = tensor.to_f32().map_err(|error| error.to_string())?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(format!("{name} holds a value that is not finite"));
        }
        Ok(Some((tensor.shape().to_vec(), values)))
    }

    /// A layer's weight; where it is a direction and a length (weight norm, Salimans and Kingma 2016, over all but the
    /// first dimension, in either of PyTorch's spellings) their product.
    pub(crate) fn weight(&mut self, layer: &str) -> Read<(Vec<usize>, Vec<f32>)> {
        const NORMED: [[&str; 2]; 2] =
            [["weight_g", "weight_v"], ["parametrizations.weight.original0", "parametrizations.weight.original1"]];
        if let Some(plain) = self.take(&format!("{layer}.weight"))? {
            return Ok(plain);
        }
        for [length, direction] in NORMED {
            let length = self.take(&format!("{layer}.{length}"))?;
            let direction = self.take(&format!("{layer}.{direction}"))?;
            let (Some((_, lengths)), Some((shape, mut values))) = (length, direction) else { continue };
            let rows = shape.first().copied().unwrap_or(0);
            if rows == 0 || lengths.len() != rows || values.is_empty() {
                return Err(format!("{layer}: {} lengths for directions of shape {shape:?}", lengths.len()));
            }
            let width = values.len() / rows;
            for (row, &length) in values.chunks_exact_mut(width).zip(&lengths) {
                let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
                if norm == 0.0 {
                    return Err(format!("{layer}: a direction of zeros is none"));
                }
                row.iter_mut().for_each(|value| *value = (f64::from(*value) * f64::from(length) / norm) as f32);
            }
            return Ok((shape, values));
        }
        Err(format!("it has no weight of {layer}"))
    }

    /// The convolution `layer` of `inputs` channels.
    pub(crate) fn conv(&mut self, layer: &str, inputs: usize, dilation: usize) -> Read<Conv> {
        let (shape, values) = self.weight(layer)?;
        let &[outputs, theirs, kernel] = &shape[..] else {
            return Err(format!("{layer}: a weight of shape {shape:?} is no convolution's"));
        };
        if theirs != inputs || outputs == 0 {
            return Err(format!("{layer}: its weight has the shape {shape:?}, but {inputs} channels come in"));
        }
        if kernel % 2 == 0 || dilation == 0 || kernel.saturating_mul(dilation) > FARTHEST {
            return Err(format!(
                "{layer}: {kernel} taps with dilation {dilation}; an odd number of near taps is expected"
            ));
        }
        let window = Window { padding: dilation * (kernel - 1) / 2, dilation, ..Window::new(kernel) };
        Ok(Conv { weight: self.arranged(shape, values), bias: self.bias(layer, outputs)?, window })
    }

    /// The transposed convolution `layer` of `inputs` channels. Of an odd number of steps to lose the left side loses
    /// the larger part.
    pub(crate) fn upsampling(&mut self, layer: &str, inputs: usize, rate: usize) -> Read<Upsampling> {
        let (shape, values) = self.weight(layer)?;
        let &[theirs, outputs, kernel] = &shape[..] else {
            return Err(format!("{layer}: a weight of shape {shape:?} is no transposed convolution's"));
        };
        if theirs != inputs || outputs == 0 {
            return Err(format!("{layer}: its weight has the shape {shape:?}, but {inputs} channels come in"));
        }
        if rate == 0 || kernel < rate {
            return Err(format!("{layer}: {kernel} taps cannot make {rate} steps of one"));
        }
        let surplus = kernel - rate;
        let window = Window { stride: rate, padding: surplus / 2, ..Window::new(kernel) };
        let bias = self.bias(layer, outputs)?;
        Ok(Upsampling { weight: self.arranged(shape, values), bias, window, extra: surplus % 2 })
    }

    fn bias(&mut self, layer: &str, outputs: usize) -> Read<Option<Tensor<1>>> {
        match self.take(&format!("{layer}.bias"))? {
            None => Ok(None),
            Some((shape, values)) if shape == [outputs] => Ok(Some(self.tensor(values, shape))),
            Some((shape, _)) => Err(format!("{layer}: a bias of shape {shape:?} for {outputs} channels")),
        }
    }

    /// Mirrors the dimensions: `[a, b, tap]` to `[tap · b, a]`.
    fn arranged(&self, shape: Vec<usize>, values: Vec<f32>) -> Tensor<2> {
        let weight: Tensor<3> = self.tensor(values, shape);
        let [a, b, taps] = weight.dims();
        weight.permute([2, 1, 0]).reshape([taps * b, a])
    }

    pub(crate) fn tensor<const D: usize>(&self, values: Vec<f32>, shape: Vec<usize>) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// Fails where a tensor of the file was not taken: it would have a part in what the generator says.
    pub(crate) fn finish(self) -> Read<()> {
        let rest: Vec<&str> =
            self.weights.tensors().map(|tensor| tensor.name()).filter(|name| !self.taken.contains(*name)).collect();
        match rest.first() {
            None => Ok(()),
            Some(first) => {
                Err(format!("it holds {first}, for which this generator has no place ({} such)", rest.len()))
            }
        }
    }
}
