//! Contiguous `f32` arrays, and how their parts are written in parallel.
//!
//! Work is split by shape alone, never by the number of threads, and partial results are combined in order: the same
//! inputs give the same bits on any machine with the same instruction set.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use rayon::prelude::*;

use super::product::Matrix;

/// About how many elements one parallel job writes: 64 KiB, so that several passes over a job stay in a core's cache.
pub(super) const JOB: usize = 1 << 14;

/// An `f32` array; clones share their memory. Row-major and contiguous, but for what [`Array::strided`] lets through.
#[derive(Clone, Debug)]
pub(crate) struct Array(FlexTensor);

impl Array {
    pub(crate) fn new(values: Vec<f32>, shape: &[usize]) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "a kernel wrote the wrong number of elements");
        Self(FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape.to_vec())), DType::F32))
    }

    /// Takes over a tensor, copying it if it is strided or a part of a larger one.
    pub(crate) fn from_flex(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    /// Takes over a tensor that is [`walkable`], copying it otherwise.
    pub(crate) fn strided(tensor: FlexTensor) -> Self {
        if walkable(&tensor) { Self(tensor) } else { Self::from_flex(tensor) }
    }

    /// Without strides, copied if it has any.
    pub(crate) fn packed(self) -> Self {
        Self::from_flex(self.0)
    }

    /// `[batch, head, time, channel]` from values laid out as `[batch, time, head, channel]`.
    pub(crate) fn heads_last(values: Vec<f32>, sizes: [usize; 4]) -> Self {
        let Self(tensor) = Self::new(values, &sizes);
        let layout = tensor.layout().permute(&[0, 2, 1, 3]);
        Self(tensor.with_layout(layout))
    }

    /// Of `[batch, head, time, channel]` in any strides: the matrix of head `index` counted over all items.
    pub(crate) fn head(&self, index: usize) -> Matrix<'_> {
        let [_, heads, time, channels] = self.dims();
        let strides = self.0.layout().strides();
        let start = self.0.layout().start_offset() as isize
            + (index / heads) as isize * strides[0]
            + (index % heads) as isize * strides[1];
        Matrix::new(&self.0.storage::<f32>()[start as usize..], time, channels, strides[2] as usize)
    }

    /// The sizes of a `D`-dimensional array.
    pub(crate) fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().try_into().expect("an operation checks its inputs' ranks")
    }

    pub(crate) fn into_flex(self) -> FlexTensor {
        self.0
    }

    /// A tensor outside of any graph.
    pub(crate) fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.0)
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice().expect("arrays are contiguous")
    }

    /// The elements in memory of this array's own: copied first where somebody else holds it.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        self.0.storage_mut()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.0.layout().shape().as_slice()
    }

    /// The size of the last dimension.
    pub(crate) fn width(&self) -> usize {
        self.shape().last().copied().unwrap_or(1)
    }

    /// This array with each part replaced by what `rewrite` makes of it, in its own memory where nobody else holds it.
    pub(crate) fn rewrite<R: Send>(
        mut self,
        parts: Parts,
        rewrite: impl Fn(usize, &mut [f32]) -> R + Sync,
    ) -> (Self, Vec<R>) {
        if let Some(values) = self.0.try_storage_mut::<f32>()
            && values.len() == parts.length
        {
            let results = parts.for_each(values, rewrite);
            return (self, results);
        }
        let old = self.values();
        let (new, results) = parts.build(|start, part| {
            part.copy_from_slice(&old[start..start + part.len()]);
            rewrite(start, part)
        });
        (Self::new(new, self.shape()), results)
    }
}

/// Whether a tensor's last dimension is contiguous and no other runs backwards: what kernels that take strides can read.
pub(crate) fn walkable(tensor: &FlexTensor) -> bool {
    let strides = tensor.layout().strides();
    strides.last() == Some(&1) && strides.iter().all(|&stride| stride >= 0)
}

/// How an array of `length` elements is split into jobs: no job crosses a multiple of `item` elements, and each
/// starts at a multiple of `job` elements within its item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    length: usize,
    item: usize,
    job: usize,
}

impl Parts {
    /// Jobs of whole rows of `width` elements.
    pub(crate) fn rows(length: usize, width: usize) -> Self {
        Self::rows_of_items(length, length, width)
    }

    /// Jobs of whole rows of `width` elements that all belong to the same item of `item` elements.
    pub(crate) fn rows_of_items(length: usize, item: usize, width: usize) -> Self {
        let width = width.max(1);
        Self { length, item: item.max(1), job: (JOB / width).max(1) * width }
    }

    /// The number of jobs in each item.
    pub(crate) fn jobs_per_item(&self) -> usize {
        self.item.div_ceil(self.job)
    }

    /// Calls `job` with the range of every part, in parallel; the results come back in order.
    pub(crate) fn map<R: Send>(self, job: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
        let per_item = self.jobs_per_item();
        let range = |index: usize| {
            let (item, part) = (index / per_item * self.item, index % per_item * self.job);
            item + part..(item + (part + self.job).min(self.item)).min(self.length)
        };
        let jobs = self.length.div_ceil(self.item) * per_item;
        if jobs <= 1 {
            (0..jobs).map(|i| job(range(i))).collect()
        } else {
            (0..jobs).into_par_iter().map(|i| job(range(i))).collect()
        }
    }

    /// A new vector whose parts, zeroed, are handed to `fill` with the position of their first element. The results
    /// come back in order.
    pub(crate) fn build<R: Send>(self, fill: impl Fn(usize, &mut [f32]) -> R + Sync) -> (Vec<f32>, Vec<R>) {
        let mut values = Vec::with_capacity(self.length);
        // Zeroed part by part, while it is in the cache: zeroing all beforehand would be a pass over the memory.
        let results =
            self.for_each(&mut values.spare_capacity_mut()[..self.length], |start, part| fill(start, zeroed(part)));
        // SAFETY: the parts cover the first `length` elements and each was initialised.
        unsafe { values.set_len(self.length) };
        (values, results)
    }

    /// Calls `job` on every part, in parallel; the results come back in order.
    pub(crate) fn for_each<T: Send, R: Send>(
        self,
        values: &mut [T],
        job: impl Fn(usize, &mut [T]) -> R + Sync,
    ) -> Vec<R> {
        assert_eq!(values.len(), self.length);
        if self.length <= self.job.min(self.item) {
            // Waking another thread costs more than a single job.
            return if self.length == 0 { Vec::new() } else { vec![job(0, values)] };
        }
        let job = &job;
        values
            .par_chunks_mut(self.item)
            .enumerate()
            .flat_map(|(item, values)| {
                values
                    .par_chunks_mut(self.job)
                    .enumerate()
                    .map(move |(part, values)| job(item * self.item + part * self.job, values))
            })
            .collect()
    }
}

/// Initialises a part with zeros.
pub(crate) fn zeroed(part: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    part.fill(MaybeUninit::new(0.0));
    // SAFETY: every element of the part has just been initialised.
    unsafe { part.assume_init_mut() }
}

/// The element-wise sum of equally long vectors, in order.
pub(crate) fn sum(parts: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        for (total, value) in total.iter_mut().zip(part) {
            *total += value;
        }
    }
    total
}
