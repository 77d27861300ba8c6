//! A transposed copy of a matrix.

use rayon::prelude::*;

use super::buffer::zeroed;

/// Rows and columns of a block: one line of the cache is read and written whole.
const BLOCK: usize = 16;

/// The `[columns, rows]` transpose of a contiguous `[rows, columns]`.
///
/// # Panics
/// If there are not `rows · columns` values.
pub fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    assert_eq!(values.len(), rows * columns, "a matrix to transpose has the wrong number of elements");
    let mut out = Vec::with_capacity(values.len());
    if !values.is_empty() {
        let blocks = out.spare_capacity_mut()[..values.len()].par_chunks_mut(BLOCK * rows);
        blocks.enumerate().for_each(|(block, out)| {
            transpose(values, rows, columns, block * BLOCK, zeroed(out));
        });
    }
    // SAFETY: the blocks cover all elements and each was initialised.
    unsafe { out.set_len(values.len()) };
    out
}

/// Writes the columns from `first` on of a contiguous `[rows, columns]` as rows, as many as `out` has room for.
pub(super) fn transpose(values: &[f32], rows: usize, columns: usize, first: usize, out: &mut [f32]) {
    for (top, source) in values.chunks(BLOCK * columns).enumerate() {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            let out = &mut out[top * BLOCK..];
            for (out, row) in out.iter_mut().zip(source.chunks_exact(columns)) {
                *out = row[first + column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_changes_places() {
        for (rows, columns) in [(1, 1), (1, 40), (40, 1), (16, 16), (17, 33), (5, 100), (64, 31), (0, 3)] {
            let values: Vec<f32> = (0..rows * columns).map(|n| n as f32).collect();
            let out = transposed(&values, rows, columns);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(out[column * rows + row], values[row * columns + column], "{rows} x {columns}");
                }
            }
        }
    }
}
