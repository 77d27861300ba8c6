//! Attention, one job per head: logits exist only for a tile of queries at a time and are recomputed in the backward
//! pass, of which only each row's normaliser is kept (Dao et al. 2022).

mod relative;
pub(super) mod rows;

use rayon::prelude::*;

use super::Kernel;
use super::buffer::{Array, Parts, sum};
use super::dropout::Dropout;
use super::level::Level;
use super::product::{Matrix, Threads, add_product, set_product};
use relative::Table;

/// Inputs: q, k, v `[batch, head, time, channel]` in any strides, and a table of relative positions if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) level: Level,
    /// `[batch, key]`, `true` = ignored.
    pub(crate) padding: Option<Vec<bool>>,
    /// Whether a query sees only keys up to its own position; the queries are the last positions.
    pub(crate) causal: bool,
    pub(crate) dropout: Option<Dropout>,
}

#[derive(Clone, Debug)]
pub(crate) struct Saved {
    q: Array,
    k: Array,
    v: Array,
    table: Option<Array>,
    /// Of each head and query: the logarithm of the sum of exponentials of its logits; ∞ where it sees no key.
    normalisers: Vec<Vec<f32>>,
}

/// The memory of one thread's jobs.
#[derive(Default)]
struct Scratch {
    /// `[tile, key]`: logits, then weights.
    weights: Vec<f32>,
    /// `[tile, key]`: gradients of the weights, then of the logits.
    gradients: Vec<f32>,
    /// `[tile, relative position]`
    relative: Vec<f32>,
    /// `[key]`
    row: Vec<f32>,
}

impl<const N: usize> Kernel<N> for Attention {
    type Saved = Saved;
    const STRIDED: bool = true;

    fn forward(&self, inputs: [Array; N]) -> (Array, Saved) {
        let [q, k, v] = [0, 1, 2].map(|input| inputs[input].clone());
        let table = inputs.get(3).cloned().map(Array::packed);
        let reversed = table.as_ref().map(Table::new);
        let [batch, heads, queries, _] = q.dims();
        let (contexts, normalisers): (Vec<_>, Vec<_>) = (0..batch * heads)
            .into_par_iter()
            .map_init(Scratch::default, |scratch, index| {
                self.head(index, [&q, &k, &v], reversed.as_ref()).forward(scratch)
            })
            .unzip();
        let context = interleave(contexts, heads, queries, v.width());
        (context, Saved { q, k, v, table, normalisers })
    }

    fn backward(&self, saved: Saved, gradient: Array, _: [bool; N]) -> [Option<Array>; N] {
        let Saved { q, k, v, table, normalisers } = saved;
        let reversed = table.as_ref().map(Table::new);
        let [batch, heads, queries, channels] = q.dims();
        let [_, _, keys, value_channels] = v.dims();
        let found: Vec<HeadGradients> = (0..batch * heads)
            .into_par_iter()
            .map_init(Scratch::default, |scratch, index| {
                let head = self.head(index, [&q, &k, &v], reversed.as_ref());
                head.backward(gradient.head(index), &normalisers[index], scratch)
            })
            .collect();
        let (mut dq, mut dk, mut dv, mut dt) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for head in found {
            dq.push(head.q);
            dk.push(head.k);
            dv.push(head.v);
            dt.push(head.table);
        }
        let mut gradients = [
            Some(interleave(dq, heads, queries, channels)),
            Some(interleave(dk, heads, keys, channels)),
            Some(interleave(dv, heads, keys, value_channels)),
            table.map(|table| {
                let mut found = sum(dt);
                // A batch of nothing.
                found.resize(table.values().len(), 0.0);
                Array::new(Table::restore(&found, channels), table.shape())
            }),
        ];
        std::array::from_fn(|input| gradients[input].take())
    }
}

impl Attention {
    fn head<'a>(&'a self, index: usize, [q, k, v]: [&'a Array; 3], table: Option<&'a Table>) -> Head<'a> {
        let [_, heads, queries, _] = q.dims();
        let keys = k.shape()[2];
        let padding = self.padding.as_ref().map(|padding| &padding[index / heads * keys..][..keys]);
        let visible = match padding {
            Some(padding) => padding.iter().rposition(|hidden| !hidden).map_or(0, |last| last + 1),
            None => keys,
        };
        Head {
            options: self,
            index,
            q: q.head(index),
            k: k.head(index).top(visible),
            v: v.head(index).top(visible),
            table,
            // Padding at the end is not even looked at; only what lies among visible keys needs a mask.
            holes: padding.map(|padding| &padding[..visible]).filter(|padding| padding.contains(&true)),
            queries,
            keys,
            visible,
            first_position: if self.causal { keys - queries } else { 0 },
        }
    }
}

/// One head of one item.
struct Head<'a> {
    options: &'a Attention,
    /// `item * heads + head`
    index: usize,
    q: Matrix<'a>,
    /// The visible keys, and values.
    k: Matrix<'a>,
    v: Matrix<'a>,
    table: Option<&'a Table>,
    holes: Option<&'a [bool]>,
    queries: usize,
    keys: usize,
    /// Keys up to the last that is not padding.
    visible: usize,
    /// The position of the first query among the keys.
    first_position: usize,
}

struct HeadGradients {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    table: Vec<f32>,
}

impl Head<'_> {
    /// The context `[query, channel]` and each query's normaliser.
    fn forward(&self, scratch: &mut Scratch) -> (Vec<f32>, Vec<f32>) {
        let width = self.v.columns();
        let mut context = vec![0.0; self.queries * width];
        let mut normalisers = vec![f32::INFINITY; self.queries];
        if self.visible == 0 {
            return (context, normalisers);
        }
        for (start, end) in self.tiles() {
            self.logits(start, end, scratch);
            let rows = scratch.weights.chunks_exact_mut(self.visible).zip(&mut normalisers[start..end]);
            for (query, (row, normaliser)) in (start..end).zip(rows) {
                let (seen, unseen) = row.split_at_mut(self.seen(query));
                unseen.fill(0.0);
                *normaliser = rows::softmax(self.options.level, seen);
                if let Some(dropout) = &self.options.dropout {
                    dropout.apply(self.position(query), seen);
                }
            }
            let weights = Matrix::new(&scratch.weights, end - start, self.visible, self.visible);
            set_product(weights, self.v, &mut context[start * width..end * width], width, Threads::One);
        }
        (context, normalisers)
    }

    /// The gradients of this head's inputs from that of its context.
    fn backward(&self, gradient: Matrix, normalisers: &[f32], scratch: &mut Scratch) -> HeadGradients {
        let (channels, width) = (self.q.columns(), self.v.columns());
        let mut dq = vec![0.0; self.queries * channels];
        let mut dk = vec![0.0; self.keys * channels];
        let mut dv = vec![0.0; self.keys * width];
        let mut dt = vec![0.0; self.table.map_or(0, Table::len)];
        let level = self.options.level;
        for (start, end) in if self.visible == 0 { Vec::new() } else { self.tiles() } {
            let (rows, size) = (end - start, (end - start) * self.visible);
            let (q, g) = (self.q.rows(start, end), gradient.rows(start, end));
            self.logits(start, end, scratch);
            scratch.gradients.resize(size, 0.0);
            set_product(g, self.v.transposed(), &mut scratch.gradients, self.visible, Threads::One);
            let tile = scratch.weights.chunks_exact_mut(self.visible);
            for (query, (weights, gradients)) in
                (start..end).zip(tile.zip(scratch.gradients.chunks_exact_mut(self.visible)))
            {
                let (weights, unseen) = weights.split_at_mut(self.seen(query));
                unseen.fill(0.0);
                let (gradients, unseen) = gradients.split_at_mut(weights.len());
                unseen.fill(0.0);
                rows::weights(level, weights, normalisers[query]);
                scratch.row.clear();
                scratch.row.extend_from_slice(weights);
                if let Some(dropout) = &self.options.dropout {
                    dropout.apply(self.position(query), weights);
                }
                rows::backward(level, &scratch.row, weights, gradients);
            }
            let weights = Matrix::new(&scratch.weights, rows, self.visible, self.visible);
            add_product(weights.transposed(), g, &mut dv, width, Threads::One);
            let logits = Matrix::new(&scratch.gradients, rows, self.visible, self.visible);
            let dq = &mut dq[start * channels..end * channels];
            set_product(logits, self.k, dq, channels, Threads::One);
            add_product(logits.transposed(), q, &mut dk, channels, Threads::One);
            if let Some(table) = self.table {
                let first = self.first_position + start;
                table.backward(level, q, first, logits, &mut scratch.relative, dq, &mut dt);
            }
        }
        HeadGradients { q: dq, k: dk, v: dv, table: dt }
    }

    /// The logits of queries `start..end` for all visible keys, into `scratch.weights`.
    fn logits(&self, start: usize, end: usize, scratch: &mut Scratch) {
        let q = self.q.rows(start, end);
        scratch.weights.resize((end - start) * self.visible, 0.0);
        set_product(q, self.k.transposed(), &mut scratch.weights, self.visible, Threads::One);
        if let Some(table) = self.table {
            let first = self.first_position + start;
            table.add(self.options.level, q, first, self.visible, &mut scratch.relative, &mut scratch.weights);
        }
        if let Some(holes) = self.holes {
            for row in scratch.weights.chunks_exact_mut(self.visible) {
                for (logit, &hidden) in row.iter_mut().zip(holes) {
                    *logit = if hidden { f32::NEG_INFINITY } else { *logit };
                }
            }
        }
    }

    /// How many of the visible keys a query may see.
    fn seen(&self, query: usize) -> usize {
        if self.options.causal { self.visible.min(self.first_position + query + 1) } else { self.visible }
    }

    /// The row-major position of a query's first weight: what dropout counts by.
    fn position(&self, query: usize) -> usize {
        (self.index * self.queries + query) * self.keys
    }

    /// Equal runs of at most 192 queries, so that a tile's logits stay in a core's cache.
    fn tiles(&self) -> Vec<(usize, usize)> {
        let rows = self.queries.div_ceil(self.queries.div_ceil(192).max(1)).max(1);
        (0..self.queries).step_by(rows).map(|start| (start, (start + rows).min(self.queries))).collect()
    }
}

/// `[batch, head, time, channel]` from one `[time, channel]` per head, in memory as `[batch, time, head, channel]`: that
/// is the layout the projections around attention work in.
fn interleave(parts: Vec<Vec<f32>>, heads: usize, time: usize, channels: usize) -> Array {
    let width = heads * channels;
    let length = parts.len() * time * channels;
    let (values, _) = Parts::rows(length, width).build(|start, out| {
        for (step, out) in (start / width.max(1)..).zip(out.chunks_exact_mut(width)) {
            let (item, step) = (step / time, step % time);
            for (part, out) in parts[item * heads..].iter().zip(out.chunks_exact_mut(channels)) {
                out.copy_from_slice(&part[step * channels..][..channels]);
            }
        }
    });
    Array::heads_last(values, [parts.len() / heads.max(1), time, heads, channels])
}
