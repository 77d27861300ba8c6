//! Convolutions against their composed forms in `f64`, and those against the definition.

use burn::tensor::{Device, Tensor};
use vocable_random::Key;

use super::{compare, numbers, pick, rounds};
use crate::fused::{Level, Sizes, minimal_filter};
use crate::{Window, composed, conv_transpose1d, conv1d, conv1d_grouped};

/// A random convolution: `[batch, time]`, groups, in and out per group.
fn conv_case(key: Key) -> ([usize; 2], usize, [usize; 2], Window) {
    let kernel = pick(key.fold("k"), 1, 12);
    let window = Window {
        kernel,
        stride: pick(key.fold("s"), 1, 7),
        padding: [0, 0, 1, kernel / 2, kernel + 1][pick(key.fold("p"), 0, 5)],
        dilation: [1, 1, 1, 2, 3, 5, 6][pick(key.fold("d"), 0, 7)],
    };
    let time = window.span().saturating_sub(2 * window.padding).max(1)
        + [0, 1, pick(key.fold("t"), 0, 200)][pick(key.fold("u"), 0, 3)];
    let batch = [1, 2, 5, 9][pick(key.fold("b"), 0, 4)];
    let per_group = [pick(key.fold("i"), 1, 20), pick(key.fold("o"), 1, 40)];
    ([batch, time], pick(key.fold("g"), 1, 5), per_group, window)
}

fn check_conv1d(key: Key, [batch, time]: [usize; 2], [inputs, outputs]: [usize; 2], window: Window) {
    let kernel = window.kernel;
    let call = |t: &[Tensor<1>]| {
        let bias = (t.len() == 3).then(|| t[2].clone());
        (t[0].clone().reshape([batch, time, inputs]), t[1].clone().reshape([kernel * inputs, outputs]), bias)
    };
    for with_bias in [false, true] {
        let lengths = [batch * time * inputs, kernel * inputs * outputs, outputs];
        compare(
            "conv1d",
            key,
            &lengths[..2 + usize::from(with_bias)],
            |t| {
                let (x, weight, bias) = call(t);
                conv1d(x, weight, bias, window).flatten(0, 2)
            },
            |t| {
                let (x, weight, bias) = call(t);
                composed::conv1d(x, weight, bias, window).flatten(0, 2)
            },
        );
    }
}

#[test]
fn conv1d_is_exact() {
    for key in rounds("conv").chain(rounds("more conv")).chain(rounds("yet more conv")) {
        let (sizes, _, channels, window) = conv_case(key);
        check_conv1d(key, sizes, channels, window);
    }
}

/// A convolution that minimal filtering is for.
fn filter_case(key: Key) -> ([usize; 2], [usize; 2], Window) {
    let ([batch, _], _, _, window) = conv_case(key);
    let window = Window { kernel: pick(key.fold("k"), 3, 14), stride: 1, ..window };
    let time = window.span() + [128, pick(key.fold("t"), 128, 1500)][pick(key.fold("u"), 0, 2)];
    ([batch.min(2), time], [16 * pick(key.fold("i"), 1, 4), 16 * pick(key.fold("o"), 1, 4)], window)
}

#[test]
fn minimal_filtering_is_exact() {
    for key in rounds("minimal filtering") {
        let (sizes, channels, window) = filter_case(key);
        check_conv1d(key, sizes, channels, window);
    }
}

/// In every instruction set, at a depth of the base model.
#[test]
fn minimal_filtering_rounds_little_more_than_the_definition() {
    let (time, channels, outputs) = (200, 256, 32);
    let window = Window { padding: 5, ..Window::new(11) };
    let (x, w) = (numbers(Key::new(1), time * channels), numbers(Key::new(2), 11 * channels * outputs));
    let products = |index: usize| {
        let (step, output) = (index / outputs, index % outputs);
        let taps = (0..11).filter_map(move |tap| Some((tap, (step + tap).checked_sub(5).filter(|&t| t < time)?)));
        let (x, w) = (&x, &w);
        taps.flat_map(move |(tap, t)| {
            (0..channels).map(move |i| (x[t * channels + i], w[(tap * channels + i) * outputs + output]))
        })
    };
    let all = 0..time * outputs;
    let exact: Vec<f64> = all.clone().map(|y| products(y).map(|(x, w)| f64::from(x) * f64::from(w)).sum()).collect();
    let one_by_one: Vec<f32> = all.map(|y| products(y).map(|(x, w)| x * w).sum()).collect();
    let error = |found: &[f32]| {
        let squares = found.iter().zip(&exact).map(|(&found, exact)| (f64::from(found) - exact).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let sizes =
        Sizes { batch: 1, time, steps: time, channels, group_channels: channels, outputs, group_outputs: outputs };
    for &level in Level::available() {
        let found = minimal_filter::convolve(level, window, sizes, &x, &w, None);
        let times = error(&found) / error(&one_by_one);
        assert!(times < 3.0, "{level:?}: {times} times the error of adding up in f32");
    }
}

#[test]
fn conv1d_grouped_is_exact() {
    for key in rounds("grouped conv").chain(rounds("more grouped conv")).chain(rounds("yet more grouped conv")) {
        let ([batch, time], groups, [inputs, outputs], window) = conv_case(key);
        let kernel = window.kernel;
        let call = |t: &[Tensor<1>]| {
            let x = t[0].clone().reshape([batch, time, groups * inputs]);
            (x, t[1].clone().reshape([groups, kernel * inputs, outputs]), Some(t[2].clone()))
        };
        compare(
            "conv1d grouped",
            key,
            &[batch * time * groups * inputs, groups * kernel * inputs * outputs, groups * outputs],
            |t| {
                let (x, weight, bias) = call(t);
                conv1d_grouped(x, weight, bias, window).flatten(0, 2)
            },
            |t| {
                let (x, weight, bias) = call(t);
                composed::conv1d_grouped(x, weight, bias, window).flatten(0, 2)
            },
        );
    }
}

/// The composed convolution itself, against the definition.
#[test]
fn convolutions_follow_the_definition() {
    for key in rounds("definition") {
        let ([batch, time], groups, [inputs, outputs], window) = conv_case(key);
        let kernel = window.kernel;
        let (all_inputs, all_outputs) = (groups * inputs, groups * outputs);
        let x = numbers(key.fold("x"), batch * time * all_inputs);
        let w = numbers(key.fold("w"), groups * kernel * inputs * outputs);
        let steps = window.steps(time);
        let device = Device::flex();
        let tensor = Tensor::<1>::from_floats(x.as_slice(), &device).reshape([batch, time, all_inputs]);
        let weight = Tensor::<1>::from_floats(w.as_slice(), &device);
        let weight = weight.reshape([groups, kernel * inputs, outputs]);
        let y = composed::conv1d_grouped(tensor, weight, None, window);
        assert_eq!(y.dims(), [batch, steps, all_outputs]);
        let y = y.into_data().try_to_vec::<f32>().unwrap();
        for (index, &y) in y.iter().enumerate() {
            let (item, step, output) =
                (index / (steps * all_outputs), index / all_outputs % steps, index % all_outputs);
            let (group, output) = (output / outputs, output % outputs);
            let mut expected = 0.0;
            for tap in 0..kernel {
                let Some(t) =
                    (step * window.stride + tap * window.dilation).checked_sub(window.padding).filter(|&t| t < time)
                else {
                    continue;
                };
                for input in 0..inputs {
                    let x = x[(item * time + t) * all_inputs + group * inputs + input];
                    let w = w[((group * kernel + tap) * inputs + input) * outputs + output];
                    expected += f64::from(x) * f64::from(w);
                }
            }
            assert!((f64::from(y) - expected).abs() < 1e-4, "{y} is not {expected}");
        }
    }
}

/// A random transposed convolution.
fn transposed_case(key: Key) -> ([usize; 2], [usize; 2], Window) {
    let ([batch, _], _, per_group, window) = conv_case(key);
    // Padding must leave something.
    let window = Window { padding: window.padding.min((window.span() - 1) / 2), ..window };
    let time = [1, 2, pick(key.fold("t"), 1, 120)][pick(key.fold("u"), 0, 3)];
    ([batch, time], per_group, window)
}

#[test]
fn conv_transpose1d_is_exact() {
    for key in rounds("transposed").chain(rounds("more transposed")).chain(rounds("yet more transposed")) {
        let ([batch, time], [inputs, outputs], window) = transposed_case(key);
        let kernel = window.kernel;
        let call = |t: &[Tensor<1>]| {
            let bias = (t.len() == 3).then(|| t[2].clone());
            (t[0].clone().reshape([batch, time, inputs]), t[1].clone().reshape([kernel * outputs, inputs]), bias)
        };
        for with_bias in [false, true] {
            let lengths = [batch * time * inputs, kernel * inputs * outputs, outputs];
            compare(
                "conv_transpose1d",
                key,
                &lengths[..2 + usize::from(with_bias)],
                |t| {
                    let (x, weight, bias) = call(t);
                    conv_transpose1d(x, weight, bias, window).flatten(0, 2)
                },
                |t| {
                    let (x, weight, bias) = call(t);
                    composed::conv_transpose1d(x, weight, bias, window).flatten(0, 2)
                },
            );
        }
    }
}

/// Every input step adds its taps to the output.
#[test]
fn transposed_convolutions_follow_the_definition() {
    for key in rounds("transposed definition") {
        let ([batch, time], [inputs, outputs], window) = transposed_case(key);
        let x = numbers(key.fold("x"), batch * time * inputs);
        let w = numbers(key.fold("w"), window.kernel * outputs * inputs);
        let steps = window.transposed_steps(time);
        let mut expected = vec![0.0_f64; batch * steps * outputs];
        for (index, &x) in x.iter().enumerate() {
            let (item, step, input) = (index / (time * inputs), index / inputs % time, index % inputs);
            for tap in 0..window.kernel {
                let place = (step * window.stride + tap * window.dilation).checked_sub(window.padding);
                let Some(place) = place.filter(|&place| place < steps) else { continue };
                for output in 0..outputs {
                    let w = w[(tap * outputs + output) * inputs + input];
                    expected[(item * steps + place) * outputs + output] += f64::from(x) * f64::from(w);
                }
            }
        }
        let device = Device::flex();
        let x = Tensor::<1>::from_floats(x.as_slice(), &device).reshape([batch, time, inputs]);
        let w = Tensor::<1>::from_floats(w.as_slice(), &device).reshape([window.kernel * outputs, inputs]);
        let y = composed::conv_transpose1d(x, w, None, window);
        assert_eq!(y.dims(), [batch, steps, outputs]);
        for (found, expected) in y.into_data().iter::<f32>().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
}

#[test]
#[should_panic(expected = "leaves nothing of 1 steps")]
fn padding_of_a_transposed_convolution_leaves_something() {
    let (x, weight) = (Tensor::ones([1, 1, 2], &Device::flex()), Tensor::ones([3, 2], &Device::flex()));
    conv_transpose1d(x, weight, None, Window { padding: 2, ..Window::new(3) });
}

/// HiFi-GAN's upsampling makes four steps of each.
#[test]
fn lengths_of_transposed_convolutions() {
    let window = Window { kernel: 8, stride: 4, padding: 2, dilation: 1 };
    assert_eq!(window.transposed_steps(50), 200);
    assert_eq!(window.steps(200), 50);
}
