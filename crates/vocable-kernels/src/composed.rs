//! The operations written with ordinary Burn operations: what runs on devices without a fused kernel, and what the
//! fused kernels are tested against. Contracts are those of the functions of the same name at the crate's root.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, activation, s};
use vocable_random::Key;

use crate::cross_entropy::smoothed;
use crate::fused::{Dropout, Level};
use crate::{AdamW, AttentionInput, BatchNormed, CrossEntropy, Window};

/// See [`crate::gelu`].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// See [`crate::leaky_relu`].
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    activation::leaky_relu(x, slope)
}

/// See [`crate::softmax`].
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softmax(x, D - 1)
}

/// See [`crate::masked_softmax`].
pub fn masked_softmax<const D: usize>(x: Tensor<D>, hidden: Tensor<D, Bool>) -> Tensor<D> {
    // A large finite number instead of −∞ keeps rows without any visible entry free of NaN; the second fill makes their
    // entries, too, exactly zero and cuts their gradient.
    let lowest = if x.dtype() == DType::F16 { -6e4 } else { -1e30 };
    softmax(x.mask_fill(hidden.clone(), lowest)).mask_fill(hidden, 0.0)
}

/// See [`crate::leading_softmax`].
pub fn leading_softmax<const D: usize>(x: Tensor<D>, visible: &[usize]) -> Tensor<D> {
    let shape = x.dims();
    let width = shape[D - 1];
    let hidden: Vec<bool> = visible.iter().flat_map(|&end| (0..width).map(move |entry| entry >= end)).collect();
    let mut sizes = [1; D];
    (sizes[0], sizes[D - 1]) = (shape[0], width);
    let hidden = Tensor::<1, Bool>::from_data(TensorData::new(hidden, [shape[0] * width]), &x.device());
    masked_softmax(x, hidden.reshape(sizes).expand(shape))
}

/// See [`crate::layer_norm`].
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    normalise(x, D - 1, eps) * weight.unsqueeze() + bias.unsqueeze()
}

/// See [`crate::group_norm_over_time`].
pub fn group_norm_over_time(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    normalise(x, 1, eps) * weight.unsqueeze() + bias.unsqueeze()
}

/// See [`crate::batch_norm`].
pub fn batch_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> BatchNormed {
    let [batch, time, channels] = x.dims();
    let flat = x.reshape([1, batch * time, channels]);
    let mean = flat.clone().mean_dim(1);
    let variance = (flat.clone() - mean.clone()).square().mean_dim(1);
    BatchNormed {
        y: group_norm_over_time(flat, weight, bias, eps).reshape([batch, time, channels]),
        mean: mean.detach().reshape([channels]),
        variance: variance.detach().reshape([channels]),
    }
}

/// See [`crate::batch_norm_with`].
pub fn batch_norm_with(
    x: Tensor<3>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<3> {
    let scale = weight / (variance + eps).sqrt();
    (x - mean.unsqueeze()) * scale.unsqueeze() + bias.unsqueeze()
}

/// Zero mean and unit (biased) variance along `dim`.
fn normalise<const D: usize>(x: Tensor<D>, dim: usize, eps: f64) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(dim);
    let variance = centred.clone().square().mean_dim(dim);
    centred / (variance + eps).sqrt()
}

/// See [`crate::dropout`]. The mask is drawn on the host: the bits must not depend on the device.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, key: Key) -> Tensor<D> {
    let dropout = Dropout::new(Level::Baseline, probability, key);
    let mask: Vec<f32> = (0..x.shape().num_elements()).map(|i| dropout.factor(i as u32)).collect();
    let mask = Tensor::from_data(TensorData::new(mask, x.shape()), (&x.device(), x.dtype()));
    x * mask
}

/// A weight as it is multiplied, where it is stored otherwise (see [`crate::Storage`]).
pub fn widened<const D: usize>(weight: Tensor<D>, dtype: DType) -> Tensor<D> {
    weight.dequantize().cast(dtype)
}

/// See [`crate::dropout_add`].
pub fn dropout_add<const D: usize>(x: Tensor<D>, y: Tensor<D>, mask: Option<(f64, Key)>) -> Tensor<D> {
    match mask {
        Some((probability, key)) => x + dropout(y, probability, key),
        None => x + y,
    }
}

/// See [`crate::linear`].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut shape = x.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = outputs;
    let y = x.reshape([rows, inputs]).matmul(weight);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
    .reshape(shape)
}

/// See [`crate::conv1d`].
pub fn conv1d(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    linear(fields(x.unsqueeze_dim::<4>(2), window).squeeze_dim(2), weight, bias)
}

/// See [`crate::conv1d_grouped`].
pub fn conv1d_grouped(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    let [batch, time, channels] = x.dims();
    let [groups, depth, outputs] = weight.dims();
    let x = fields(x.reshape([batch, time, groups, channels / groups]), window);
    let time = x.dims()[1];
    let x = x.permute([2, 0, 1, 3]).reshape([groups, batch * time, depth]);
    let y = x.matmul(weight).reshape([groups, batch, time, outputs]);
    let y = y.permute([1, 2, 0, 3]).reshape([batch, time, groups * outputs]);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

/// See [`crate::conv_transpose1d`]: the convolution with the taps in reverse of the input with `stride − 1` zeros
/// between its steps.
pub fn conv_transpose1d(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>, window: Window) -> Tensor<3> {
    let [batch, time, channels] = x.dims();
    let Window { kernel, stride, padding, .. } = window;
    let outputs = weight.dims()[0] / kernel;
    let gaps = Tensor::<4>::zeros([batch, time, stride - 1, channels], (&x.device(), x.dtype()));
    let x = Tensor::cat(vec![x.unsqueeze_dim(2), gaps], 2).reshape([batch, time * stride, channels]);
    let x = x.narrow(1, 0, (time - 1) * stride + 1);
    let weight = weight.reshape([kernel, outputs, channels]).flip([0]).swap_dims(1, 2);
    let window = Window { stride: 1, padding: window.span() - 1 - padding, ..window };
    conv1d(x, weight.reshape([kernel * channels, outputs]), bias, window)
}

/// The receptive field of every output step, `[batch, time', group, kernel * channel]` with the tap slowest, from
/// `[batch, time, group, channel]`.
fn fields(x: Tensor<4>, window: Window) -> Tensor<4> {
    let [batch, time, groups, channels] = x.dims();
    let Window { kernel, stride, padding, dilation } = window;
    let reach = (window.steps(time) - 1) * stride + 1;
    let x = if padding == 0 {
        x
    } else {
        let edge = Tensor::zeros([batch, padding, groups, channels], (&x.device(), x.dtype()));
        Tensor::cat(vec![edge.clone(), x, edge], 1)
    };
    let tap = |start: usize| x.clone().slice(s![.., start..start + reach;stride, .., ..]);
    Tensor::cat((0..kernel).map(|n| tap(n * dilation)).collect(), 3)
}

/// See [`crate::attention()`].
///
/// This is also what runs on the CPU when the weights are asked for; its softmax and dropout are then the fused ones.
pub fn attention(input: AttentionInput) -> (Tensor<4>, Option<Tensor<4>>) {
    let AttentionInput { q, k, v, rows, relative, padding, causal, dropout: drop, weights: return_weights } = input;
    let [batch, heads, queries, _] = q.dims();
    let keys = k.dims()[2];
    let [k, v] = [k, v].map(|kept| at_rows(kept.cast(q.dtype()), rows.as_deref()));
    let padding = padding.map(|padding| match &rows {
        Some(rows) => padding.flatten::<1>(0, 1).select(0, places(rows, keys, &q.device())).reshape([batch, keys]),
        None => padding,
    });
    assert!(!causal || queries <= keys, "causal attention of {queries} queries over only {keys} keys");
    let first_query = if causal { keys - queries } else { 0 };

    let mut logits = q.clone().matmul(k.swap_dims(2, 3));
    let device = q.device();
    if let Some(table) = relative {
        logits = logits + relative_logits(q, table, first_query, keys);
    }
    let hidden = hidden(padding, causal, [batch, heads, queries, keys], &device);
    let weights = match hidden {
        None => crate::softmax(logits),
        Some(hidden) => crate::masked_softmax(logits, hidden),
    };
    let returned = return_weights.then(|| weights.clone());
    let weights = match drop {
        Some((probability, key)) => crate::dropout(weights, probability, key),
        None => weights,
    };
    (weights.matmul(v), returned)
}

/// Keys or values `[stored, head, key, channel]` as every row of the queries sees them.
fn at_rows(kept: Tensor<4>, rows: Option<&[u32]>) -> Tensor<4> {
    let Some(rows) = rows else { return kept };
    let [stored, heads, keys, channels] = kept.dims();
    let flat = kept.swap_dims(1, 2).reshape([stored * keys, heads, channels]);
    let places = places(rows, keys, &flat.device());
    let found = flat.select(0, places);
    found.reshape([rows.len() / keys, keys, heads, channels]).swap_dims(1, 2)
}

/// Where `[row, key]` lies in row-major order, for the row that each key of each row lies in.
fn places(rows: &[u32], keys: usize, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i64> =
        rows.iter().enumerate().map(|(index, &row)| i64::from(row) * keys as i64 + (index % keys) as i64).collect();
    Tensor::from_data(TensorData::new(places, [rows.len()]), device)
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
        let mask: Vec<bool> = (0..queries).flat_map(|i| (0..keys).map(move |j| j > first + i)).collect();
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
    let rows: Vec<i64> = (0..width as i64).map(|u| (last - u).clamp(-reach, reach - 1) + reach).collect();
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

/// See [`crate::AdamW::update`].
pub fn adamw<const D: usize>(
    step: &AdamW,
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let &AdamW { beta1, beta2, eps, weight_decay, learning_rate, gradient_scale, time } = step;
    let start = |beta: f64| 1.0 - beta.powf(time as f64);
    let gradient = gradient * gradient_scale;
    let first = first * beta1 + gradient.clone() * (1.0 - beta1);
    let second = second * beta2 + gradient.square() * (1.0 - beta2);
    let direction = (first.clone() / start(beta1)) / ((second.clone() / start(beta2)).sqrt() + eps);
    (parameter * (1.0 - weight_decay * learning_rate) - direction * learning_rate, [first, second])
}

/// The sum of all squares: what [`crate::norm`] is the root of.
pub fn square_sum(tensors: Vec<Tensor<1>>) -> f64 {
    if tensors.is_empty() {
        return 0.0;
    }
    let sums = Tensor::cat(tensors.into_iter().map(|tensor| tensor.square().sum()).collect(), 0);
    sums.into_data().convert::<f64>().iter::<f64>().sum()
}

/// See [`crate::known_gradient()`]. `Σ x · gradient` has this gradient as long as `gradient` is a constant; less its own
/// value as a constant it is zero. Where the gradient is 0, x may be infinite.
pub fn known_gradient<const D: usize>(x: Tensor<D>, value: f64, gradient: Tensor<D>) -> Tensor<1> {
    let surrogate = (x.mask_fill(gradient.clone().equal_elem(0.0), 0.0) * gradient).sum();
    surrogate.clone() - surrogate.detach() + value
}

/// See [`crate::cross_entropy()`].
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<u32>], smoothing: f64) -> CrossEntropy {
    let [rows, classes] = logits.dims();
    let device = logits.device();
    // Class 0 stands where there is no target.
    let ids: Vec<i64> = targets.iter().map(|target| i64::from(target.unwrap_or(0))).collect();
    let absent: Vec<bool> = targets.iter().map(Option::is_none).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), &device);
    let absent = Tensor::<2, Bool>::from_data(TensorData::new(absent, [rows, 1]), &device);
    let hits = logits.clone().detach().argmax(1).equal(ids.clone()).bool_and(absent.clone().bool_not());
    let log_probabilities = activation::log_softmax(logits, 1);
    let nll = log_probabilities.clone().gather(1, ids).neg().mask_fill(absent.clone(), 0.0).sum();
    let sum = if smoothing > 0.0 {
        let (share, own) = smoothed(smoothing, classes);
        let spread = log_probabilities.sum_dim(1).neg().mask_fill(absent, 0.0).sum();
        nll.clone() * own + spread * share
    } else {
        nll.clone()
    };
    CrossEntropy {
        sum,
        negative_log_likelihood: nll.detach().into_data().convert::<f64>().iter::<f64>().sum(),
        correct: hits.int().sum().into_scalar::<i64>() as usize,
    }
}
