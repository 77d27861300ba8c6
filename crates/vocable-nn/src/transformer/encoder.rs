use burn::module::{Module, Param};
use burn::tensor::{DispatchTensor, Tensor};
use serde::{Deserialize, Serialize};

use super::{FeedForward, NormPlacement, TransformerConfig};
use crate::{Attended, Attention, Dropout, Init, KeyValue, LayerNorm, Mode, is_padded, padding_mask};

/// Shape of an [`Encoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The stack.
    pub stack: TransformerConfig,
    /// Reach of relative positions to either side (`encoder_max_relative_position`); none for absolute positions only.
    pub max_relative_position: Option<usize>,
}

impl EncoderConfig {
    /// Draws the weights (spec section 4.11).
    pub fn init(&self, init: &Init) -> Encoder {
        let stack = &self.stack;
        let normalise_table = self.max_relative_position.is_some() && stack.norm == NormPlacement::Pre;
        let layers = (0..stack.layers).map(|n| EncoderLayer::new(stack, normalise_table, &init.fold("layer").fold(n)));
        Encoder {
            relative: self.max_relative_position.map(|reach| stack.relative_table(reach, init)),
            layers: layers.collect(),
            norm: LayerNorm::new(stack.width, init.device()),
            pre_norm: stack.norm == NormPlacement::Pre,
            dropout: stack.dropout,
            layer_drop: stack.layer_drop,
            recompute: stack.recompute,
        }
    }
}

/// A Transformer encoder with optional relative positions, shared by whatever the pre-nets feed it.
///
/// Post-LN: norm and dropout of the input, then the layers. Pre-LN: dropout of the input, the layers, a final norm
/// (spec section 4.3).
#[derive(Module, Debug)]
pub struct Encoder {
    /// Relative-position table `[2 · reach, width / heads]`, one for all layers and heads (`pos_emb.pe_k`).
    pub relative: Option<Param<Tensor<2>>>,
    /// The layers in order.
    pub layers: Vec<EncoderLayer>,
    /// Of the input (post-LN) or of the output (pre-LN); `layer_norm` in the official code.
    pub norm: LayerNorm,
    pre_norm: bool,
    dropout: f64,
    layer_drop: f64,
    recompute: bool,
}

/// Self-attention and feed-forward with residuals.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// `self_attn`.
    pub attention: Attention,
    /// `self_attn_layer_norm`.
    pub attention_norm: LayerNorm,
    /// `fc1`, `fc2`.
    pub feed_forward: FeedForward,
    /// `final_layer_norm`.
    pub feed_forward_norm: LayerNorm,
    pre_norm: bool,
    dropout: f64,
}

impl Encoder {
    /// `[batch, time, width]`, valid up to `lengths` → states of the same shape.
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], mode: Mode) -> Tensor<3> {
        let x = self.layer_output(x, lengths, self.layers.len(), mode);
        if self.pre_norm { self.norm.forward(x) } else { x }
    }

    /// What layer `layer` (from 1; 0 = what the first is given) makes of the same, before any final norm: `[batch, time,
    /// width]`. The layers after it do not run.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn layer_output(&self, x: Tensor<3>, lengths: &[usize], layer: usize, mode: Mode) -> Tensor<3> {
        let time = x.dims()[1];
        let attended = Attended {
            padding: is_padded(lengths, time).then(|| padding_mask(lengths, time, &x.device())),
            relative: self.relative.as_ref().map(Param::val),
            ..Attended::default()
        };
        let mut x = if self.pre_norm { x } else { self.norm.forward(x) };
        x = Dropout(self.dropout).forward(x, mode.fold("input"));
        for (n, layer) in self.layers[..layer].iter().enumerate() {
            let mode = mode.fold("layer").fold(n);
            if !mode.fold("skip").coin(self.layer_drop) {
                x = match self.recompute && mode.is_train() {
                    true => layer.again(self.relative.as_ref(), x, attended.clone(), mode),
                    false => layer.forward(x, |x| layer.attention.keys_and_values(x), attended.clone(), mode),
                };
            }
        }
        x
    }
}

impl EncoderLayer {
    pub(super) fn new(stack: &TransformerConfig, normalise_table: bool, init: &Init) -> Self {
        let (width, heads, dropout) = (stack.width, stack.heads, stack.attention_dropout);
        Self {
            attention: Attention::new(width, heads, dropout, normalise_table, &init.fold("attention")),
            attention_norm: LayerNorm::new(width, init.device()),
            feed_forward: FeedForward::new(stack, &init.fold("feed_forward")),
            feed_forward_norm: LayerNorm::new(width, init.device()),
            pre_norm: stack.norm == NormPlacement::Pre,
            dropout: stack.dropout,
        }
    }

    /// `keys` projects the (normalised) input to what is attended to.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        keys: impl FnOnce(Tensor<3>) -> KeyValue,
        attended: Attended,
        mode: Mode,
    ) -> Tensor<3> {
        let attend = |x: Tensor<3>| {
            let memory = keys(x.clone());
            self.attention.forward(x, memory, attended, mode.fold("attention")).0
        };
        let x = residual(x, &self.attention_norm, self.pre_norm, self.dropout, mode.fold("attended"), attend);
        residual(x, &self.feed_forward_norm, self.pre_norm, self.dropout, mode.fold("fed"), |x| {
            self.feed_forward.forward(x, mode.fold("feed_forward"))
        })
    }

    /// The same over its own input, of which alone it keeps anything: it runs again in the backward pass. The table of
    /// relative positions is given as what it learns.
    pub(super) fn again(
        &self,
        relative: Option<&Param<Tensor<2>>>,
        x: Tensor<3>,
        attended: Attended,
        mode: Mode,
    ) -> Tensor<3> {
        let block = (self.clone(), relative.cloned());
        let (padding, causal) = (attended.padding.map(Tensor::inner), attended.causal);
        let run = move |(layer, relative): &(EncoderLayer, Option<Param<Tensor<2>>>), [x]: [DispatchTensor; 1]| {
            let relative = relative.as_ref().map(Param::val);
            let attended = Attended { padding: padding.clone(), causal, relative, ..Attended::default() };
            layer.forward(Tensor::from_dispatch(x), |x| layer.attention.keys_and_values(x), attended, mode)
        };
        vocable_kernels::recompute(&block, [x.into_dispatch()], run)
    }
}

/// A sub-layer with its residual sum and norm: `norm(x + drop(f(x)))` (post) or `x + drop(f(norm(x)))` (pre).
pub(super) fn residual(
    x: Tensor<3>,
    norm: &LayerNorm,
    pre_norm: bool,
    dropout: f64,
    mode: Mode,
    sub_layer: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let input = if pre_norm { norm.forward(x.clone()) } else { x.clone() };
    let sum = Dropout(dropout).add(x, sub_layer(input), mode);
    if pre_norm { sum } else { norm.forward(sum) }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use vocable_random::Key;

    use super::*;

    /// Three layers that drop whole layers, too.
    fn encoder(norm: NormPlacement) -> Encoder {
        let stack = TransformerConfig {
            layers: 3,
            width: 8,
            feed_forward: 16,
            heads: 2,
            norm,
            dropout: 0.1,
            attention_dropout: 0.1,
            activation_dropout: 0.1,
            layer_drop: 0.4,
            recompute: false,
        };
        let init = Init::new(Key::new(1), &Device::flex()).with_deviation(0.3);
        EncoderConfig { stack, max_relative_position: Some(4) }.init(&init)
    }

    #[test]
    fn the_output_of_a_layer_is_that_of_a_stack_which_ends_there() {
        let x = Init::new(Key::new(2), &Device::flex()).normal::<3>([2, 5, 8], 1.0);
        let modes = (0..8).map(|seed| Mode::Train(Key::new(seed))).chain([Mode::Eval]);
        for (mode, norm) in modes.flat_map(|mode| [NormPlacement::Post, NormPlacement::Pre].map(|norm| (mode, norm))) {
            let whole = encoder(norm);
            for layer in 1..=3 {
                let found = whole.layer_output(x.clone(), &[5, 3], layer, mode);
                let found = if whole.pre_norm { whole.norm.forward(found) } else { found };
                let mut stack = whole.clone();
                stack.layers.truncate(layer);
                assert_eq!(found.into_data(), stack.forward(x.clone(), &[5, 3], mode).into_data());
            }
        }
    }

    #[test]
    fn layers_after_the_one_asked_for_do_not_run() {
        let mut encoder = encoder(NormPlacement::Post);
        // Too wide for what comes before it.
        encoder.layers[2].attention_norm = LayerNorm::new(9, &Device::flex());
        let x = Tensor::ones([1, 5, 8], &Device::flex());
        assert_eq!(encoder.layer_output(x, &[5], 2, Mode::Eval).dims(), [1, 5, 8]);
    }
}
