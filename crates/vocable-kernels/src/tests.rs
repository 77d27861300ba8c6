//! Every operation and every gradient against the composed form in `f64`, on random shapes and their edges.

mod adamw;
mod attention;
mod conv;
mod few_rows;
mod losses;
mod norms;
mod stored;

use burn::tensor::{Bool, DType, Device, DispatchTensor, Tensor, TensorData};
use vocable_random::{Key, hash32};

use crate::fused::{
    self, Attention, BatchNorm, Dropout, DropoutAdd, Gelu, GroupNormOverTime, Hidden, LayerNorm, LeakyRelu, Level,
    Softmax, Spread, Tanh,
};
use crate::{
    AttentionInput, Window, batch_norm, composed, conv_transpose1d, conv1d, conv1d_grouped, dropout, dropout_add, gelu,
    group_norm_over_time, layer_norm, leading_softmax, leaky_relu, linear, masked_softmax, softmax, tanh,
};

/// Numbers in [-2, 2), the same for every type.
fn numbers(key: Key, length: usize) -> Vec<f32> {
    (0..length).map(|i| (hash32(key.seed(), i as u32) >> 8) as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// A whole number in `low..high`.
fn pick(key: Key, low: usize, high: usize) -> usize {
    low + hash32(key.seed(), 0) as usize % (high - low)
}

/// The values of an operation and the gradients of its inputs, which it receives flat.
fn differentiate(
    key: Key,
    lengths: &[usize],
    dtype: DType,
    device: &Device,
    operation: &dyn Fn(&[Tensor<1>]) -> Tensor<1>,
) -> Vec<Vec<f64>> {
    let tensor = |key, length| Tensor::<1>::from_data(TensorData::new(numbers(key, length), [length]), (device, dtype));
    let inputs: Vec<_> =
        lengths.iter().enumerate().map(|(i, &length)| tensor(key.fold(i), length).require_grad()).collect();
    let y = operation(&inputs);
    let weights = tensor(key.fold("gradient"), y.dims()[0]);
    let gradients = (y.clone() * weights).sum().backward();
    let host = |tensor: Tensor<1>| tensor.cast(DType::F64).into_data().try_to_vec::<f64>().unwrap();
    let gradient = |input: &Tensor<1>| host(input.grad(&gradients).unwrap());
    std::iter::once(host(y.inner())).chain(inputs.iter().map(gradient)).collect()
}

/// Compares a fused operation with its composed form in f64.
///
/// The tolerance is 1e-5 of the largest result, or of one where that is smaller: sums here have some thousand terms of
/// size up to four, and may come out much smaller than their terms.
fn compare(
    name: &str,
    key: Key,
    lengths: &[usize],
    operation: impl Fn(&[Tensor<1>]) -> Tensor<1>,
    reference: impl Fn(&[Tensor<1>]) -> Tensor<1>,
) {
    let exact = differentiate(key, lengths, DType::F64, &Device::flex().autodiff(), &reference);
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        let found = differentiate(key, lengths, DType::F32, &device, &operation);
        for (part, (found, exact)) in found.iter().zip(&exact).enumerate() {
            assert_eq!(found.len(), exact.len(), "{name}: length of part {part}");
            let scale = exact.iter().fold(1.0, |scale: f64, value| scale.max(value.abs()));
            for (i, (a, b)) in found.iter().zip(exact).enumerate() {
                assert!((a - b).abs() <= 1e-5 * scale, "{name}: element {i} of part {part} is {a}, not {b}");
            }
        }
    }
}

fn shape2(key: Key) -> [usize; 2] {
    let rows = [1, 2, 7, pick(key.fold("rows"), 1, 400)];
    let widths = [1, 3, 31, 32, 33, 192, pick(key.fold("width"), 1, 1500)];
    [rows[pick(key.fold("a"), 0, 4)], widths[pick(key.fold("b"), 0, 7)]]
}

const ROUNDS: usize = 24;

fn rounds(name: &str) -> impl Iterator<Item = Key> {
    (0..ROUNDS).map(move |round| Key::new(7).fold(name).fold(round))
}

#[test]
fn gelu_is_exact() {
    for key in rounds("gelu") {
        let [rows, width] = shape2(key);
        compare(
            "gelu",
            key,
            &[rows * width],
            |t| gelu(t[0].clone().mul_scalar(3.0)),
            |t| composed::gelu(t[0].clone().mul_scalar(3.0)),
        );
    }
}

#[test]
fn tanh_is_exact() {
    for key in rounds("tanh") {
        let [rows, width] = shape2(key);
        compare("tanh", key, &[rows * width], |t| tanh(t[0].clone()), |t| t[0].clone().tanh());
    }
    let values = [-f32::INFINITY, -50.0, -0.625, -1e-6, -0.0, 0.0, 1e-30, 0.1, 0.624_999, 0.625, 3.0, 9.0, 50.0];
    let found = tanh(Tensor::<1>::from_floats(values, &Device::flex())).into_data().try_to_vec::<f32>().unwrap();
    for (found, x) in found.into_iter().zip(values) {
        let exact = f64::from(x).tanh();
        assert!((f64::from(found) - exact).abs() <= 3e-7 * exact.abs(), "{found} is not {exact}");
    }
}

#[test]
fn the_leaky_rectifier_is_exact() {
    for key in rounds("leaky_relu") {
        let [rows, width] = shape2(key);
        let exact = |t: &[Tensor<1>]| composed::leaky_relu(t[0].clone(), 0.1);
        compare("leaky_relu", key, &[rows * width], |t| leaky_relu(t[0].clone(), 0.1), exact);
    }
}

#[test]
fn softmax_is_exact() {
    for key in rounds("softmax") {
        let shape = shape2(key);
        compare(
            "softmax",
            key,
            &[shape[0] * shape[1]],
            |t| softmax(t[0].clone().reshape(shape)).flatten(0, 1),
            |t| composed::softmax(t[0].clone().reshape(shape)).flatten(0, 1),
        );
    }
}

#[test]
fn masked_softmax_is_exact() {
    for key in rounds("masked softmax") {
        let [items, heads, queries] =
            [pick(key.fold("b"), 1, 5), pick(key.fold("h"), 1, 4), pick(key.fold("q"), 1, 40)];
        let keys = [1, 2, 31, 33, pick(key.fold("k"), 1, 300)][pick(key.fold("w"), 0, 5)];
        let shape = [items, heads, queries, keys];
        let x = |t: &[Tensor<1>]| t[0].clone().reshape(shape);
        let visible: Vec<usize> = (0..items).map(|item| pick(key.fold("n").fold(item), 0, keys + 1)).collect();
        compare(
            "softmax with lengths",
            key,
            &[shape.iter().product()],
            |t| leading_softmax(x(t), &visible).flatten(0, 3),
            |t| composed::leading_softmax(x(t), &visible).flatten(0, 3),
        );
        let mask: Vec<bool> = (0..shape.iter().product()).map(|n| pick(key.fold(n), 0, 3) == 0).collect();
        let mask = |t: &[Tensor<1>]| Tensor::<4, Bool>::from_data(TensorData::new(mask.clone(), shape), &t[0].device());
        compare(
            "softmax with a mask",
            key,
            &[shape.iter().product()],
            |t| masked_softmax(x(t), mask(t)).flatten(0, 3),
            |t| composed::masked_softmax(x(t), mask(t)).flatten(0, 3),
        );
    }
}

#[test]
fn hidden_entries_are_zero_whatever_they_hold() {
    let x = || Tensor::<2>::from_floats([[0.0, f32::NAN, 0.0], [f32::NAN, 1.0, 2.0]], &Device::flex());
    let values = |y: Tensor<2>| y.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(values(leading_softmax(x(), &[1, 0])), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let mask = Tensor::<2, Bool>::from_data([[false, true, false], [true, true, true]], &Device::flex());
    assert_eq!(values(masked_softmax(x(), mask.clone())), [0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
    // Burn stores the Booleans of a selection otherwise.
    let selected = mask.select(0, Tensor::from_data([0, 1], &Device::flex()));
    assert_eq!(values(masked_softmax(x(), selected)), [0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
}

#[test]
fn softmax_ignores_hugely_negative_logits() {
    let x = Tensor::<2>::from_data([[0.0, -1e30, 1.0], [-1e30, -1e30, -1e30]], &Device::flex());
    let y = softmax(x).into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(y[1], 0.0);
    assert!((y[0] - 0.268_941_4).abs() < 1e-6);
    assert!(y[3..].iter().all(|y| (y - 1.0 / 3.0).abs() < 1e-6));
}

#[test]
fn dropout_drops_what_the_composed_form_drops() {
    for key in rounds("dropout") {
        let [rows, width] = shape2(key);
        for probability in [0.0, 0.1, 0.9] {
            compare(
                "dropout",
                key,
                &[rows * width],
                |t| dropout(t[0].clone(), probability, key),
                |t| composed::dropout(t[0].clone(), probability, key),
            );
        }
    }
}

#[test]
fn a_residual_sum_is_exact() {
    for key in rounds("dropout add") {
        let [rows, width] = shape2(key);
        for mask in [None, Some((0.0, key)), Some((0.3, key))] {
            compare(
                "dropout add",
                key,
                &[rows * width, rows * width],
                // Inputs that others read too must not be written to.
                |t| dropout_add(t[0].clone(), t[1].clone(), mask) * t[0].clone() * t[1].clone(),
                |t| composed::dropout_add(t[0].clone(), t[1].clone(), mask) * t[0].clone() * t[1].clone(),
            );
        }
    }
}

#[test]
fn dropout_keeps_the_right_share() {
    let n = 100_000;
    let y = dropout(Tensor::<1>::ones([n], &Device::flex()), 0.3, Key::new(5));
    let y = y.into_data().try_to_vec::<f32>().unwrap();
    let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64;
    assert!(y.iter().all(|&y| y == 0.0 || (y - 1.0 / 0.7).abs() < 1e-6));
    // 5 standard deviations of a binomial.
    assert!((dropped - 0.3 * n as f64).abs() < 5.0 * (0.21 * n as f64).sqrt(), "{dropped} dropped");
}

#[test]
fn linear_is_exact() {
    for key in rounds("linear") {
        let [rows, width] = shape2(key);
        let outputs = [1, 2, 17, 64, 200][pick(key.fold("out"), 0, 5)];
        let call = |t: &[Tensor<1>]| {
            let bias = (t.len() == 3).then(|| t[2].clone());
            (t[0].clone().reshape([1, rows, width]), t[1].clone().reshape([width, outputs]), bias)
        };
        for lengths in [&[rows * width, width * outputs, outputs][..], &[rows * width, width * outputs]] {
            compare(
                "linear",
                key,
                lengths,
                |t| {
                    let (x, weight, bias) = call(t);
                    linear(x, weight, bias).flatten(0, 2)
                },
                |t| {
                    let (x, weight, bias) = call(t);
                    composed::linear(x, weight, bias).flatten(0, 2)
                },
            );
        }
    }
}

#[test]
fn linear_of_no_rows_has_none() {
    for (depth, width) in [(16, 4), (8, 8), (12, 64)] {
        let y = linear(
            Tensor::<2>::zeros([0, depth], &Device::flex()),
            Tensor::ones([depth, width], &Device::flex()),
            None,
        );
        assert_eq!(y.dims(), [0, width]);
    }
}

#[test]
fn kernels_run_where_they_should() {
    let kernel = Gelu { level: Level::detect() };
    let tried = |device: Device, dtype| {
        let x = Tensor::<1>::zeros([3], (&device, dtype));
        fused::run::<_, 1, 1>(&kernel, [x.into_dispatch()]).is_ok()
    };
    assert!(tried(Device::flex(), DType::F32));
    assert!(tried(Device::flex().autodiff(), DType::F32));
    assert!(tried(Device::flex().autodiff().gradient_checkpointing(), DType::F32));
    assert!(!tried(Device::flex(), DType::F64));
    assert!(!tried(Device::flex().autodiff(), DType::F64));
}

/// A diverged model must be noticed, not smoothed over.
#[test]
fn nan_is_passed_on() {
    let device = Device::flex();
    let nans = |shape: [usize; 3]| {
        let mut values = numbers(Key::new(1), shape.iter().product());
        values[0] = f32::NAN;
        Tensor::<3>::from_data(TensorData::new(values, shape), &device)
    };
    let is_nan = |y: Tensor<3>| y.into_data().try_to_vec::<f32>().unwrap()[0].is_nan();
    let (weight, bias) = (Tensor::ones([70], &device), Tensor::zeros([70], &device));
    assert!(is_nan(gelu(nans([1, 1, 70]))));
    for width in [1, 70] {
        assert!(is_nan(softmax(nans([1, 1, width]))));
    }
    assert!(is_nan(layer_norm(nans([1, 2, 70]), weight.clone(), bias.clone(), 1e-5)));
    assert!(is_nan(group_norm_over_time(nans([1, 3, 70]), weight, bias, 1e-5)));
    for keys in [1, 70] {
        let x = nans([1, keys, 4]).unsqueeze_dim::<4>(1);
        assert!(is_nan(crate::attention(AttentionInput::new(x.clone(), x.clone(), x)).0.squeeze_dim(1)));
    }
}

/// Compares an operation at every level of this machine, forward and backward, with itself at the baseline.
///
/// Levels round products before a sum, or not. The tolerance is 1e-5 of a part's largest result: sums here have up to 600
/// terms, whose roundings of 6e-8 rarely lie all on one side.
fn agree(name: &str, lengths: &[usize], operation: impl Fn(Level, &[Tensor<1>]) -> Tensor<1>) {
    let key = Key::new(3).fold(name);
    let at = |level: Level| {
        differentiate(key, lengths, DType::F32, &Device::flex().autodiff(), &|t: &[Tensor<1>]| operation(level, t))
    };
    let baseline = at(Level::Baseline);
    for &level in Level::available() {
        for (part, (found, expected)) in at(level).iter().zip(&baseline).enumerate() {
            let scale = expected.iter().fold(0.0, |scale: f64, value| scale.max(value.abs()));
            assert!(scale > 0.0, "{name}: part {part} is zero");
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() <= 1e-5 * scale, "{name}, {level:?}: {a} of part {part} is not {b}");
            }
        }
    }
}

/// The first inputs as they are.
fn flat<const N: usize>(t: &[Tensor<1>]) -> [DispatchTensor; N] {
    std::array::from_fn(|input| t[input].clone().into_dispatch())
}

#[test]
fn instruction_sets_agree() {
    let shape @ [batch, time, channels] = [2, 300, 70];
    let size = batch * time * channels;
    let rows = |t: &Tensor<1>| t.clone().reshape(shape).into_dispatch();
    let scaled = |t: &[Tensor<1>]| [rows(&t[0]), t[1].clone().into_dispatch(), t[2].clone().into_dispatch()];

    agree("gelu", &[size], |level, t| fused::run(&Gelu { level }, flat(t)).unwrap());
    agree("tanh", &[size], |level, t| fused::run(&Tanh { level }, flat(t)).unwrap());
    agree("leaky rectifier", &[size], |level, t| fused::run(&LeakyRelu { level, slope: 0.1 }, flat(t)).unwrap());
    let drop = |level| Dropout::new(level, 0.2, Key::new(1));
    agree("dropout", &[size], |level, t| fused::run(&drop(level), flat(t)).unwrap());
    for dropped in [false, true] {
        let kernel = |level| DropoutAdd { level, dropout: dropped.then(|| drop(level)) };
        agree("dropout add", &[size, size], |level, t| fused::run(&kernel(level), flat(t)).unwrap());
    }

    let visible = [channels - 3, channels];
    let mask: Vec<bool> = (0..size).map(|n| pick(Key::new(4).fold(n), 0, 3) == 0).collect();
    for hidden in [None, Some(Hidden::From { visible: &visible, rows: time }), Some(Hidden::Mask(&mask))] {
        agree("softmax", &[size], |level, t| {
            let kernel = Softmax { level };
            let y: Tensor<3> = match hidden {
                None => fused::run(&kernel, [rows(&t[0])]),
                Some(hidden) => fused::run_with(&kernel, [rows(&t[0])], |x| kernel.masked(hidden, x)),
            }
            .unwrap();
            y.flatten(0, 2)
        });
    }

    let lengths = [size, channels, channels];
    let eps = 1e-5;
    agree("layer norm", &lengths, |level, t| {
        fused::run::<_, 3, 3>(&LayerNorm { level, eps }, scaled(t)).unwrap().flatten(0, 2)
    });
    agree("group norm", &lengths, |level, t| {
        fused::run::<_, 3, 3>(&GroupNormOverTime { level, eps }, scaled(t)).unwrap().flatten(0, 2)
    });
    for fixed in [false, true] {
        let spread = Spread { mean: vec![0.1; channels], variance: vec![0.9; channels] };
        let kernel = |level| BatchNorm { level, eps, spread: spread.clone(), fixed };
        agree("batch norm", &lengths, |level, t| {
            fused::run::<_, 3, 3>(&kernel(level), scaled(t)).unwrap().flatten(0, 2)
        });
    }

    let reach = 160;
    for causal in [false, true] {
        let padding = Some((0..batch * time).map(|index| index % 7 == 0).collect());
        let kernel = |level| Attention { level, padding: padding.clone(), causal, dropout: Some(drop(level)) };
        agree("attention", &[size, size, size, reach * channels], |level, t| {
            let split = |t: &Tensor<1>| t.clone().reshape([batch, time, 2, channels / 2]).swap_dims(1, 2);
            let table = t[3].clone().reshape([2 * reach, channels / 2]).into_dispatch();
            // Weights of many keys matter, not only the largest.
            let q = split(&t[0]).mul_scalar(0.2).into_dispatch();
            let inputs = [q, split(&t[1]).into_dispatch(), split(&t[2]).into_dispatch(), table];
            fused::run::<_, 4, 4>(&kernel(level), inputs).unwrap().flatten(0, 3)
        });
    }
}

#[test]
fn results_are_bit_equal_for_any_number_of_threads() {
    let (batch, time) = (5, 2000);
    let run = || {
        let network = |t: &[Tensor<1>]| {
            let x = t[0].clone().reshape([batch, time, 4]);
            let x = gelu(conv1d(x, t[1].clone().reshape([40, 64]), None, Window { stride: 5, ..Window::new(10) }));
            let x = group_norm_over_time(x, t[2].clone(), t[3].clone(), 1e-5);
            let x =
                conv1d(x, t[4].clone().reshape([192, 128]), None, Window { stride: 2, padding: 1, ..Window::new(3) });
            let window = Window { padding: 8, dilation: 3, ..Window::new(16) };
            let x = conv1d_grouped(x, t[5].clone().reshape([4, 512, 32]), None, window);
            let x = linear(x, t[6].clone().reshape([128, 64]), Some(t[2].clone()));
            let window = Window { padding: 6, dilation: 3, ..Window::new(5) };
            let x = conv1d(x, t[8].clone().reshape([320, 64]), None, window);
            let x = tanh(batch_norm(x, t[2].clone(), t[3].clone(), 1e-5).y);
            let x = conv_transpose1d(x, t[7].clone().reshape([512, 64]), None, Window { stride: 4, ..Window::new(8) });
            let x = dropout(layer_norm(x, t[2].clone(), t[3].clone(), 1e-5), 0.1, Key::new(2));
            softmax(x).flatten(0, 2)
        };
        let lengths = [batch * time * 4, 40 * 64, 64, 64, 192 * 128, 4 * 512 * 32, 128 * 64, 8 * 64 * 64, 320 * 64];
        differentiate(Key::new(4), &lengths, DType::F32, &Device::flex().autodiff(), &network)
    };
    let once = run();
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(run) == once, "{threads} threads give other bits");
    }
    assert!(once.iter().flatten().all(|value| value.is_finite()));
}
