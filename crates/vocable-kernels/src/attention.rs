//! Scaled dot-product attention with relative positions, padding, causality and dropout.

use std::sync::Arc;

use burn::tensor::{Bool, DType, Tensor};
use vocable_random::Key;

use crate::composed;
use crate::fused::few_queries::{FEW, FewQueries};
use crate::fused::{self, Array, Attention, Dropout, Level};
use crate::ops::check_probability;

/// What [`attention`] works on.
#[derive(Clone, Debug)]
pub struct AttentionInput {
    /// Queries `[batch, head, query, channel]`, already scaled (by 1/√channel in the Transformer).
    pub q: Tensor<4>,
    /// Keys `[batch, head, key, channel]`.
    pub k: Tensor<4>,
    /// Values `[batch, head, key, channel]`.
    pub v: Tensor<4>,
    /// Where keys lie that are shared, `[batch, key]`: of every row of the queries and each key the row of `k`, `v` and
    /// `padding`, which may then have any number of rows. Row i of the queries attends to row i where none are given.
    pub rows: Option<Arc<[u32]>>,
    /// Relative position table `[2 * reach, channel]`, shared by the heads: row `clip(i − j, −reach, reach − 1) + reach`
    /// belongs to query position `i` and key position `j`; its product with the query is added to the logit.
    pub relative: Option<Tensor<2>>,
    /// `[batch, key]`, `true` = this key is padding and gets weight exactly 0. Key and value must be finite there all the
    /// same, since they may be multiplied by that 0.
    pub padding: Option<Tensor<2, Bool>>,
    /// Whether a query sees only keys up to its own position. The queries are then the last positions of the keys,
    /// so that a single new query attends to a cache of earlier keys.
    pub causal: bool,
    /// Dropout of the attention weights: its probability and key. `None` at inference; in training it is given where nothing
    /// is dropped, too (probability 0), and then tells that a gradient may be asked for.
    pub dropout: Option<(f64, Key)>,
    /// Whether to return the attention weights, too.
    pub weights: bool,
}

impl AttentionInput {
    /// Plain attention over all keys: no relative positions, mask or dropout. Queries `[batch, head, query, channel]`, already
    /// scaled; keys and values `[batch, head, key, channel]`, of which the values may have other channels.
    pub fn new(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Self {
        Self { q, k, v, rows: None, relative: None, padding: None, causal: false, dropout: None, weights: false }
    }
}

/// `softmax(q kᵀ + relative + masks) v`: the context `[batch, head, query, channel]` and, where asked for, the weights
/// `[batch, head, query, key]` before dropout.
///
/// Keys and values may be `bf16`; everything is computed in the type of the queries. Relative positions follow Shaw et
/// al. 2018 on the key side only. A query that may see no key at all gets a context of zeros and passes no gradient.
///
/// # Panics
/// If the sizes do not fit, there are more causal queries than keys, or unless 0 ≤ dropout's probability < 1.
pub fn attention(input: AttentionInput) -> (Tensor<4>, Option<Tensor<4>>) {
    let [batch, heads, queries, channels] = input.q.dims();
    let [stored, _, keys, _] = input.k.dims();
    assert_eq!(input.k.dims(), [stored, heads, keys, channels], "attention: the keys do not fit the queries");
    assert_eq!(input.v.dims()[..3], [stored, heads, keys], "attention: the values do not fit the keys");
    match &input.rows {
        Some(rows) => assert_eq!(rows.len(), batch * keys, "attention: one row per query row and key"),
        None => assert_eq!(stored, batch, "attention: the keys do not fit the queries"),
    }
    assert!(!input.causal || queries <= keys, "causal attention of {queries} queries over only {keys} keys");
    if let Some(table) = &input.relative {
        let [rows, width] = table.dims();
        assert!(rows > 0 && rows % 2 == 0, "attention: a relative table of {rows} rows is not 2 * reach");
        assert_eq!(width, channels, "attention: the relative table is not as wide as the queries");
    }
    if let Some((probability, _)) = input.dropout {
        check_probability(probability);
    }
    if let Some(padding) = &input.padding {
        assert_eq!(padding.dims(), [stored, keys], "attention: the padding mask does not fit the keys");
    }
    // What is without a graph in training may be run again in one ([`crate::recompute`]), and must give the same bits there.
    if queries <= FEW
        && keys > 0
        && input.dropout.is_none()
        && let Some(found) = few_queries(&input, Level::detect())
    {
        return found;
    }
    // The fused kernel never holds all weights, and knows of no shared rows.
    if !input.weights
        && input.rows.is_none()
        && fused::runs_on(&input.q.clone().into_dispatch())
        && let Some(context) = fused(&input)
    {
        return (context, None);
    }
    composed::attention(input)
}

/// The kernel for a few queries, where it can run.
pub(crate) fn few_queries(input: &AttentionInput, level: Level) -> Option<(Tensor<4>, Option<Tensor<4>>)> {
    let on_cpu = |tensor: &Tensor<4>, types: &[DType]| fused::plain(&tensor.clone().into_dispatch(), types);
    let q = Array::strided(on_cpu(&input.q, &[DType::F32])?);
    let types = [DType::F32, DType::BF16];
    let kept = |tensor| on_cpu(tensor, &types).filter(fused::walkable);
    let (k, v) = (kept(&input.k)?, kept(&input.v)?);
    let table = match &input.relative {
        Some(table) => Some(Array::from_flex(fused::plain(&table.clone().into_dispatch(), &[DType::F32])?)),
        None => None,
    };
    let padding = input.padding.as_ref().map(flags);
    let kernel = FewQueries { level, rows: input.rows.as_deref(), padding: padding.as_deref(), causal: input.causal };
    let (context, weights) = (k.dtype() == v.dtype()).then(|| kernel.run(&q, &k, &v, table.as_ref()))?;
    Some((context.into_tensor(), input.weights.then(|| weights.into_tensor())))
}

fn flags(mask: &Tensor<2, Bool>) -> Vec<bool> {
    mask.to_data().iter::<bool>().collect()
}

fn fused(input: &AttentionInput) -> Option<Tensor<4>> {
    let level = Level::detect();
    let dropout = input.dropout.filter(|(probability, _)| *probability > 0.0);
    let kernel = Attention {
        level,
        padding: input.padding.as_ref().map(flags),
        causal: input.causal,
        dropout: dropout.map(|(probability, key)| Dropout::new(level, probability, key)),
    };
    let [q, k, v] = [&input.q, &input.k, &input.v].map(|tensor| tensor.clone().into_dispatch());
    match &input.relative {
        Some(table) => fused::run(&kernel, [q, k, v, table.clone().into_dispatch()]).ok(),
        None => fused::run(&kernel, [q, k, v]).ok(),
    }
}
