use crate::{Attended, KeyValueCache};

/// Keys and values of the positions that hypotheses have behind them, in every layer of a stack.
///
/// They stay where they were written. A hypothesis is a row of what is computed next, and knows in which row each of its
/// earlier positions lies: the branches of a beam share them.
#[derive(Clone, Debug)]
pub struct PastCache {
    pub(super) layers: Vec<KeyValueCache>,
    /// Of each hypothesis, the row of each position.
    rows: Vec<Vec<u32>>,
    /// Whether any hypothesis has moved.
    moved: bool,
    length: usize,
}

impl PastCache {
    pub(super) fn new(layers: usize, hypotheses: usize) -> Self {
        let (layers, rows) = (vec![KeyValueCache::default(); layers], vec![Vec::new(); hypotheses]);
        Self { layers, rows, moved: false, length: 0 }
    }

    /// Makes row `rows[i]` the new row i; rows that do not occur are dropped, a row may occur more than once.
    pub fn select(&mut self, rows: &[usize]) {
        if rows.iter().copied().eq(0..self.rows.len()) {
            return;
        }
        self.moved = true;
        self.rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
    }

    /// Positions behind every hypothesis.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is nothing behind them yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn moved(&self) -> bool {
        self.moved
    }

    /// Makes room for `time` positions more, and tells what their queries may look at once they are in the layers.
    pub(super) fn advance(&mut self, time: usize) -> Attended {
        self.length += time;
        for (row, rows) in self.rows.iter_mut().enumerate() {
            rows.resize(self.length, row as u32);
        }
        let rows = self.moved.then(|| self.rows.concat().into());
        Attended { rows, causal: true, ..Attended::default() }
    }
}
