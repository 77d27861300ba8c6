use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use vocable_kernels::AttentionInput;

use crate::{Init, LayerNorm, Linear, Mode};

/// Multi-head scaled dot-product attention; keys and values are projected apart from queries so that they can be kept.
#[derive(Module, Debug)]
pub struct Attention {
    /// `q_proj` in the official code.
    pub query: Linear,
    /// `k_proj`.
    pub key: Linear,
    /// `v_proj`.
    pub value: Linear,
    /// `out_proj`.
    pub output: Linear,
    /// Normalises the relative-position table first (`norm_k`; pre-LN models only, spec section 4.3).
    pub table_norm: Option<LayerNorm>,
    heads: usize,
    dropout: f64,
}

/// Projected keys and values, `[batch, heads, time, width / heads]` each.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// Keys.
    pub key: Tensor<4>,
    /// Values.
    pub value: Tensor<4>,
}

impl KeyValue {
    /// Appends later positions.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self { key: Tensor::cat(vec![self.key, later.key], 2), value: Tensor::cat(vec![self.value, later.value], 2) }
    }
}

/// What a query may look at.
#[derive(Clone, Debug, Default)]
pub struct Attended {
    /// Keys to ignore, `[batch, key time]`, true = padding.
    pub padding: Option<Tensor<2, Bool>>,
    /// Whether position i sees positions up to i only (queries are the last positions of the keys).
    pub causal: bool,
    /// Relative-position table `[2 · reach, width / heads]`: row `clip(i − j, −reach, reach − 1) + reach` is added to
    /// key j as query i sees it.
    pub relative: Option<Tensor<2>>,
    /// Whether to return the attention weights.
    pub weights: bool,
}

impl Attention {
    /// `normalise_table` for pre-LN models with relative positions.
    pub fn new(width: usize, heads: usize, dropout: f64, normalise_table: bool, init: &Init) -> Self {
        assert!(width.is_multiple_of(heads), "the width {width} does not divide into {heads} heads");
        let linear = |name: &str| Linear::new(width, width, &init.fold(name));
        Self {
            query: linear("query"),
            key: linear("key"),
            value: linear("value"),
            output: linear("output"),
            table_norm: normalise_table.then(|| LayerNorm::new(width / heads, init.device())),
            heads,
            dropout,
        }
    }

    /// Projects what will be attended to: `[batch, time, width]`.
    pub fn keys_and_values(&self, x: Tensor<3>) -> KeyValue {
        KeyValue { key: self.split(self.key.forward(x.clone())), value: self.split(self.value.forward(x)) }
    }

    /// Queries `[batch, time, width]` → context of the same shape and, if asked for, the attention weights
    /// `[batch, heads, query time, key time]` before dropout.
    ///
    /// The query is scaled by `head width^-½` before both the content and the relative-position product (spec 4.3).
    pub fn forward(
        &self,
        x: Tensor<3>,
        memory: KeyValue,
        attended: Attended,
        mode: Mode,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let [batch, time, width] = x.dims();
        let scale = ((width / self.heads) as f64).powf(-0.5);
        let relative = attended.relative.map(|table| match &self.table_norm {
            Some(norm) => norm.forward(table),
            None => table,
        });
        let (context, weights) = vocable_kernels::attention(AttentionInput {
            q: self.split(self.query.forward(x) * scale),
            k: memory.key,
            v: memory.value,
            relative,
            padding: attended.padding,
            causal: attended.causal,
            dropout: mode.key().filter(|_| self.dropout > 0.0).map(|key| (self.dropout, key)),
            weights: attended.weights,
        });
        let context = context.swap_dims(1, 2).reshape([batch, time, width]);
        (self.output.forward(context), weights)
    }

    /// `[batch, time, width]` → `[batch, heads, time, width / heads]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, time, width] = x.dims();
        x.reshape([batch, time, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}
