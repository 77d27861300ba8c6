//! Convolution over time as strided matrix products.
//!
//! In channels-last layout the receptive field of an output step is one contiguous run of the input, so the matrix of
//! all receptive fields is the input itself, read with overlapping rows: nothing is copied but the input of a group, a
//! padded input, or every `dilation`-th step of a dilated one. Where [`minimal_filter`] needs fewer products, it takes
//! over.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Kernel;
use super::buffer::{Array, sum, zeroed};
use super::level::Level;
use super::linear::column_sums;
use super::minimal_filter;
use super::product::{Matrix, Threads, add_product, product};
use super::transpose::transpose;
use crate::Window;

/// Inputs: x `[batch, time, channel]`, weight `[groups, kernel * channel / groups, out / groups]` (or without the first
/// dimension), and a bias if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) groups: usize,
    pub(crate) window: Window,
}

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    /// Input steps, without padding.
    pub(crate) time: usize,
    /// Output steps.
    pub(crate) steps: usize,
    /// Input channels of all groups, and of one.
    pub(crate) channels: usize,
    pub(crate) group_channels: usize,
    /// Output channels of all groups, and of one.
    pub(crate) outputs: usize,
    pub(crate) group_outputs: usize,
}

/// Every `step`-th output step from `first` on. Dilation parts the output into these: each is an undilated convolution
/// over every `dilation`-th step of the padded input.
#[derive(Clone, Copy, Debug)]
struct Phase {
    first: usize,
    step: usize,
    steps: usize,
    /// Steps of the thinned input from one output step to the next.
    stride: usize,
}

impl<const N: usize> Kernel<N> for Conv {
    /// x and the weight.
    type Saved = [Array; 2];

    fn forward(&self, inputs: [Array; N]) -> (Array, [Array; 2]) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let sizes = self.sizes(&x, &weight);
        let y = self.apply(sizes, x.values(), weight.values(), inputs.get(2).map(Array::values));
        (Array::new(y, &[sizes.batch, sizes.steps, sizes.outputs]), [x, weight])
    }

    fn backward(&self, [x, weight]: [Array; 2], gradient: Array, wanted: [bool; N]) -> [Option<Array>; N] {
        let sizes = self.sizes(&x, &weight);
        std::array::from_fn(|input| {
            wanted[input].then(|| match input {
                0 => Array::new(self.input_gradient(sizes, weight.values(), gradient.values(), None), x.shape()),
                1 => Array::new(self.weight_gradient(sizes, x.values(), gradient.values()), weight.shape()),
                _ => column_sums(gradient.values(), sizes.outputs),
            })
        })
    }
}

impl Conv {
    fn sizes(&self, x: &Array, weight: &Array) -> Sizes {
        let [batch, time, channels] = x.dims();
        let group_outputs = weight.width();
        Sizes {
            batch,
            time,
            steps: self.window.steps(time),
            channels,
            group_channels: channels / self.groups,
            outputs: group_outputs * self.groups,
            group_outputs,
        }
    }

    fn phases(&self, steps: usize) -> impl Iterator<Item = Phase> + use<> {
        let Window { stride, dilation, .. } = self.window;
        let common = greatest_common_divisor(stride, dilation);
        let step = dilation / common;
        (0..step.min(steps)).map(move |first| Phase {
            first,
            step,
            steps: (steps - first).div_ceil(step),
            stride: stride / common,
        })
    }

    pub(super) fn apply(&self, sizes: Sizes, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        if minimal_filter::fits(self.groups, self.window, sizes) {
            return minimal_filter::convolve(Level::detect(), self.window, sizes, x, weight, bias);
        }
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let depth = self.window.kernel * group_channels;
        let length = batch * steps * outputs;
        let mut y = Vec::with_capacity(length);
        each_item(&mut y.spare_capacity_mut()[..length], steps * outputs, |item, y, threads| {
            let x = &x[item * time * channels..][..time * channels];
            for group in 0..self.groups {
                let weight = &weight[group * depth * group_outputs..];
                let weight = Matrix::new(weight, depth, group_outputs, group_outputs);
                let bias = bias.map(|bias| &bias[group * group_outputs..]);
                for phase in self.phases(steps) {
                    let source = self.source(sizes, phase, x, group);
                    let fields = Matrix::new(&source, phase.steps, depth, phase.stride * group_channels);
                    let y = &mut y[phase.first * outputs + group * group_outputs..];
                    product(fields, weight, bias, y, phase.step * outputs, threads);
                }
            }
        });
        // SAFETY: each item's products have written every group's columns of every phase's steps, which is all of it.
        unsafe { y.set_len(length) };
        y
    }

    /// The gradient of the input, added to `bias` in every step where there is one: then this is the transposed
    /// convolution of `g`.
    pub(super) fn input_gradient(&self, sizes: Sizes, weight: &[f32], g: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let Window { kernel, stride, padding, dilation } = self.window;
        if stride == 1 && padding <= dilation * (kernel - 1) {
            return self.input_gradient_as_convolution(sizes, weight, g, bias);
        }
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let length = batch * time * channels;
        let mut dx = Vec::with_capacity(length);
        each_item(&mut dx.spare_capacity_mut()[..length], time * channels, |item, dx, threads| {
            // Initialised item by item: then it is still in the cache when the products add to it.
            let dx = match bias {
                Some(bias) => filled(dx, bias),
                None => zeroed(dx),
            };
            let g = &g[item * steps * outputs..][..steps * outputs];
            for group in 0..self.groups {
                let weight = &weight[group * kernel * group_channels * group_outputs..];
                for phase in self.phases(steps) {
                    let g = &g[phase.first * outputs + group * group_outputs..];
                    let g = Matrix::new(g, phase.steps, group_outputs, phase.step * outputs);
                    let add = |target: &mut [f32]| {
                        // `stride` taps at a time reach disjoint runs of the input in successive steps, so they are one
                        // product; the next taps overlap those and are the next.
                        for tap in (0..kernel).step_by(phase.stride) {
                            let width = phase.stride.min(kernel - tap) * group_channels;
                            let taps = &weight[tap * group_channels * group_outputs..];
                            let taps = Matrix::new(taps, width, group_outputs, group_outputs).transposed();
                            let row = phase.stride * group_channels;
                            add_product(g, taps, &mut target[tap * group_channels..], row, threads);
                        }
                    };
                    if self.reads_input_itself() {
                        add(dx);
                        continue;
                    }
                    let mut target = vec![0.0; self.thinned(phase) * group_channels];
                    add(&mut target);
                    for (row, target) in target.chunks_exact(group_channels).enumerate() {
                        if let Some(step) = self.position(phase, row, time) {
                            let dx = &mut dx[step * channels + group * group_channels..];
                            dx.iter_mut().zip(target).for_each(|(dx, target)| *dx += target);
                        }
                    }
                }
            }
        });
        // SAFETY: every item has been initialised, and the items are all there is.
        unsafe { dx.set_len(length) };
        dx
    }

    /// At stride 1 the input's gradient is the convolution of the output's with the taps in reverse: one deep product
    /// in place of one for each tap.
    fn input_gradient_as_convolution(&self, sizes: Sizes, weight: &[f32], g: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let Sizes { group_channels, group_outputs, .. } = sizes;
        let Window { kernel, padding, dilation, .. } = self.window;
        let mut reversed = vec![0.0; weight.len()];
        let tap_length = group_channels * group_outputs;
        for (source, target) in weight
            .chunks_exact(kernel * tap_length)
            .flat_map(|group| group.chunks_exact(tap_length).rev())
            .zip(reversed.chunks_exact_mut(tap_length))
        {
            transpose(source, group_channels, group_outputs, 0, target);
        }
        let transposed = Sizes {
            time: sizes.steps,
            steps: sizes.time,
            channels: sizes.outputs,
            group_channels: sizes.group_outputs,
            outputs: sizes.channels,
            group_outputs: sizes.group_channels,
            ..sizes
        };
        let window = Window { padding: dilation * (kernel - 1) - padding, ..self.window };
        Self { window, ..*self }.apply(transposed, g, &reversed, bias)
    }

    pub(super) fn weight_gradient(&self, sizes: Sizes, x: &[f32], g: &[f32]) -> Vec<f32> {
        /// Up to this many elements every item's gradient may have its own memory.
        const SMALL: usize = 1 << 16;
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let depth = self.window.kernel * group_channels;
        let length = depth * group_outputs;
        let add = |item: usize, group: usize, dw: &mut [f32], threads: Threads| {
            let x = &x[item * time * channels..][..time * channels];
            let g = &g[item * steps * outputs..][..steps * outputs];
            for phase in self.phases(steps) {
                let source = self.source(sizes, phase, x, group);
                let fields = Matrix::new(&source, phase.steps, depth, phase.stride * group_channels).transposed();
                let g = &g[phase.first * outputs + group * group_outputs..];
                let g = Matrix::new(g, phase.steps, group_outputs, phase.step * outputs);
                add_product(fields, g, dw, group_outputs, threads);
            }
        };
        // How the sum over items is formed depends on the shapes alone: it decides the rounding.
        if self.groups > 1 {
            let mut dw = vec![0.0; self.groups * length];
            dw.par_chunks_mut(length.max(1)).enumerate().for_each(|(group, dw)| {
                (0..batch).for_each(|item| add(item, group, dw, Threads::One));
            });
            dw
        } else if batch > 1 && length <= SMALL {
            let items = (0..batch).into_par_iter().map(|item| {
                let mut dw = vec![0.0; length];
                add(item, 0, &mut dw, Threads::One);
                dw
            });
            sum(items.collect::<Vec<_>>())
        } else {
            let mut dw = vec![0.0; length];
            (0..batch).for_each(|item| add(item, 0, &mut dw, Threads::All));
            dw
        }
    }

    /// Whether receptive fields are runs of the input as it is.
    fn reads_input_itself(&self) -> bool {
        self.groups == 1 && self.window.padding == 0 && self.window.dilation == 1
    }

    /// The steps of the thinned input that a phase reads.
    fn thinned(&self, phase: Phase) -> usize {
        (phase.steps - 1) * phase.stride + self.window.kernel
    }

    /// Which of `time` input steps is row `row` of a phase's thinned input; none where that is padding.
    fn position(&self, phase: Phase, row: usize, time: usize) -> Option<usize> {
        let Window { stride, padding, dilation, .. } = self.window;
        (phase.first * stride + row * dilation).checked_sub(padding).filter(|&step| step < time)
    }

    /// What a phase reads of one group of one item, `[step, group_channels]`, zeros where there is padding.
    fn source<'a>(&self, sizes: Sizes, phase: Phase, x: &'a [f32], group: usize) -> Cow<'a, [f32]> {
        let Sizes { time, channels, group_channels, .. } = sizes;
        if self.reads_input_itself() {
            return Cow::Borrowed(x);
        }
        let mut source = Vec::with_capacity(self.thinned(phase) * group_channels);
        for row in 0..self.thinned(phase) {
            match self.position(phase, row, time) {
                Some(step) => {
                    source.extend_from_slice(&x[step * channels + group * group_channels..][..group_channels]);
                }
                None => source.resize(source.len() + group_channels, 0.0),
            }
        }
        Cow::Owned(source)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Initialises rows with a bias.
fn filled<'a>(rows: &'a mut [MaybeUninit<f32>], bias: &[f32]) -> &'a mut [f32] {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.write_copy_of_slice(bias);
    }
    // SAFETY: an item consists of whole rows as long as the bias, and each was initialised.
    unsafe { rows.assume_init_mut() }
}

/// Calls `job` with the index and the elements of every item of `length` elements: in parallel where there are enough
/// items to keep all threads busy, else one after the other with products that use all threads.
fn each_item<T: Send>(values: &mut [T], length: usize, job: impl Fn(usize, &mut [T], Threads) + Sync) {
    let length = length.max(1);
    if values.len() / length >= 2 * rayon::current_num_threads() {
        values.par_chunks_mut(length).enumerate().for_each(|(item, values)| job(item, values, Threads::One));
    } else {
        values.chunks_mut(length).enumerate().for_each(|(item, values)| job(item, values, Threads::All));
    }
}
