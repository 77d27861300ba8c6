//! Transposed convolution: the input's gradient of the convolution it is the transpose of, and the other way round.

use super::Kernel;
use super::buffer::Array;
use super::conv::{Conv, Sizes};
use super::linear::column_sums;
use crate::Window;

/// Inputs: x `[batch, time, in]`, weight `[kernel * out, in]`, and a bias if there is one.
#[derive(Clone, Debug)]
pub(crate) struct ConvTranspose {
    pub(crate) window: Window,
}

impl<const N: usize> Kernel<N> for ConvTranspose {
    /// x and the weight.
    type Saved = [Array; 2];

    fn forward(&self, inputs: [Array; N]) -> (Array, [Array; 2]) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let (sizes, bias) = (self.sizes(&x, &weight), inputs.get(2).map(Array::values));
        let y = self.conv().input_gradient(sizes, weight.values(), x.values(), bias);
        (Array::new(y, &[sizes.batch, sizes.time, sizes.channels]), [x, weight])
    }

    fn backward(&self, [x, weight]: [Array; 2], gradient: Array, wanted: [bool; N]) -> [Option<Array>; N] {
        let sizes = self.sizes(&x, &weight);
        std::array::from_fn(|input| {
            wanted[input].then(|| match input {
                0 => Array::new(self.conv().apply(sizes, gradient.values(), weight.values(), None), x.shape()),
                1 => Array::new(self.conv().weight_gradient(sizes, gradient.values(), x.values()), weight.shape()),
                _ => column_sums(gradient.values(), sizes.channels),
            })
        })
    }
}

impl ConvTranspose {
    /// The convolution that this is the transpose of.
    fn conv(&self) -> Conv {
        Conv { groups: 1, window: self.window }
    }

    /// Its sizes: it maps our output to our input.
    fn sizes(&self, x: &Array, weight: &Array) -> Sizes {
        let [batch, steps, outputs] = x.dims();
        let channels = weight.shape()[0] / self.window.kernel;
        Sizes {
            batch,
            time: self.window.transposed_steps(steps),
            steps,
            channels,
            group_channels: channels,
            outputs,
            group_outputs: outputs,
        }
    }
}
