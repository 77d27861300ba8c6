use std::sync::Arc;

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

/// What a query may look at.
#[derive(Clone, Debug, Default)]
pub struct Attended {
    /// Where keys lie that are shared, `[batch, key time]`: of every query row and key the row of the memory and of
    /// `padding`; each its own where none are given.
    pub rows: Option<Arc<[u32]>>,
    /// Keys to ignore, `[batch, key time]` (of the memory), true = padding.
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
            rows: attended.rows,
            relative,
            padding: attended.padding,
            causal: attended.causal,
            dropout: mode.key().map(|key| (self.dropout, key)),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative term the long way: one vector per pair of positions, as the official code builds it.
    fn dense(q: &Tensor<3>, k: &Tensor<3>, table: &Tensor<2>) -> Tensor<3> {
        let [heads, time, width] = q.dims();
        let reach = table.dims()[0] / 2;
        let rows: Vec<i64> = (0..time as i64)
            .flat_map(|i| {
                let reach = reach as i64;
                (0..time as i64).map(move |j| (i - j).clamp(-reach, reach - 1) + reach)
            })
            .collect();
        let rows = Tensor::<1, burn::tensor::Int>::from_data(rows.as_slice(), &q.device());
        let pairs = table.clone().select(0, rows).reshape([time, time, width]);
        // [time, heads, width] x [time, width, time] -> [time, heads, time]
        let relative = q.clone().swap_dims(0, 1).matmul(pairs.swap_dims(1, 2)).swap_dims(0, 1);
        assert_eq!(relative.dims(), [heads, time, time]);
        burn::tensor::activation::softmax(q.clone().matmul(k.clone().swap_dims(1, 2)) + relative, 2)
    }

    #[test]
    fn gathered_relative_positions_equal_dense_ones_beyond_their_reach() {
        let device = burn::tensor::Device::flex();
        let init = Init::new(vocable_random::Key::new(4), &device);
        // Longer than twice the reach of the published models, so that both ends are clipped.
        let (heads, time, width, reach) = (2, 330, 8, 160);
        let draw = |name: &str| init.fold(name).normal::<4>([1, heads, time, width], 1.0);
        let (q, k, v) = (draw("q"), draw("k"), draw("v"));
        let table = init.fold("table").normal::<2>([2 * reach, width], 1.0);
        let input =
            AttentionInput { relative: Some(table.clone()), ..AttentionInput::new(q.clone(), k.clone(), v.clone()) };
        let (context, _) = vocable_kernels::attention(input);
        let weights = dense(&q.squeeze_dim(0), &k.squeeze_dim(0), &table);
        let expected = weights.matmul(v.squeeze_dim(0));
        let difference = (context.squeeze_dim::<3>(0) - expected).abs().max().into_scalar::<f32>();
        // Values of order one, sums over 330 keys in f32.
        assert!(difference < 1e-5, "{difference}");
    }
}
