//! Connectionist temporal classification (Graves et al., 2006): the negative log-likelihood of a label sequence summed
//! over every alignment, with its analytic gradient, `softmax(logits) − expected label counts`.

use burn::tensor::Tensor;

/// The CTC loss of a batch.
#[derive(Clone, Debug)]
pub struct CtcLoss {
    /// Sum of the utterances' losses in nats, shape `[1]`, differentiable with respect to the logits.
    pub sum: Tensor<1>,
    /// Every utterance's negative log-likelihood in nats; infinite where no alignment exists (zero under `zero_infinity`).
    pub negative_log_likelihood: Vec<f64>,
    /// Number of utterances whose target does not fit into their frames.
    pub infeasible: usize,
}

/// CTC loss of `logits` (`[batch, time, classes]`, before any softmax).
///
/// `frames` holds every utterance's valid frames; later ones have no influence and no gradient. `targets` holds the label
/// sequences without blanks; an empty one is the sequence of blanks alone. An utterance without any alignment (fewer
/// frames than labels plus repetitions) has an infinite loss and no gradient; with `zero_infinity` its loss is zero.
///
/// Reads the logits from the device. Panics when lengths and shapes disagree, or when a label is the blank or no class.
/// Source: specification 6.1; `torch.nn.functional.ctc_loss` with the sum as reduction.
pub fn ctc_loss(logits: Tensor<3>, frames: &[usize], targets: &[Vec<u32>], blank: u32, zero_infinity: bool) -> CtcLoss {
    let found = vocable_kernels::ctc(&logits, frames, targets, blank);
    let mut negative_log_likelihood = found.negative_log_likelihood;
    let infeasible = negative_log_likelihood.iter().filter(|loss| loss.is_infinite()).count();
    if zero_infinity {
        negative_log_likelihood.iter_mut().filter(|loss| loss.is_infinite()).for_each(|loss| *loss = 0.0);
    }
    let value = negative_log_likelihood.iter().sum::<f64>();
    let sum = match found.gradient {
        Some(gradient) => vocable_kernels::known_gradient(logits, value, gradient),
        None => Tensor::from_floats([value as f32], &logits.device()),
    };
    CtcLoss { sum, negative_log_likelihood, infeasible }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use rand::RngExt;
    use vocable_random::Key;

    use super::*;

    fn random_logits(key: Key, batch: usize, time: usize, classes: usize) -> Vec<f32> {
        let mut rng = key.rng();
        (0..batch * time * classes).map(|_| rng.random_range(-3.0_f32..3.0)).collect()
    }

    fn tensor(values: &[f32], shape: [usize; 3]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex().autodiff()).require_grad()
    }

    /// Log-softmax of every row.
    fn log_softmax(logits: &[f32], classes: usize) -> Vec<f64> {
        let mut out = Vec::with_capacity(logits.len());
        for row in logits.chunks_exact(classes) {
            let peak = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let normaliser = peak + row.iter().map(|&x| (f64::from(x) - peak).exp()).sum::<f64>().ln();
            out.extend(row.iter().map(|&x| f64::from(x) - normaliser));
        }
        out
    }

    /// Sums the probability of every alignment whose collapsed form is the target.
    fn brute_force(logits: &[f32], classes: usize, target: &[u32], blank: u32) -> f64 {
        let frames = logits.len() / classes;
        let log_probabilities = log_softmax(logits, classes);
        let mut likelihood = 0.0;
        for code in 0..classes.pow(frames as u32) {
            let path: Vec<usize> = (0..frames).map(|t| code / classes.pow(t as u32) % classes).collect();
            let mut collapsed = path.clone();
            collapsed.dedup();
            collapsed.retain(|&label| label != blank as usize);
            if collapsed.iter().map(|&label| label as u32).eq(target.iter().copied()) {
                let score: f64 =
                    path.iter().enumerate().map(|(t, &label)| log_probabilities[t * classes + label]).sum();
                likelihood += score.exp();
            }
        }
        -likelihood.ln()
    }

    #[test]
    fn equals_the_sum_over_all_alignments() {
        let (time, classes, blank) = (5, 4, 2);
        let targets =
            [vec![], vec![0], vec![1, 1], vec![0, 3, 1], vec![3, 3, 3], vec![0, 1, 0, 1, 3], vec![1, 0, 0, 3]];
        let lengths = [5, 5, 4, 3, 5, 5, 5];
        let host = random_logits(Key::new(1), targets.len(), time, classes);
        let loss = ctc_loss(tensor(&host, [targets.len(), time, classes]), &lengths, &targets, blank, false);
        for (i, target) in targets.iter().enumerate() {
            let valid = &host[i * time * classes..][..lengths[i] * classes];
            let expected = brute_force(valid, classes, target, blank);
            let found = loss.negative_log_likelihood[i];
            // Both are f64 sums of at most 4^5 terms.
            assert!((found - expected).abs() < 1e-11, "target {target:?}: {found} instead of {expected}");
        }
        let sum: f64 = loss.negative_log_likelihood.iter().sum();
        assert_eq!(loss.sum.into_scalar::<f32>(), sum as f32);
    }

    #[test]
    fn the_gradient_equals_finite_differences() {
        let (shape, lengths, blank) = ([3, 6, 5], [6, 4, 6], 0);
        let targets = [vec![1, 1, 4], vec![3, 2], vec![]];
        let host = random_logits(Key::new(2), shape[0], shape[1], shape[2]);
        let logits = tensor(&host, shape);
        let loss = ctc_loss(logits.clone(), &lengths, &targets, blank, false);
        // A factor after the loss must scale the gradient: the surrogate is an ordinary part of the graph.
        let gradients = loss.sum.mul_scalar(2.0).backward();
        let found = logits.grad(&gradients).expect("logits are tracked").try_into_vec_as::<f32>().unwrap();
        let total = |values: &[f32]| -> f64 {
            ctc_loss(tensor(values, shape), &lengths, &targets, blank, false).negative_log_likelihood.iter().sum()
        };
        let step = 1.0 / 128.0;
        for i in 0..host.len() {
            let (mut above, mut below) = (host.clone(), host.clone());
            above[i] += step;
            below[i] -= step;
            let expected = (total(&above) - total(&below)) / f64::from(above[i] - below[i]);
            // The central difference is exact to step²/6 times the third derivative (below 1): 1e-5.
            assert!(
                (f64::from(found[i]) / 2.0 - expected).abs() < 2e-5,
                "element {i}: {} and {expected}",
                found[i] / 2.0
            );
        }
        let classes = shape[2];
        assert!(found[(6 + 4) * classes..12 * classes].iter().all(|&g| g == 0.0), "padding has a gradient");
    }

    #[test]
    fn infeasible_targets_are_infinite_or_zero_and_have_no_gradient() {
        // Two equal labels need a blank between them: three frames.
        let shape = [2, 2, 3];
        let host = random_logits(Key::new(3), 2, 2, 3);
        let targets = [vec![1, 1], vec![1, 2]];
        for (zero_infinity, first) in [(false, f64::INFINITY), (true, 0.0)] {
            let logits = tensor(&host, shape);
            let loss = ctc_loss(logits.clone(), &[2, 2], &targets, 0, zero_infinity);
            assert_eq!(loss.infeasible, 1);
            assert_eq!(loss.negative_log_likelihood[0], first);
            assert_eq!(loss.sum.clone().into_scalar::<f32>().is_finite(), zero_infinity);
            let gradient = logits.grad(&loss.sum.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
            assert!(gradient[..6].iter().all(|&g| g == 0.0));
            assert!(gradient[6..].iter().any(|&g| g != 0.0));
        }
    }

    #[test]
    fn hopeless_but_possible_targets_stay_finite() {
        // A hundred labels at e^-40 each: a likelihood of e^-4000, far below the smallest f64.
        let (time, classes) = (200, 3);
        let host: Vec<f32> = (0..time).flat_map(|_| [40.0, 0.0, 0.0]).collect();
        let target: Vec<u32> = (0..100).map(|i| 1 + i % 2).collect();
        let loss = ctc_loss(tensor(&host, [1, time, classes]), &[time], &[target], 0, false);
        let nll = loss.negative_log_likelihood[0];
        // All alignments have the same probability per label; their number only lowers the loss.
        assert!(nll.is_finite() && nll < 4000.0 && nll > 4000.0 - 200.0 * 3.0_f64.ln(), "{nll}");
    }

    #[test]
    fn a_batch_equals_its_utterances() {
        let (time, classes) = (7, 4);
        let host = random_logits(Key::new(4), 2, time, classes);
        let targets = [vec![1, 2], vec![3, 3, 1]];
        let both = ctc_loss(tensor(&host, [2, time, classes]), &[5, 7], &targets, 0, true);
        for (i, frames) in [5, 7].into_iter().enumerate() {
            let alone = &host[i * time * classes..][..frames * classes];
            let single = ctc_loss(tensor(alone, [1, frames, classes]), &[frames], &targets[i..=i], 0, true);
            assert_eq!(single.negative_log_likelihood[0], both.negative_log_likelihood[i]);
        }
    }

    #[test]
    #[should_panic(expected = "label 0 is the blank")]
    fn a_blank_in_the_target_is_a_bug() {
        ctc_loss(tensor(&[0.0; 6], [1, 2, 3]), &[2], &[vec![0]], 0, true);
    }
}
