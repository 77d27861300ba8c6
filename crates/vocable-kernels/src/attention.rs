//! Scaled dot-product attention with relative positions, padding, causality and dropout.

use burn::tensor::{Bool, Tensor};
use vocable_random::Key;

use crate::composed;
use crate::fused::{self, Attention, Dropout, Level};

/// What [`attention`] works on.
#[derive(Clone, Debug)]
pub struct AttentionInput {
    /// Queries `[batch, head, query, channel]`, already scaled (by 1/√channel in the Transformer).
    pub q: Tensor<4>,
    /// Keys `[batch, head, key, channel]`.
    pub k: Tensor<4>,
    /// Values `[batch, head, key, channel]`.
    pub v: Tensor<4>,
    /// Relative position table `[2 * reach, channel]`, shared by the heads: row `clip(i − j, −reach, reach − 1) + reach`
    /// belongs to query position `i` and key position `j`; its product with the query is added to the logit.
    pub relative: Option<Tensor<2>>,
    /// `[batch, key]`, `true` = this key is padding and gets weight exactly 0.
    pub padding: Option<Tensor<2, Bool>>,
    /// Whether a query sees only keys up to its own position. The queries are then the last positions of the keys,
    /// so that a single new query attends to a cache of earlier keys.
    pub causal: bool,
    /// Dropout of the attention weights: its probability and key. `None` at inference.
    pub dropout: Option<(f64, Key)>,
    /// Whether to return the attention weights, too.
    pub weights: bool,
}

impl AttentionInput {
    /// Plain attention over all keys: no relative positions, mask or dropout.
    pub fn new(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Self {
        Self { q, k, v, relative: None, padding: None, causal: false, dropout: None, weights: false }
    }
}

/// `softmax(q kᵀ + relative + masks) v`: the context `[batch, head, query, channel]` and, where asked for, the weights
/// `[batch, head, query, key]` before dropout.
///
/// Relative positions follow Shaw et al. 2018 on the key side only. A query that may see no key at all gets a context
/// of zeros and passes no gradient.
///
/// # Panics
/// If the sizes do not fit, or there are more causal queries than keys.
pub fn attention(input: AttentionInput) -> (Tensor<4>, Option<Tensor<4>>) {
    let [batch, heads, queries, channels] = input.q.dims();
    let [_, _, keys, _] = input.k.dims();
    assert_eq!(input.k.dims(), [batch, heads, keys, channels], "attention: the keys do not fit the queries");
    assert_eq!(input.v.dims()[..3], [batch, heads, keys], "attention: the values do not fit the keys");
    assert!(!input.causal || queries <= keys, "causal attention of {queries} queries over only {keys} keys");
    if let Some(table) = &input.relative {
        let [rows, width] = table.dims();
        assert!(rows > 0 && rows % 2 == 0, "attention: a relative table of {rows} rows is not 2 * reach");
        assert_eq!(width, channels, "attention: the relative table is not as wide as the queries");
    }
    if let Some(padding) = &input.padding {
        assert_eq!(padding.dims(), [batch, keys], "attention: the padding mask does not fit the keys");
    }
    // The fused kernel never holds all weights.
    if !input.weights
        && fused::runs_on(&input.q.clone().into_dispatch())
        && let Some(context) = fused(&input)
    {
        return (context, None);
    }
    composed::attention(input)
}

fn fused(input: &AttentionInput) -> Option<Tensor<4>> {
    let level = Level::detect();
    let dropout = input.dropout.filter(|(probability, _)| *probability > 0.0);
    let kernel = Attention {
        level,
        padding: input.padding.as_ref().map(|padding| padding.to_data().iter::<bool>().collect()),
        causal: input.causal,
        dropout: dropout.map(|(probability, key)| Dropout::new(level, probability, key)),
    };
    let [q, k, v] = [&input.q, &input.k, &input.v].map(|tensor| tensor.clone().into_dispatch());
    match &input.relative {
        Some(table) => fused::run(&kernel, [q, k, v, table.clone().into_dispatch()]).ok(),
        None => fused::run(&kernel, [q, k, v]).ok(),
    }
}
