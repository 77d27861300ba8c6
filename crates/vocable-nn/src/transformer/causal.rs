use burn::module::Module;
use burn::tensor::Tensor;

use super::encoder::EncoderLayer;
use super::{NormPlacement, PastCache, TransformerConfig};
use crate::{Attended, Dropout, Init, LayerNorm, Mode};

/// A Transformer decoder without a memory: dropout of the input, layers of causal self-attention and feed-forward, and
/// with pre-LN a final norm. Source: fairseq `TransformerDecoder` with `no_encoder_attn`.
#[derive(Module, Debug)]
pub struct CausalStack {
    /// The layers in order.
    pub layers: Vec<EncoderLayer>,
    /// Of the output, pre-LN only.
    pub norm: Option<LayerNorm>,
    dropout: f64,
    layer_drop: f64,
    recompute: bool,
}

impl CausalStack {
    /// Draws the weights.
    pub fn new(stack: &TransformerConfig, init: &Init) -> Self {
        let layer = |n| EncoderLayer::new(stack, false, &init.fold("layer").fold(n));
        Self {
            layers: (0..stack.layers).map(layer).collect(),
            norm: (stack.norm == NormPlacement::Pre).then(|| LayerNorm::new(stack.width, init.device())),
            dropout: stack.dropout,
            layer_drop: stack.layer_drop,
            recompute: stack.recompute,
        }
    }

    /// `[batch, time, width]` → states of the same shape, each of them of what stands up to its position. Padding at the
    /// end of an item therefore changes nothing before it.
    pub fn forward(&self, x: Tensor<3>, mode: Mode) -> Tensor<3> {
        let mut x = Dropout(self.dropout).forward(x, mode.fold("input"));
        for (n, layer) in self.layers.iter().enumerate() {
            let mode = mode.fold("layer").fold(n);
            if mode.fold("skip").coin(self.layer_drop) {
                continue;
            }
            let attended = Attended { causal: true, ..Attended::default() };
            x = match self.recompute && mode.is_train() {
                true => layer.again(None, x, attended, mode),
                false => layer.forward(x, |x| layer.attention.keys_and_values(x), attended, mode),
            };
        }
        self.finish(x)
    }

    /// Starts step-by-step computation for so many hypotheses.
    pub fn start(&self, hypotheses: usize) -> PastCache {
        PastCache::new(self.layers.len(), hypotheses)
    }

    /// The states of the next positions `[hypotheses, new time, width]` (usually one), without dropout.
    pub fn step(&self, x: Tensor<3>, past: &mut PastCache) -> Tensor<3> {
        let attended = past.advance(x.dims()[1]);
        let layers = self.layers.iter().zip(&mut past.layers);
        let x = layers.fold(x, |x, (layer, past)| {
            let extend = |x| past.extend(layer.attention.keys_and_values(x));
            layer.forward(x, extend, attended.clone(), Mode::Eval)
        });
        self.finish(x)
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}
