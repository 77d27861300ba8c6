use burn::module::Module;
use burn::tensor::Tensor;
use vocable_nn::{ConvExtractor, Encoder, LayerNorm, Linear, Mode, PositionalConv};

/// HuBERT without what it is trained with (Hsu et al. 2021): convolutions over the waveform, convolutional positions, a
/// post-LN Transformer encoder.
#[derive(Module, Debug)]
pub struct HubertEncoder {
    /// `feature_extractor`.
    pub extractor: ConvExtractor,
    /// `feature_projection.layer_norm`.
    pub norm: LayerNorm,
    /// `feature_projection.projection`.
    pub projection: Linear,
    /// `encoder.pos_conv_embed`.
    pub positional: PositionalConv,
    /// `encoder`.
    pub encoder: Encoder,
}

impl HubertEncoder {
    /// Waveforms `[batch, samples]`, all of one length, → the output of layer `layer` (from 1), `[batch, frames, width]`.
    ///
    /// # Panics
    /// If the input is shorter than a frame, or there are fewer layers.
    pub fn hidden_states(&self, samples: Tensor<2>, layer: usize) -> Tensor<3> {
        let x = self.projection.forward(self.norm.forward(self.extractor.forward(samples)));
        let x = x.clone() + self.positional.forward(x);
        let [batch, frames, _] = x.dims();
        self.encoder.layer_output(x, &vec![frames; batch], layer, Mode::Eval)
    }
}
