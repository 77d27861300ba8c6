use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};
use vocable_kernels::BatchNormed;

use crate::Mode;

/// Added to variances in every norm (spec section 2).
const EPSILON: f64 = 1e-5;

/// Layer normalisation over the last dimension, with gain and bias.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Gain, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// Bias, `[width]`.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm {
    /// Gain one, bias zero.
    pub fn new(width: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([width], device)),
            bias: Param::from_tensor(Tensor::zeros([width], device)),
        }
    }

    /// `[.., width]` → the same shape, each row with mean 0 and variance 1 before gain and bias.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        vocable_kernels::layer_norm(x, self.weight.val(), self.bias.val(), EPSILON)
    }
}

/// Group normalisation with one group per channel: each channel of each item is normalised over time.
///
/// Padding frames take part, as in wav2vec 2.0's first convolution block, so a padded batch differs from its items
/// alone by design (spec section 13.3).
#[derive(Module, Debug)]
pub struct ChannelNorm {
    /// Gain, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Bias, `[channels]`.
    pub bias: Param<Tensor<1>>,
}

impl ChannelNorm {
    /// Gain one, bias zero.
    pub fn new(channels: usize, device: &Device) -> Self {
        let LayerNorm { weight, bias } = LayerNorm::new(channels, device);
        Self { weight, bias }
    }

    /// `[batch, time, channels]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        vocable_kernels::group_norm_over_time(x, self.weight.val(), self.bias.val(), EPSILON)
    }
}

/// Batch normalisation of `[batch, time, channels]` over batch and time, with running statistics for evaluation.
///
/// Burn's own expects channels second; ours keeps them last. Padding frames take part, as in the official code.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Gain, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Bias, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running variance (unbiased), `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// Share of a new batch's statistics in the running ones (spec section 2).
    const MOMENTUM: f64 = 0.1;

    /// Gain one, bias zero, running mean zero, running variance one.
    pub fn new(channels: usize, device: &Device) -> Self {
        let LayerNorm { weight, bias } = LayerNorm::new(channels, device);
        Self {
            weight,
            bias,
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
        }
    }

    /// `[batch, time, channels]` → the same shape; training uses (and records) the batch's statistics.
    pub fn forward(&self, x: Tensor<3>, mode: Mode) -> Tensor<3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if !mode.is_train() {
            let (mean, variance) = (self.running_mean.value_sync(), self.running_var.value_sync());
            return vocable_kernels::batch_norm_with(x, mean, variance, weight, bias, EPSILON);
        }
        let count = (x.dims()[0] * x.dims()[1]) as f64;
        let BatchNormed { y, mean, variance } = vocable_kernels::batch_norm(x, weight, bias, EPSILON);
        Self::record(&self.running_mean, mean);
        Self::record(&self.running_var, variance * (count / (count - 1.0).max(1.0)));
        y
    }

    fn record(running: &RunningState<Tensor<1>>, batch: Tensor<1>) {
        let old = running.value_sync();
        running.update(old * (1.0 - Self::MOMENTUM) + batch * Self::MOMENTUM);
        // An update waits until it is asked for; a checkpoint does not ask.
        running.value_sync();
    }
}
