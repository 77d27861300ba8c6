//! Relative positions inside a tile of logits.

use std::ops::Range;

use super::rows;
use crate::fused::buffer::Array;
use crate::fused::level::Level;
use crate::fused::math::sum_of;
use crate::fused::product::{Matrix, Threads, add_product, set_product};

/// The table with its rows in reverse: the product of a query with it then rises with the key's position, so that a row
/// of logits takes one contiguous run of it, continued by its ends where the distance is clipped.
///
/// For a query at position `i`, key `j` belongs to reversed row `clamp(j − (i + 1 − reach), 0, 2 reach − 1)`.
pub(super) struct Table {
    reversed: Vec<f32>,
    /// 2 · reach
    rows: usize,
    channels: usize,
}

/// What a query's row of logits takes from the table.
struct Run {
    /// Keys before this take the table's first row.
    start: usize,
    /// Keys from here on take its last.
    end: usize,
    /// The table's row for key `start`, where `start < end`.
    row: usize,
}

impl Table {
    pub(super) fn new(table: &Array) -> Self {
        let (rows, channels) = (table.shape()[0], table.width());
        Self { reversed: Self::restore(table.values(), channels), rows, channels }
    }

    /// The rows in reverse order: from the reversed table (or its gradient) to the original one, and back.
    pub(super) fn restore(values: &[f32], channels: usize) -> Vec<f32> {
        values.chunks_exact(channels).rev().flatten().copied().collect()
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// Adds to the logits of queries at positions `first..`, each a row of `keys` logits.
    pub(super) fn add(
        &self,
        level: Level,
        q: Matrix,
        first: usize,
        keys: usize,
        scratch: &mut Vec<f32>,
        logits: &mut [f32],
    ) {
        let needed = self.needed(first, q.row_count(), keys);
        let width = needed.len();
        scratch.resize(q.row_count() * width, 0.0);
        set_product(q, self.matrix(&needed).transposed(), scratch, width, Threads::One);
        for (position, (logits, products)) in
            (first..).zip(logits.chunks_exact_mut(keys).zip(scratch.chunks_exact(width)))
        {
            let run = self.run(position, keys);
            let (before, rest) = logits.split_at_mut(run.start);
            let (within, after) = rest.split_at_mut(run.end - run.start);
            before.iter_mut().for_each(|logit| *logit += products[0]);
            if !within.is_empty() {
                rows::add(level, &products[run.row - needed.start..], within);
            }
            after.iter_mut().for_each(|logit| *logit += products[width - 1]);
        }
    }

    /// Adds what a tile's logits, given their gradients, contribute to the gradients of its queries and of the reversed
    /// table.
    pub(super) fn backward(
        &self,
        level: Level,
        q: Matrix,
        first: usize,
        logits: Matrix,
        scratch: &mut Vec<f32>,
        dq: &mut [f32],
        dt: &mut [f32],
    ) {
        let keys = logits.columns();
        let needed = self.needed(first, q.row_count(), keys);
        let width = needed.len();
        scratch.clear();
        scratch.resize(q.row_count() * width, 0.0);
        for (row, products) in scratch.chunks_exact_mut(width).enumerate() {
            let logits = logits.row(row);
            let run = self.run(first + row, keys);
            let total = |part: &[f32]| sum_of(part, part, |value, _| value);
            products[0] += total(&logits[..run.start]);
            if run.start < run.end {
                rows::add(level, &logits[run.start..run.end], &mut products[run.row - needed.start..]);
            }
            products[width - 1] += total(&logits[run.end..]);
        }
        let products = Matrix::new(scratch, q.row_count(), width, width);
        add_product(products, self.matrix(&needed), dq, self.channels, Threads::One);
        let dt = &mut dt[needed.start * self.channels..needed.end * self.channels];
        add_product(products.transposed(), q, dt, self.channels, Threads::One);
    }

    fn run(&self, position: usize, keys: usize) -> Run {
        // Where the table's first row would lie among the keys.
        let origin = position as isize + 1 - (self.rows / 2) as isize;
        let start = origin.clamp(0, keys as isize);
        let end = (origin + self.rows as isize).clamp(start, keys as isize);
        Run { start: start as usize, end: end as usize, row: (start - origin).max(0) as usize }
    }

    /// The rows that some of `queries` queries from position `first` on take for some of the keys.
    fn needed(&self, first: usize, queries: usize, keys: usize) -> Range<usize> {
        let row = |position: usize, key: usize| {
            let origin = position as isize + 1 - (self.rows / 2) as isize;
            (key as isize - origin).clamp(0, self.rows as isize - 1) as usize
        };
        row(first + queries - 1, 0)..row(first, keys - 1) + 1
    }

    fn matrix(&self, rows: &Range<usize>) -> Matrix<'_> {
        Matrix::new(&self.reversed[rows.start * self.channels..], rows.len(), self.channels, self.channels)
    }
}
