use serde::{Deserialize, Serialize};
use vocable_nn::{BatchNorm, Init, Linear};

use crate::{TdnnBlock, XVector};

/// Sizes of an [`XVector`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XVectorConfig {
    /// Bands of the filter bank (`in_channels`).
    pub bands: usize,
    /// The layers over time.
    pub layers: [Tdnn; 5],
    /// Values of a vector (`lin_neurons`).
    pub width: usize,
}

/// A layer of a time-delay network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tdnn {
    /// Output channels.
    pub channels: usize,
    /// Taps (odd).
    pub kernel: usize,
    /// Frames from one tap to the next.
    pub dilation: usize,
}

impl XVectorConfig {
    /// `spkrec-xvect-voxceleb`: 24 bands, 512 to 1500 channels, 15 frames of context, 512 values.
    pub fn official() -> Self {
        let layer = |channels, kernel, dilation| Tdnn { channels, kernel, dilation };
        let layers = [layer(512, 5, 1), layer(512, 3, 2), layer(512, 3, 3), layer(512, 1, 1), layer(1500, 1, 1)];
        Self { bands: 24, layers, width: 512 }
    }

    /// A small one of 0.1 million weights for 512 values, with the rest as in [`Self::official`].
    pub fn mini() -> Self {
        let channels = [64, 64, 64, 64, 96];
        let mut config = Self::official();
        config.layers.iter_mut().zip(channels).for_each(|(layer, channels)| layer.channels = channels);
        config
    }

    /// What no model can have, if anything.
    ///
    /// # Errors
    /// The field, its value and what is expected.
    pub fn check(&self) -> Result<(), String> {
        let sizes = self.layers.iter().flat_map(|layer| [layer.channels, layer.kernel, layer.dilation]);
        if sizes.chain([self.bands, self.width]).any(|size| size == 0) {
            return Err("bands, channels, kernels, dilations and the width are 1 or more".into());
        }
        match self.layers.iter().find(|layer| layer.kernel % 2 == 0 || layer.margin() > 1000) {
            Some(Tdnn { kernel, dilation, .. }) => {
                Err(format!("a kernel of {kernel} with dilation {dilation}; an odd number of near taps is expected"))
            }
            None => Ok(()),
        }
    }

    /// Frames that a recording must have: each layer mirrors its ends, which needs one more than it mirrors, and a
    /// deviation needs two.
    pub fn least_frames(&self) -> usize {
        self.layers.iter().map(|layer| layer.margin() + 1).max().unwrap_or(0).max(2)
    }

    /// Draws the weights: variances of PyTorch's defaults, U(±1/√fan_in), biases zero.
    ///
    /// # Panics
    /// If [`Self::check`] fails.
    pub fn init(&self, init: &Init) -> XVector {
        self.check().expect("checked sizes");
        let linear = |input: usize, output: usize, init: Init| {
            Linear::new(input, output, &init.with_deviation(1.0 / (3.0 * input as f64).sqrt()))
        };
        let inputs = std::iter::once(self.bands).chain(self.layers.iter().map(|layer| layer.channels));
        let blocks = self.layers.iter().zip(inputs).enumerate().map(|(n, (layer, input))| TdnnBlock {
            conv: linear(layer.kernel * input, layer.channels, init.fold("block").fold(n)),
            norm: BatchNorm::new(layer.channels, init.device()),
            kernel: layer.kernel,
            dilation: layer.dilation,
        });
        let pooled = 2 * self.layers[self.layers.len() - 1].channels;
        XVector { blocks: blocks.collect(), output: linear(pooled, self.width, init.fold("output")) }
    }
}

impl Tdnn {
    /// Frames that are mirrored on either side.
    pub(crate) fn margin(&self) -> usize {
        self.dilation.saturating_mul(self.kernel.saturating_sub(1)) / 2
    }
}
