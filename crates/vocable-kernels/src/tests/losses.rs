//! Cross-entropy against its composed form in `f64`, CTC against sums in logarithms, and how both enter a graph.

use burn::tensor::{DType, Device, Tensor, TensorData};
use vocable_random::Key;

use super::{compare, numbers, pick, rounds};
use crate::fused::{self, Level};
use crate::{composed, cross_entropy, ctc, known_gradient};

fn random_targets(key: Key, rows: usize, classes: usize) -> Vec<Option<u32>> {
    let target =
        |row: usize| (pick(key.fold("some").fold(row), 0, 5) > 0).then(|| pick(key.fold(row), 0, classes) as u32);
    (0..rows).map(target).collect()
}

#[test]
fn cross_entropy_is_exact() {
    for key in rounds("cross-entropy") {
        let rows = [1, 3, pick(key.fold("rows"), 1, 700)][pick(key.fold("r"), 0, 3)];
        let classes = [1, 2, 31, 33, 81, 500][pick(key.fold("c"), 0, 6)];
        let targets = random_targets(key.fold("targets"), rows, classes);
        for smoothing in [0.0, 0.1] {
            let logits = |t: &[Tensor<1>]| t[0].clone().mul_scalar(2.0).reshape([rows, classes]);
            compare(
                &format!("cross-entropy of {rows} x {classes}, smoothing {smoothing}"),
                key,
                &[rows * classes],
                |t| cross_entropy(logits(t), &targets, smoothing).sum,
                |t| composed::cross_entropy(logits(t), &targets, smoothing).sum,
            );
            let tensor = |dtype: DType| {
                let data = TensorData::new(numbers(key, rows * classes), [rows, classes]);
                Tensor::<2>::from_data(data, (&Device::flex(), dtype))
            };
            let found = cross_entropy(tensor(DType::F32), &targets, smoothing);
            let exact = composed::cross_entropy(tensor(DType::F64), &targets, smoothing);
            let value = |sum: Tensor<1>| sum.into_data().convert::<f64>().iter::<f64>().next().unwrap();
            let (sum, exact_sum) = (value(found.sum), value(exact.sum));
            assert!((sum - exact_sum).abs() <= 1e-6 * exact_sum.max(1.0), "{sum} is not {exact_sum}");
            let (nll, exact_nll) = (found.negative_log_likelihood, exact.negative_log_likelihood);
            assert!((nll - exact_nll).abs() <= 1e-6 * exact_nll.max(1.0), "{nll} is not {exact_nll}");
            assert_eq!(found.correct, exact.correct);
        }
    }
}

#[test]
fn of_equal_logits_the_first_wins() {
    let logits = || Tensor::<2>::from_floats([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]], &Device::flex());
    let targets = [Some(1), Some(2)];
    assert_eq!(cross_entropy(logits(), &targets, 0.0).correct, 1);
    assert_eq!(composed::cross_entropy(logits(), &targets, 0.0).correct, 1);
}

#[test]
fn a_known_gradient_is_scaled_by_what_follows() {
    for key in rounds("known") {
        let length = [1, 70, 40_000][pick(key.fold("n"), 0, 3)];
        let gradient = |t: &Tensor<1>| {
            let data = TensorData::new(numbers(key.fold("known"), length), [length]);
            // Outside of any graph, as it comes from the host.
            Tensor::<1>::from_data(data, (&t.device().inner(), t.dtype()))
        };
        compare(
            "known gradient",
            key,
            &[length],
            |t| known_gradient(t[0].clone(), 0.5, gradient(&t[0])) * 3.0,
            |t| composed::known_gradient(t[0].clone(), 0.5, gradient(&t[0])) * 3.0,
        );
    }
}

/// On other devices, and of other types, a loss with its gradient enters the graph by the composed form.
#[test]
fn ctc_enters_graphs_of_other_types_and_of_impossible_classes() {
    let values = [[[0.0, 1.0, f32::NEG_INFINITY], [2.0, f32::NEG_INFINITY, 0.0]]];
    let enter = |dtype: DType, composed: bool| {
        let device = Device::flex().autodiff();
        let logits = Tensor::<3>::from_floats(values, &device).cast(dtype).detach().require_grad();
        let found = ctc(&logits, &[2], &[vec![1]], 0);
        let (value, gradient) = (found.negative_log_likelihood[0], found.gradient.unwrap());
        let loss = match composed {
            true => composed::known_gradient(logits.clone(), value, gradient),
            false => known_gradient(logits.clone(), value, gradient),
        };
        let gradient = logits.grad(&loss.clone().backward()).unwrap();
        let host = |data: TensorData| data.convert::<f64>().try_into_vec::<f64>().unwrap();
        (host(loss.into_data())[0], host(gradient.into_data()))
    };
    let (loss, gradient) = enter(DType::F32, false);
    assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|&g| g != 0.0));
    for (dtype, composed) in [(DType::F32, true), (DType::F64, false)] {
        let (other, others) = enter(dtype, composed);
        // The known gradient itself is in f32.
        assert!((other - loss).abs() < 1e-6, "{dtype:?}: {other} is not {loss}");
        assert!(others.iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-6), "{others:?} are not {gradient:?}");
    }
}

/// Negative log-likelihood and gradient of one utterance by sums in logarithms, as textbooks have it.
fn logarithmic(logits: &[f32], classes: usize, target: &[u32], blank: usize) -> (f64, Vec<f64>) {
    let add = |a: f64, b: f64| {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
    };
    let log_probabilities: Vec<f64> = logits
        .chunks_exact(classes)
        .flat_map(|row| {
            let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let total = max + row.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln();
            row.iter().map(move |&x| f64::from(x) - total)
        })
        .collect();
    let labels: Vec<usize> =
        std::iter::once(blank).chain(target.iter().flat_map(|&label| [label as usize, blank])).collect();
    let (states, frames) = (labels.len(), logits.len() / classes);
    let skips = |s: usize| s >= 2 && labels[s] != blank && labels[s] != labels[s - 2];
    let emission = |t: usize, s: usize| log_probabilities[t * classes + labels[s]];
    let mut forward = vec![vec![f64::NEG_INFINITY; states]; frames];
    for t in 0..frames {
        for s in 0..states {
            let mut reach = if t == 0 && s < 2 { 0.0 } else { f64::NEG_INFINITY };
            if t > 0 {
                let ways = if skips(s) { s - 2..=s } else { s.saturating_sub(1)..=s };
                reach = forward[t - 1][ways].iter().copied().fold(reach, add);
            }
            forward[t][s] = reach + emission(t, s);
        }
    }
    let mut backward = vec![vec![f64::NEG_INFINITY; states]; frames];
    for t in (0..frames).rev() {
        for s in 0..states {
            let mut leave = if t + 1 == frames && s + 2 >= states { 0.0 } else { f64::NEG_INFINITY };
            if t + 1 < frames {
                let next = (s..(s + 3).min(states)).filter(|&to| to < s + 2 || skips(to));
                leave = next.map(|to| backward[t + 1][to] + emission(t + 1, to)).fold(leave, add);
            }
            backward[t][s] = leave;
        }
    }
    let end = &forward[frames - 1];
    let total = if states > 1 { add(end[states - 1], end[states - 2]) } else { end[0] };
    let mut gradient: Vec<f64> = log_probabilities.iter().map(|p| p.exp()).collect();
    for t in 0..frames {
        for s in 0..states {
            gradient[t * classes + labels[s]] -= (forward[t][s] + backward[t][s] - total).exp();
        }
    }
    (-total, gradient)
}

/// A batch of random utterances.
struct Utterances {
    logits: Vec<f32>,
    /// Batch, time, classes.
    shape: [usize; 3],
    frames: Vec<usize>,
    targets: Vec<Vec<u32>>,
    blank: u32,
}

fn utterances(key: Key) -> Utterances {
    let batch = pick(key.fold("batch"), 1, 4);
    let time = [1, 2, 30, pick(key.fold("time"), 1, 300)][pick(key.fold("t"), 0, 4)];
    let classes = [2, 5, 81][pick(key.fold("c"), 0, 3)];
    let blank = pick(key.fold("blank"), 0, classes);
    let frames: Vec<usize> = (0..batch).map(|item| pick(key.fold("frames").fold(item), 1, time + 1)).collect();
    let target = |item: usize| {
        let key = key.fold("target").fold(item);
        let length = pick(key, 0, frames[item] / 2 + 2);
        let label = |n: usize| pick(key.fold(n), 0, classes - 1);
        (0..length).map(|n| (label(n) + usize::from(label(n) >= blank)) as u32).collect()
    };
    // From nearly uniform to so sharp that whole utterances are out of the range of f64.
    let sharpness = [0.1, 3.0, 40.0][pick(key.fold("sharp"), 0, 3)];
    let logits = numbers(key, batch * time * classes).iter().map(|x| x * sharpness).collect();
    let targets = (0..batch).map(target).collect();
    Utterances { logits, shape: [batch, time, classes], frames, targets, blank: blank as u32 }
}

#[test]
fn ctc_is_exact() {
    let mut infeasible = 0;
    for key in rounds("ctc").chain(rounds("more ctc")) {
        let Utterances { logits: host, shape: [batch, time, classes], frames, targets, blank } = utterances(key);
        let data = TensorData::new(host.clone(), [batch, time, classes]);
        let logits = Tensor::<3>::from_data(data.clone(), &Device::flex().autodiff()).require_grad();
        let found = ctc(&logits, &frames, &targets, blank);
        let plain = ctc(&Tensor::from_data(data, &Device::flex()), &frames, &targets, blank);
        assert_eq!(plain.negative_log_likelihood, found.negative_log_likelihood);
        assert!(plain.gradient.is_none());
        let gradient = found.gradient.unwrap().into_data().try_into_vec::<f32>().unwrap();
        for item in 0..batch {
            let start = item * time * classes;
            let valid = frames[item] * classes;
            let (expected, exact) = logarithmic(&host[start..start + valid], classes, &targets[item], blank as usize);
            let loss = found.negative_log_likelihood[item];
            let (gradient, padding) = gradient[start..][..time * classes].split_at(valid);
            assert!(padding.iter().all(|&g| g == 0.0));
            if expected == f64::INFINITY {
                infeasible += 1;
                assert!(loss == expected && gradient.iter().all(|&g| g == 0.0));
                continue;
            }
            // f64 throughout: sums over 300 frames of numbers up to 160.
            assert!((loss - expected).abs() <= 1e-10 * expected.max(1.0), "{loss} is not {expected}");
            for (found, exact) in gradient.iter().zip(exact) {
                assert!((f64::from(*found) - exact).abs() < 1e-7, "{found} is not {exact}");
            }
        }
    }
    assert!(infeasible > 3, "only {infeasible} infeasible targets were drawn");
}

#[test]
fn impossible_classes_are_left_out_and_nan_is_passed_on() {
    let (nothing, device) = (f32::NEG_INFINITY, Device::flex().autodiff());
    let logits = |values: [[[f32; 3]; 2]; 1]| Tensor::<3>::from_floats(values, &device).require_grad();
    // Label 1 can only be at the first frame: one alignment, 1 then blank.
    let found = ctc(&logits([[[0.0, 1.0, nothing], [2.0, nothing, 0.0]]]), &[2], &[vec![1]], 0);
    let first = 1.0 - (1.0 + 1.0_f64.exp()).ln();
    let expected = -first - (2.0 - (1.0 + 2.0_f64.exp()).ln());
    assert!((found.negative_log_likelihood[0] - expected).abs() < 1e-12);
    assert!(found.gradient.unwrap().into_data().try_to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
    let blocked = ctc(&logits([[[0.0, nothing, 0.0], [0.0, nothing, 0.0]]]), &[2], &[vec![1]], 0);
    assert_eq!(blocked.negative_log_likelihood[0], f64::INFINITY);
    let poisoned = ctc(&logits([[[0.0, 1.0, 2.0], [0.0, f32::NAN, 0.0]]]), &[2], &[vec![2]], 0);
    assert!(poisoned.negative_log_likelihood[0].is_nan());

    for smoothing in [0.0, 0.1] {
        let entropy = |logits: [[f32; 2]; 1], target: u32| {
            let logits = Tensor::<2>::from_floats(logits, &device).require_grad();
            let found = cross_entropy(logits.clone(), &[Some(target)], smoothing);
            let gradient = logits.grad(&found.sum.clone().backward()).unwrap().into_data();
            (found.sum.into_scalar::<f32>(), found.negative_log_likelihood, gradient.try_into_vec::<f32>().unwrap())
        };
        let (sum, likelihood, gradient) = entropy([[0.0, nothing]], 0);
        // A share of the loss is that of the impossible class, where there is any.
        assert_eq!((sum, likelihood), (if smoothing > 0.0 { f32::INFINITY } else { 0.0 }, 0.0));
        assert!(gradient.iter().all(|g| g.is_finite()));
        assert_eq!(entropy([[0.0, nothing]], 1).1, f64::INFINITY);
        assert!(entropy([[0.0, f32::NAN]], 0).0.is_nan());
    }
}

#[test]
fn losses_are_bit_equal_for_any_number_of_threads() {
    let device = Device::flex().autodiff();
    let run = || {
        let values = numbers(Key::new(5), 8 * 200 * 81);
        let logits = Tensor::<3>::from_data(TensorData::new(values, [8, 200, 81]), &device).require_grad();
        let targets: Vec<Vec<u32>> = (1..9).map(|n| (0..60).map(|t| 1 + (n * t) % 80).collect()).collect();
        let ctc = ctc(&logits, &[200; 8], &targets, 0);
        let rows = random_targets(Key::new(6), 1600, 81);
        let entropy = cross_entropy(logits.clone().reshape([1600, 81]), &rows, 0.1);
        let sum = entropy.sum.clone().into_data();
        let gradient = logits.grad(&entropy.sum.backward()).unwrap().into_data();
        (ctc.negative_log_likelihood, ctc.gradient.unwrap().into_data(), sum, gradient)
    };
    let once = run();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(run) == once, "{threads} threads give other bits");
    }
}

#[test]
fn instruction_sets_lose_alike() {
    let (rows, classes) = (50, 81);
    let targets = random_targets(Key::new(7), rows, classes);
    let entropy = |level: Level| {
        let logits = Tensor::<2>::from_data(
            TensorData::new(numbers(Key::new(8), rows * classes), [rows, classes]),
            &Device::flex(),
        );
        let [logits] = fused::arrays([logits.into_dispatch()]).unwrap();
        let found = fused::cross_entropy(level, &logits, &targets, 0.1, true);
        (found.sum, found.gradient.unwrap().values().to_vec())
    };
    let Utterances { logits: host, shape: [_, _, classes], frames, targets: labels, blank } =
        rounds("instruction sets").map(utterances).find(|u| u.frames[0] > 20 && u.targets[0].len() > 5).unwrap();
    let utterance = |level: Level| {
        let valid = frames[0] * classes;
        let mut gradient = vec![0.0; valid];
        let loss = crate::ctc::utterance(level, &host[..valid], classes, &labels[0], blank, Some(&mut gradient));
        (loss, gradient)
    };
    let agree = |level: Level, (sum, gradient): (f64, Vec<f32>), (expected, exact): &(f64, Vec<f32>)| {
        assert!((sum - expected).abs() <= 1e-6 * expected.abs(), "{level:?}: {sum} is not {expected}");
        for (found, exact) in gradient.iter().zip(exact) {
            assert!((found - exact).abs() <= 1e-6, "{level:?}: {found} is not {exact}");
        }
    };
    let baseline = (entropy(Level::Baseline), utterance(Level::Baseline));
    assert!(baseline.1.0.is_finite() && baseline.1.0 > 0.0);
    for &level in Level::available() {
        agree(level, entropy(level), &baseline.0);
        agree(level, utterance(level), &baseline.1);
    }
}
