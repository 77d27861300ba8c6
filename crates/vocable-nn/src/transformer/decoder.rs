use burn::module::{Module, Param};
use burn::tensor::{Bool, DispatchTensor, Tensor};
use serde::{Deserialize, Serialize};

use super::encoder::residual;
use super::{FeedForward, NormPlacement, PastCache, TransformerConfig};
use crate::{Attended, Attention, Init, KeyValue, LayerNorm, Mode, is_padded, padding_mask};

/// Shape of a [`Decoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// The stack.
    pub stack: TransformerConfig,
    /// Reach of relative positions in self-attention; none in every published model (spec table D1).
    pub max_relative_position: Option<usize>,
}

impl DecoderConfig {
    /// Draws the weights (spec section 4.11).
    pub fn init(&self, init: &Init) -> Decoder {
        let stack = &self.stack;
        let pre_norm = stack.norm == NormPlacement::Pre;
        let layers = (0..stack.layers).map(|n| {
            let init = init.fold("layer").fold(n);
            let attention = |name: &str, normalise_table: bool| {
                let (width, heads, dropout) = (stack.width, stack.heads, stack.attention_dropout);
                Attention::new(width, heads, dropout, normalise_table, &init.fold(name))
            };
            let norm = || LayerNorm::new(stack.width, init.device());
            DecoderLayer {
                self_attention: attention("self_attention", pre_norm && self.max_relative_position.is_some()),
                self_attention_norm: norm(),
                cross_attention: attention("cross_attention", false),
                cross_attention_norm: norm(),
                feed_forward: FeedForward::new(stack, &init.fold("feed_forward")),
                feed_forward_norm: norm(),
                pre_norm,
                dropout: stack.dropout,
            }
        });
        Decoder {
            relative: self.max_relative_position.map(|reach| stack.relative_table(reach, init)),
            layers: layers.collect(),
            norm: pre_norm.then(|| LayerNorm::new(stack.width, init.device())),
            layer_drop: stack.layer_drop,
            recompute: stack.recompute,
        }
    }
}

/// A Transformer decoder: causal self-attention, cross-attention to a memory, feed-forward (spec section 4.6).
#[derive(Module, Debug)]
pub struct Decoder {
    /// Relative-position table of the self-attention; an extension (spec table D1).
    pub relative: Option<Param<Tensor<2>>>,
    /// The layers in order.
    pub layers: Vec<DecoderLayer>,
    /// Of the output, pre-LN only.
    pub norm: Option<LayerNorm>,
    layer_drop: f64,
    recompute: bool,
}

/// Self-attention, cross-attention and feed-forward with residuals.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// `self_attn`.
    pub self_attention: Attention,
    /// `self_attn_layer_norm`.
    pub self_attention_norm: LayerNorm,
    /// `encoder_attn`.
    pub cross_attention: Attention,
    /// `encoder_attn_layer_norm`.
    pub cross_attention_norm: LayerNorm,
    /// `fc1`, `fc2`.
    pub feed_forward: FeedForward,
    /// `final_layer_norm`.
    pub feed_forward_norm: LayerNorm,
    pre_norm: bool,
    dropout: f64,
}

/// What a [`Decoder`] returns.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Output of the stack, `[batch, time, width]`.
    pub states: Tensor<3>,
    /// Cross-attention weights of each layer that ran, `[batch, heads, time, memory time]`; empty unless asked for.
    pub cross_weights: Vec<Tensor<4>>,
}

/// Keys and values of one batch of hypotheses: of the memory, and of the positions decoded so far.
///
/// Both stay where they were written. A hypothesis is a row of what is decoded next, and knows which row of the memory
/// it attends to, as it knows its past ([`PastCache`]): the branches of a beam share both.
#[derive(Clone, Debug)]
pub struct DecoderCache {
    memory: Vec<KeyValue>,
    memory_padding: Option<Tensor<2, Bool>>,
    /// Of each hypothesis, its row of the memory.
    memory_rows: Vec<u32>,
    past: PastCache,
}

impl DecoderCache {
    /// Makes row `rows[i]` the new row i; rows that do not occur are dropped, a row may occur more than once.
    pub fn select(&mut self, rows: &[usize]) {
        self.memory_rows = rows.iter().map(|&row| self.memory_rows[row]).collect();
        self.past.select(rows);
    }

    /// Positions decoded so far.
    pub fn len(&self) -> usize {
        self.past.len()
    }

    /// Whether nothing was decoded yet.
    pub fn is_empty(&self) -> bool {
        self.past.is_empty()
    }
}

impl Decoder {
    /// Teacher-forced pass.
    ///
    /// `x` is `[batch, time, width]`, valid up to `lengths`; `memory` is `[batch, memory time, width]`, valid up to
    /// `memory_lengths`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        memory: Tensor<3>,
        memory_lengths: &[usize],
        weights: bool,
        mode: Mode,
    ) -> Decoded {
        let time = x.dims()[1];
        let own = Attended {
            padding: is_padded(lengths, time).then(|| padding_mask(lengths, time, &x.device())),
            causal: true,
            relative: self.relative.as_ref().map(Param::val),
            ..Attended::default()
        };
        let padding = Self::memory_padding(&memory, memory_lengths);
        let cross = Attended { padding, weights, ..Attended::default() };
        let mut x = x;
        let mut cross_weights = Vec::new();
        for (n, layer) in self.layers.iter().enumerate() {
            let mode = mode.fold("layer").fold(n);
            if mode.fold("skip").coin(self.layer_drop) {
                continue;
            }
            let memory = layer.cross_attention.keys_and_values(memory.clone());
            // Attention weights would be a second output.
            if self.recompute && mode.is_train() && !weights {
                x = self.again(layer, x, memory, [own.padding.clone(), cross.padding.clone()], mode);
                continue;
            }
            let past = |x| layer.self_attention.keys_and_values(x);
            let (next, layer_weights) = layer.forward(x, past, own.clone(), memory, cross.clone(), mode);
            x = next;
            cross_weights.extend(layer_weights);
        }
        Decoded { states: self.finish(x), cross_weights }
    }

    /// A layer that keeps only its inputs and runs again in the backward pass; `padding` of its own time and of the
    /// memory's.
    fn again(
        &self,
        layer: &DecoderLayer,
        x: Tensor<3>,
        memory: KeyValue,
        padding: [Option<Tensor<2, Bool>>; 2],
        mode: Mode,
    ) -> Tensor<3> {
        let block = (layer.clone(), self.relative.clone());
        let [own, cross] = padding.map(|padding| padding.map(Tensor::inner));
        let run = move |(layer, relative): &(DecoderLayer, Option<Param<Tensor<2>>>), inputs: [DispatchTensor; 3]| {
            let [x, key, value] = inputs;
            let relative = relative.as_ref().map(Param::val);
            let own = Attended { padding: own.clone(), causal: true, relative, ..Attended::default() };
            let cross = Attended { padding: cross.clone(), ..Attended::default() };
            let memory = KeyValue { key: Tensor::from_dispatch(key), value: Tensor::from_dispatch(value) };
            let past = |x| layer.self_attention.keys_and_values(x);
            layer.forward(Tensor::from_dispatch(x), past, own, memory, cross, mode).0
        };
        let inputs = [x.into_dispatch(), memory.key.into_dispatch(), memory.value.into_dispatch()];
        vocable_kernels::recompute(&block, inputs, run)
    }

    /// Starts incremental decoding over a memory `[batch, memory time, width]`, valid up to `memory_lengths`.
    pub fn start(&self, memory: &Tensor<3>, memory_lengths: &[usize]) -> DecoderCache {
        let rows = 0..memory.dims()[0] as u32;
        DecoderCache {
            memory: self.layers.iter().map(|layer| layer.cross_attention.keys_and_values(memory.clone())).collect(),
            memory_padding: Self::memory_padding(memory, memory_lengths),
            past: PastCache::new(self.layers.len(), rows.len()),
            memory_rows: rows.collect(),
        }
    }

    /// Decodes the next positions `[batch, new time, width]` (usually one) after those in the cache, without dropout.
    pub fn step(&self, x: Tensor<3>, cache: &mut DecoderCache, weights: bool) -> Decoded {
        let own = cache.past.advance(x.dims()[1]);
        let memory_time = cache.memory.first().map_or(0, |memory| memory.key.dims()[2]);
        let memory_rows = || cache.memory_rows.iter().flat_map(|&row| std::iter::repeat_n(row, memory_time)).collect();
        let own = Attended { relative: self.relative.as_ref().map(Param::val), ..own };
        let cross = Attended {
            rows: cache.past.moved().then(memory_rows),
            padding: cache.memory_padding.clone(),
            weights,
            ..Attended::default()
        };
        let mut x = x;
        let mut cross_weights = Vec::new();
        for ((layer, memory), past) in self.layers.iter().zip(&cache.memory).zip(&mut cache.past.layers) {
            let extend = |x| past.extend(layer.self_attention.keys_and_values(x));
            let (next, layer_weights) =
                layer.forward(x, extend, own.clone(), memory.clone(), cross.clone(), Mode::Eval);
            x = next;
            cross_weights.extend(layer_weights);
        }
        Decoded { states: self.finish(x), cross_weights }
    }

    fn memory_padding(memory: &Tensor<3>, lengths: &[usize]) -> Option<Tensor<2, Bool>> {
        let time = memory.dims()[1];
        is_padded(lengths, time).then(|| padding_mask(lengths, time, &memory.device()))
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

impl DecoderLayer {
    /// `past` projects the (normalised) input to the keys and values that self-attention sees.
    fn forward(
        &self,
        x: Tensor<3>,
        past: impl FnOnce(Tensor<3>) -> KeyValue,
        own: Attended,
        memory: KeyValue,
        cross: Attended,
        mode: Mode,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let mut weights = None;
        let x = residual(x, &self.self_attention_norm, self.pre_norm, self.dropout, mode.fold("looked_back"), |x| {
            let keys = past(x.clone());
            self.self_attention.forward(x, keys, own, mode.fold("self_attention")).0
        });
        let x = residual(x, &self.cross_attention_norm, self.pre_norm, self.dropout, mode.fold("looked_across"), |x| {
            let (context, w) = self.cross_attention.forward(x, memory, cross, mode.fold("cross_attention"));
            weights = w;
            context
        });
        let x = residual(x, &self.feed_forward_norm, self.pre_norm, self.dropout, mode.fold("fed"), |x| {
            self.feed_forward.forward(x, mode.fold("feed_forward"))
        });
        (x, weights)
    }
}
