//! Convolutions over time.

use burn::tensor::Tensor;

use crate::composed;
use crate::fused::{Conv, ConvTranspose};
use crate::ops::{check_bias, with_bias};

/// How a convolution moves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: usize,
    /// Input steps from one output step to the next.
    pub stride: usize,
    /// Zeros added on both sides.
    pub padding: usize,
    /// Input steps from one tap to the next.
    pub dilation: usize,
}

impl Window {
    /// `kernel` adjacent taps at every step, without padding.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: 0, dilation: 1 }
    }

    /// Input steps from the first tap to the last, both included.
    pub fn span(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// The number of output steps over `time` input steps; 0 where the padded input is shorter than the span.
    pub fn steps(&self, time: usize) -> usize {
        match (time + 2 * self.padding).checked_sub(self.span()) {
            Some(room) => room / self.stride + 1,
            None => 0,
        }
    }

    /// The number of output steps of the transposed convolution of `time` input steps.
    pub fn transposed_steps(&self, time: usize) -> usize {
        ((time.max(1) - 1) * self.stride + self.span()).saturating_sub(2 * self.padding)
    }

    fn check(&self, name: &str, time: usize) {
        let Self { kernel, stride, dilation, .. } = *self;
        assert!(kernel > 0 && stride > 0 && dilation > 0, "{name}: kernel, stride and dilation are at least 1");
        assert!(self.steps(time) > 0, "{name}: {self:?} has no room in {time} steps");
    }
}

/// Convolution over time of `[batch, time, in]`, giving `[batch, window.steps(time), out]`.
///
/// `weight` is `[kernel * in, out]`; row `j * in + i` holds tap `j` of input channel `i`. As everywhere in deep learning
/// this is a correlation: tap 0 meets the earliest sample.
///
/// # Panics
/// If the sizes do not fit, or the padded input is shorter than the window.
pub fn conv1d(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    let [_, time, channels] = x.dims();
    let [depth, outputs] = weight.dims();
    window.check("conv1d", time);
    assert_eq!(window.kernel * channels, depth, "conv1d: the weight's first dimension is not kernel * in");
    check_bias(&bias, outputs);
    let composed = |x, weight, bias| composed::conv1d(x, weight, bias, window);
    with_bias(&Conv { groups: 1, window }, x, weight, bias, composed)
}

/// [`conv1d`] in groups: group `g` maps input channels `g * in / groups ..` to output channels `g * out / groups ..`.
///
/// `weight` is `[groups, kernel * (in / groups), out / groups]`, the tap slower than the channel.
///
/// # Panics
/// If the sizes do not fit, or the padded input is shorter than the window.
pub fn conv1d_grouped(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    let [_, time, channels] = x.dims();
    let [groups, depth, outputs] = weight.dims();
    window.check("conv1d_grouped", time);
    assert_eq!(channels % groups, 0, "conv1d_grouped: the groups do not divide the input channels");
    let expected = window.kernel * (channels / groups);
    assert_eq!(expected, depth, "conv1d_grouped: the weight's depth is not kernel * in / groups");
    check_bias(&bias, groups * outputs);
    let composed = |x, weight, bias| composed::conv1d_grouped(x, weight, bias, window);
    with_bias(&Conv { groups, window }, x, weight, bias, composed)
}

/// Transposed convolution over time of `[batch, time, in]`, giving `[batch, window.transposed_steps(time), out]`: each
/// input step adds `kernel` taps to the output from step `stride * t - padding` on.
///
/// It is the adjoint of the [`conv1d`] from `out` to `in` channels with the same window and weight: `weight` is
/// `[kernel * out, in]`, row `j * out + o` holds tap `j` of output channel `o`. From PyTorch's `[in, out, kernel]` it
/// comes by reversing the order of the dimensions. Padding takes steps away, on both sides.
///
/// # Panics
/// If the sizes do not fit, the padding is larger than the last tap's place, or nothing is left.
pub fn conv_transpose1d(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    let [_, time, channels] = x.dims();
    let [depth, inputs] = weight.dims();
    assert!(time > 0, "conv_transpose1d: no input");
    let steps = window.transposed_steps(time);
    window.check("conv_transpose1d", steps);
    assert!(steps > 0, "conv_transpose1d: {window:?} leaves nothing of {time} steps");
    assert!(window.padding < window.span(), "conv_transpose1d: {window:?} takes whole taps away");
    assert_eq!(channels, inputs, "conv_transpose1d: the weight's second dimension is not in");
    assert_eq!(depth % window.kernel, 0, "conv_transpose1d: the weight's first dimension is not kernel * out");
    check_bias(&bias, depth / window.kernel);
    let composed = |x, weight, bias| composed::conv_transpose1d(x, weight, bias, window);
    with_bias(&ConvTranspose { window }, x, weight, bias, composed)
}
