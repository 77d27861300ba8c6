//! Scaled dot-product attention with relative positions, padding, causality and dropout.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, s};
use vocable_random::Key;

use crate::ops::{dropout, softmax};

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
        Self {
            q,
            k,
            v,
            relative: None,
            padding: None,
            causal: false,
            dropout: None,
            weights: false,
        }
    }
}

/// `softmax(q kᵀ + relative + masks) v`: the context `[batch, head, query, channel]` and, where asked for, the weights
/// `[batch, head, query, key]` before dropout.
///
/// Relative positions follow Shaw et al. 2018 on the key side only. A query that may see no key at all gets a context
/// of zeros and passes no gradient.
pub fn attention(input: AttentionInput) -> (Tensor<4>, Option<Tensor<4>>) {
    let AttentionInput {
        q,
        k,
        v,
        relative,
        padding,
        causal,
        dropout: drop,
        weights: return_weights,
    } = input;
    let [batch, heads, queries, _] = q.dims();
    let keys = k.dims()[2];
    assert!(
        !causal || queries <= keys,
        "causal attention of {queries} queries over only {keys} keys"
    );
    let first_query = if causal { keys - queries } else { 0 };

    let mut logits = q.clone().matmul(k.swap_dims(2, 3));
    let device = q.device();
    if let Some(table) = relative {
        logits = logits + relative_logits(q, table, first_query, keys);
    }
    let hidden = hidden(padding, causal, [batch, heads, queries, keys], &device);
    let weights = match hidden {
        None => softmax(logits),
        // A large finite number instead of −∞ keeps rows without any visible key free of NaN; the second fill makes
        // their weights, too, exactly zero and cuts their gradient.
        Some(hidden) => {
            let lowest = if logits.dtype() == DType::F16 { -6e4 } else { -1e30 };
            softmax(logits.mask_fill(hidden.clone(), lowest)).mask_fill(hidden, 0.0)
        }
    };
    let returned = return_weights.then(|| weights.clone());
    let weights = match drop {
        Some((probability, key)) => dropout(weights, probability, key),
        None => weights,
    };
    (weights.matmul(v), returned)
}

/// The keys each query must not see, `[batch, head, query, key]`, or `None` where it sees all.
fn hidden(
    padding: Option<Tensor<2, Bool>>,
    causal: bool,
    shape: [usize; 4],
    device: &Device,
) -> Option<Tensor<4, Bool>> {
    let [batch, _, queries, keys] = shape;
    let padding = padding.map(|padding| padding.reshape([batch, 1, 1, keys]).expand(shape));
    // One query at the end of its keys sees them all.
    let future = (causal && queries > 1).then(|| {
        let first = keys - queries;
        let mask: Vec<bool> = (0..queries)
            .flat_map(|i| (0..keys).map(move |j| j > first + i))
            .collect();
        Tensor::<4, Bool>::from_data(TensorData::new(mask, [1, 1, queries, keys]), device).expand(shape)
    });
    match (padding, future) {
        (Some(padding), Some(future)) => Some(padding.bool_or(future)),
        (padding, future) => padding.or(future),
    }
}

/// `logits[i, j] = q[i] · table[clip(i − j)]`, `[batch, head, query, key]`, without a tensor over (query, key, channel).
///
/// The product with the few rows of the table in reach comes out sheared: column `u` belongs to key
/// `j = u + i − (queries − 1)`. Read with rows one element shorter, the same memory is straight.
fn relative_logits(q: Tensor<4>, table: Tensor<2>, first_query: usize, keys: usize) -> Tensor<4> {
    let [batch, heads, queries, channels] = q.dims();
    let reach = (table.dims()[0] / 2) as i64;
    let width = queries + keys - 1;
    let last = (first_query + queries - 1) as i64;
    let rows: Vec<i64> = (0..width as i64)
        .map(|u| (last - u).clamp(-reach, reach - 1) + reach)
        .collect();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [width]), &q.device());
    let sheared = q
        .reshape([batch * heads * queries, channels])
        .matmul(table.select(0, rows).transpose())
        .reshape([batch, heads, queries, width]);
    if queries == 1 {
        return sheared;
    }
    sheared
        .reshape([batch, heads, queries * width])
        .slice(s![.., .., queries - 1..queries * width - 1])
        .reshape([batch, heads, queries, width - 1])
        .slice(s![.., .., .., ..keys])
}
