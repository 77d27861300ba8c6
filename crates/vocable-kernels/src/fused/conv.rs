//! Convolution over time as strided matrix products.
//!
//! In channels-last layout the receptive field of an output step is one contiguous run of the input, so the matrix of
//! all receptive fields is the input itself, read with overlapping rows: nothing is copied but the input of a group or
//! a padded input.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Kernel;
use super::buffer::{Array, sum, zeroed};
use super::linear::column_sums;
use super::product::{Matrix, Threads, add_product, product};

/// Inputs: x `[batch, time, channel]`, weight `[groups, kernel * channel / groups, out / groups]` (or without the first
/// dimension), and a bias if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) groups: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    /// Input steps, without padding.
    time: usize,
    /// Output steps.
    steps: usize,
    /// Input channels of all groups, and of one.
    channels: usize,
    group_channels: usize,
    /// Output channels of all groups, and of one.
    outputs: usize,
    group_outputs: usize,
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
                0 => Array::new(self.input_gradient(sizes, weight.values(), gradient.values()), x.shape()),
                1 => Array::new(self.weight_gradient(sizes, x.values(), gradient.values()), weight.shape()),
                _ => column_sums(gradient.values(), sizes.outputs),
            })
        })
    }
}

impl Conv {
    fn sizes(&self, x: &Array, weight: &Array) -> Sizes {
        let &[batch, time, channels] = x.shape() else {
            panic!("expected [batch, time, channel], got {:?}", x.shape())
        };
        let group_outputs = weight.width();
        Sizes {
            batch,
            time,
            steps: (time + 2 * self.padding - self.kernel) / self.stride + 1,
            channels,
            group_channels: channels / self.groups,
            outputs: group_outputs * self.groups,
            group_outputs,
        }
    }

    fn apply(&self, sizes: Sizes, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let depth = self.kernel * group_channels;
        let length = batch * steps * outputs;
        let mut y = Vec::with_capacity(length);
        each_item(&mut y.spare_capacity_mut()[..length], steps * outputs, |item, y, threads| {
            let x = &x[item * time * channels..][..time * channels];
            for group in 0..self.groups {
                let source = self.source(sizes, x, group);
                let fields = Matrix::new(&source, steps, depth, self.stride * group_channels);
                let weight = &weight[group * depth * group_outputs..];
                let weight = Matrix::new(weight, depth, group_outputs, group_outputs);
                let bias = bias.map(|bias| &bias[group * group_outputs..]);
                product(fields, weight, bias, &mut y[group * group_outputs..], outputs, threads);
            }
        });
        // SAFETY: each item's products have written every group's columns of all steps, which is all of the item.
        unsafe { y.set_len(length) };
        y
    }

    fn input_gradient(&self, sizes: Sizes, weight: &[f32], g: &[f32]) -> Vec<f32> {
        if self.stride == 1 && self.padding < self.kernel {
            return self.input_gradient_as_convolution(sizes, weight, g);
        }
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let padded = time + 2 * self.padding;
        let row = self.stride * group_channels;
        let length = batch * time * channels;
        let mut dx = Vec::with_capacity(length);
        each_item(&mut dx.spare_capacity_mut()[..length], time * channels, |item, dx, threads| {
            // Zeroed item by item: then it is still in the cache when the products add to it.
            let dx = zeroed(dx);
            let g = &g[item * steps * outputs..][..steps * outputs];
            for group in 0..self.groups {
                let g = Matrix::new(&g[group * group_outputs..], steps, group_outputs, outputs);
                let weight = &weight[group * self.kernel * group_channels * group_outputs..];
                let add = |target: &mut [f32]| {
                    // `stride` taps at a time reach disjoint runs of the input in successive steps, so they are one
                    // product; the next taps overlap those and are the next.
                    for tap in (0..self.kernel).step_by(self.stride) {
                        let width = self.stride.min(self.kernel - tap) * group_channels;
                        let taps = &weight[tap * group_channels * group_outputs..];
                        let taps = Matrix::new(taps, width, group_outputs, group_outputs).transposed();
                        add_product(g, taps, &mut target[tap * group_channels..], row, threads);
                    }
                };
                if self.groups == 1 && self.padding == 0 {
                    add(dx);
                    continue;
                }
                let mut target = vec![0.0; padded * group_channels];
                add(&mut target);
                let target = &target[self.padding * group_channels..];
                for (dx, target) in dx.chunks_exact_mut(channels).zip(target.chunks_exact(group_channels)) {
                    dx[group * group_channels..][..group_channels].copy_from_slice(target);
                }
            }
        });
        // SAFETY: every item has been zeroed, and the items are all there is.
        unsafe { dx.set_len(length) };
        dx
    }

    /// At stride 1 the input's gradient is the convolution of the output's with the taps in reverse: one deep product
    /// in place of one for each tap.
    fn input_gradient_as_convolution(&self, sizes: Sizes, weight: &[f32], g: &[f32]) -> Vec<f32> {
        let Sizes { group_channels, group_outputs, .. } = sizes;
        let mut reversed = vec![0.0; weight.len()];
        let tap_length = group_channels * group_outputs;
        for (source, target) in weight
            .chunks_exact(self.kernel * tap_length)
            .flat_map(|group| group.chunks_exact(tap_length).rev())
            .zip(reversed.chunks_exact_mut(tap_length))
        {
            for (channel, outputs) in source.chunks_exact(group_outputs).enumerate() {
                for (output, &value) in outputs.iter().enumerate() {
                    target[output * group_channels + channel] = value;
                }
            }
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
        Self { padding: self.kernel - 1 - self.padding, ..*self }.apply(transposed, g, &reversed, None)
    }

    fn weight_gradient(&self, sizes: Sizes, x: &[f32], g: &[f32]) -> Vec<f32> {
        /// Up to this many elements every item's gradient may have its own memory.
        const SMALL: usize = 1 << 16;
        let Sizes { batch, time, steps, channels, group_channels, outputs, group_outputs } = sizes;
        let depth = self.kernel * group_channels;
        let length = depth * group_outputs;
        let add = |item: usize, group: usize, dw: &mut [f32], threads: Threads| {
            let source = self.source(sizes, &x[item * time * channels..][..time * channels], group);
            let fields = Matrix::new(&source, steps, depth, self.stride * group_channels).transposed();
            let g = &g[item * steps * outputs..][..steps * outputs];
            let g = Matrix::new(&g[group * group_outputs..], steps, group_outputs, outputs);
            add_product(fields, g, dw, group_outputs, threads);
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

    /// The padded input of one group of one item, `[time + 2 * padding, group_channels]`.
    fn source<'a>(&self, sizes: Sizes, x: &'a [f32], group: usize) -> Cow<'a, [f32]> {
        let Sizes { time, channels, group_channels, .. } = sizes;
        if self.groups == 1 && self.padding == 0 {
            return Cow::Borrowed(x);
        }
        let mut source = vec![0.0; (time + 2 * self.padding) * group_channels];
        let steps = source[self.padding * group_channels..].chunks_exact_mut(group_channels);
        for (target, x) in steps.zip(x.chunks_exact(channels)) {
            target.copy_from_slice(&x[group * group_channels..][..group_channels]);
        }
        Cow::Owned(source)
    }
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
