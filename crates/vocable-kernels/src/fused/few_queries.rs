//! Attention of a few queries, as in decoding step by step: keys and values are read where they lie, once, in order.
//!
//! There is nothing to keep for a backward pass and nothing to tile: the logits of all heads of a query fit a cache.

use rayon::prelude::*;

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, bf16};

use super::attention::rows;
use super::buffer::Array;
use super::few_rows::Element;
use super::level::{Level, vectorised};
use super::math::{mul_add, sum_of_lanes};

/// Queries of a head up to which this is faster than whole tiles.
pub(crate) const FEW: usize = 4;
/// Numbers in keys and values below which a second thread is not worth waking.
const JOB: usize = 1 << 17;

/// What the queries may look at.
#[derive(Debug)]
pub(crate) struct FewQueries<'a> {
    pub(crate) level: Level,
    /// Where a key lies, `[row of the queries, key]`: the row of keys, values and padding; none = their own.
    pub(crate) rows: Option<&'a [u32]>,
    /// `[row of the keys, key]`, `true` = ignored.
    pub(crate) padding: Option<&'a [bool]>,
    /// Whether a query sees only keys up to its own position; the queries are the last positions.
    pub(crate) causal: bool,
}

/// Keys or values `[row, head, time, channel]` in any strides but the last, none of which runs backwards.
#[derive(Clone, Copy, Debug)]
struct Kept<'a, E> {
    values: &'a [E],
    strides: [usize; 3],
    channels: usize,
}

impl<'a, E: Copy> Kept<'a, E> {
    fn new(tensor: &'a FlexTensor, values: &'a [E]) -> Self {
        let layout = tensor.layout();
        let strides = [0, 1, 2].map(|dim| layout.strides()[dim] as usize);
        Self { values: &values[layout.start_offset()..], strides, channels: layout.shape()[3] }
    }

    #[inline(always)]
    fn at(&self, row: usize, head: usize, time: usize) -> &'a [E] {
        let [rows, heads, times] = self.strides;
        &self.values[row * rows + head * heads + time * times..][..self.channels]
    }
}

/// Some heads of one query.
#[derive(Clone, Copy, Debug)]
struct Heads<'a> {
    /// `[head, channel]`
    q: &'a [f32],
    /// The first head's number.
    first: usize,
    /// The row of the queries.
    row: usize,
    /// The number of keys the query may see.
    seen: usize,
    /// The query's position among the keys.
    position: usize,
}

impl FewQueries<'_> {
    /// Context and weights of queries `[row, head, query, channel]`; keys and values are `f32` or `bf16` and
    /// [`walkable`](super::walkable).
    pub(crate) fn run(&self, q: &Array, k: &FlexTensor, v: &FlexTensor, table: Option<&Array>) -> (Array, Array) {
        match k.dtype() {
            DType::F32 => self.run_on::<f32>(q, Kept::new(k, k.storage()), Kept::new(v, v.storage()), k, table),
            _ => self.run_on::<bf16>(q, Kept::new(k, k.storage()), Kept::new(v, v.storage()), k, table),
        }
    }

    fn run_on<E: Attend>(
        &self,
        q: &Array,
        k: Kept<E>,
        v: Kept<E>,
        shape: &FlexTensor,
        table: Option<&Array>,
    ) -> (Array, Array) {
        let [rows, heads, queries, channels] = q.dims();
        let (keys, width) = (shape.layout().shape()[2], v.channels);
        let parallel = rows * heads * keys * (channels + width) >= JOB;
        // Heads are shared among threads where there are fewer rows than threads.
        let wanted = if parallel { rayon::current_num_threads().div_ceil((rows * queries).max(1)) } else { 1 };
        let shares = (1..=wanted.min(heads)).rfind(|&shares| heads.is_multiple_of(shares)).unwrap_or(1);
        let share = heads / shares;
        let mut context = vec![0.0; rows * queries * heads * width];
        let mut weights = vec![0.0; rows * queries * heads * keys];
        let job = |(job, (context, weights)): (usize, (&mut [f32], &mut [f32]))| {
            let (row, query, first) = (job / shares / queries, job / shares % queries, job % shares * share);
            let q: Vec<f32> =
                (first..first + share).flat_map(|head| q.head(row * heads + head).row(query)).copied().collect();
            let position = if self.causal { keys - queries + query } else { query };
            let seen = if self.causal { position + 1 } else { keys };
            let query = Heads { q: &q, first, row, seen, position };
            E::logits(self.level, self, query, &k, weights);
            if let Some(table) = table {
                add_relative(self.level, query, table, weights);
            }
            for weights in weights.chunks_exact_mut(keys) {
                rows::softmax(self.level, &mut weights[..seen]);
            }
            E::context(self.level, self, query, &v, weights, context);
        };
        let (contexts, all) = (share * width, share * keys);
        match parallel {
            true => context.par_chunks_mut(contexts).zip(weights.par_chunks_mut(all)).enumerate().for_each(job),
            false => context.chunks_mut(contexts).zip(weights.chunks_mut(all)).enumerate().for_each(job),
        }
        (
            Array::heads_last(context, [rows, queries, heads, width]),
            Array::heads_last(weights, [rows, queries, heads, keys]),
        )
    }

    /// The row of the keys in which a row of the queries finds a key.
    #[inline(always)]
    fn place(&self, row: usize, key: usize, keys: usize) -> usize {
        self.rows.map_or(row, |rows| rows[row * keys + key] as usize)
    }
}

/// The element types of keys and values, each with its loops compiled for every level.
trait Attend: Element {
    /// The logits `[head, key]` of all keys that may be seen; −∞ for padding.
    fn logits(level: Level, options: &FewQueries, query: Heads, keys: &Kept<Self>, logits: &mut [f32]);

    /// Adds the values, weighted, to the context `[head, channel]`.
    fn context(
        level: Level,
        options: &FewQueries,
        query: Heads,
        values: &Kept<Self>,
        weights: &[f32],
        context: &mut [f32],
    );
}

macro_rules! attend {
    ($type:ty, $logits:ident, $context:ident) => {
        vectorised! {
            fn $logits<const FMA>(options: &FewQueries, query: Heads, keys: &Kept<$type>, logits: &mut [f32]) {
                logits_of::<$type, FMA>(options, query, keys, logits);
            }
        }

        vectorised! {
            fn $context<const FMA>(
                options: &FewQueries,
                query: Heads,
                values: &Kept<$type>,
                weights: &[f32],
                context: &mut [f32],
            ) {
                context_of::<$type, FMA>(options, query, values, weights, context);
            }
        }

        impl Attend for $type {
            fn logits(level: Level, options: &FewQueries, query: Heads, keys: &Kept<Self>, logits: &mut [f32]) {
                $logits(level, options, query, keys, logits);
            }

            fn context(
                level: Level,
                options: &FewQueries,
                query: Heads,
                values: &Kept<Self>,
                weights: &[f32],
                context: &mut [f32],
            ) {
                $context(level, options, query, values, weights, context);
            }
        }
    };
}

attend!(f32, logits_f32, context_f32);
attend!(bf16, logits_bf16, context_bf16);

#[inline(always)]
fn logits_of<E: Element, const FMA: bool>(options: &FewQueries, query: Heads, keys: &Kept<E>, logits: &mut [f32]) {
    let Heads { q, first, row, seen, .. } = query;
    let stride = logits.len() / (q.len() / keys.channels);
    for key in 0..seen {
        let place = options.place(row, key, stride);
        let hidden = options.padding.is_some_and(|padding| padding[place * stride + key]);
        for (n, q) in q.chunks_exact(keys.channels).enumerate() {
            let logit = &mut logits[n * stride + key];
            *logit = if hidden { f32::NEG_INFINITY } else { dot::<E, FMA>(q, keys.at(place, first + n, key)) };
        }
    }
}

#[inline(always)]
fn context_of<E: Element, const FMA: bool>(
    options: &FewQueries,
    query: Heads,
    values: &Kept<E>,
    weights: &[f32],
    context: &mut [f32],
) {
    let Heads { first, row, seen, .. } = query;
    let stride = weights.len() / (context.len() / values.channels);
    for key in 0..seen {
        let place = options.place(row, key, stride);
        // What lies under a hidden key must not matter, even if it is no number.
        if options.padding.is_some_and(|padding| padding[place * stride + key]) {
            continue;
        }
        for (n, context) in context.chunks_exact_mut(values.channels).enumerate() {
            let weight = weights[n * stride + key];
            for (sum, value) in context.iter_mut().zip(values.at(place, first + n, key)) {
                *sum = mul_add::<FMA>(weight, value.widen(), *sum);
            }
        }
    }
}

/// Σ a·b, in an order that depends on the length only.
#[inline(always)]
fn dot<E: Element, const FMA: bool>(a: &[f32], b: &[E]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((lane, &a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = mul_add::<FMA>(a, b.widen(), *lane);
        }
    }
    for ((lane, &a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = mul_add::<FMA>(a, b.widen(), *lane);
    }
    sum_of_lanes(lanes)
}

vectorised! {
    /// Adds the product of the query with the relative position of every key it sees to the logits.
    fn add_relative<const FMA>(query: Heads, table: &Array, logits: &mut [f32]) {
        let Heads { q, seen, position, .. } = query;
        let channels = table.width();
        let stride = logits.len() / (q.len() / channels);
        let reach = (table.shape()[0] / 2) as isize;
        for (q, logits) in q.chunks_exact(channels).zip(logits.chunks_exact_mut(stride)) {
            for (key, logit) in logits[..seen].iter_mut().enumerate() {
                let distance = (position as isize - key as isize).clamp(-reach, reach - 1);
                *logit += dot::<f32, FMA>(q, &table.values()[(distance + reach) as usize * channels..][..channels]);
            }
        }
    }
}
