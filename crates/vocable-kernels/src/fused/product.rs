//! Matrix products over strided views, by the `gemm` crate (the one Burn's CPU backend uses).
//!
//! gemm splits rows and columns among threads, never the depth, so the bits do not depend on the number of threads.

use std::mem::MaybeUninit;

use gemm::Parallelism;

/// A strided view of a matrix. Rows may overlap: that is how a convolution becomes a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Adjacent elements in each row; rows `row_stride` apart.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= values.len(),
            "a {rows} x {columns} matrix of stride {row_stride} does not fit in {} elements",
            values.len()
        );
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// Rows `start..end`.
    pub(crate) fn rows(self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.rows);
        Self { values: self.values.get(start * self.row_stride..).unwrap_or_default(), rows: end - start, ..self }
    }

    /// The first `rows` rows.
    pub(crate) fn top(self, rows: usize) -> Self {
        self.rows(0, rows)
    }

    /// The elements of one row of a matrix whose rows are contiguous.
    pub(crate) fn row(self, row: usize) -> &'a [f32] {
        assert!(row < self.rows && self.column_stride == 1);
        &self.values[row * self.row_stride..][..self.columns]
    }

    pub(crate) fn row_count(self) -> usize {
        self.rows
    }

    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a product may use all threads, or is itself one of several parallel jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    All,
}

/// Writes `a · b + bias` into rows `stride` apart.
///
/// Elements between the rows are left as they are. The elements of the rows are initialised afterwards.
pub(crate) fn product(
    a: Matrix,
    b: Matrix,
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
    stride: usize,
    threads: Threads,
) {
    if let Some(bias) = bias {
        for row in out.chunks_mut(stride).take(a.rows) {
            row[..b.columns].write_copy_of_slice(&bias[..b.columns]);
        }
    }
    check(a, b, out.len(), stride);
    // SAFETY: `check` has verified the bounds; where the output is read, it was initialised just above; the output is
    // borrowed mutably, so it overlaps neither input.
    unsafe { call(a, b, out.as_mut_ptr().cast(), stride, bias.is_some(), threads) }
}

/// Writes `a · b` into rows `stride` apart.
pub(crate) fn set_product(a: Matrix, b: Matrix, out: &mut [f32], stride: usize, threads: Threads) {
    check(a, b, out.len(), stride);
    // SAFETY: `check` has verified the bounds and the output is borrowed mutably, so it overlaps neither input.
    unsafe { call(a, b, out.as_mut_ptr(), stride, false, threads) }
}

/// Adds `a · b` to rows `stride` apart.
pub(crate) fn add_product(a: Matrix, b: Matrix, out: &mut [f32], stride: usize, threads: Threads) {
    check(a, b, out.len(), stride);
    // SAFETY: `check` has verified the bounds and the output is borrowed mutably, so it overlaps neither input.
    unsafe { call(a, b, out.as_mut_ptr(), stride, true, threads) }
}

fn check(a: Matrix, b: Matrix, length: usize, stride: usize) {
    assert_eq!(a.columns, b.rows, "the depths of a product differ");
    assert!(b.columns <= stride, "the rows of a product's output overlap");
    assert!(a.rows == 0 || (a.rows - 1) * stride + b.columns <= length, "a product's output is too short");
}

/// # Safety
/// `out` must be valid for writes of `a.rows` rows of `b.columns` elements `stride` apart, initialised if `accumulate`,
/// and overlap neither input.
unsafe fn call(a: Matrix, b: Matrix, out: *mut f32, stride: usize, accumulate: bool, threads: Threads) {
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: `Matrix::new` has verified that the views stay inside their slices; the caller vouches for the output.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            stride as isize,
            accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
