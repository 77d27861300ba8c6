//! Losses of speech generation: spectrogram distance, stop prediction, guided attention, feature penalty.
//!
//! Lengths are the valid mel frames of every item after cutting to whole decoder steps.

use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};
use vocable_nn::valid_frames;

/// Distance between predicted and true log-mel frames (`loss_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpectrogramDistance {
    /// Mean absolute difference.
    #[default]
    L1,
    /// Mean squared difference.
    L2,
    /// Sum of both.
    L1L2,
}

/// Distance of `predicted` to `target` (both `[batch, frames, mel]`), averaged over the valid frames and all bins;
/// shape `[1]`.
///
/// Source: specification 5.2; official `criterions/text_to_speech_loss.py`.
///
/// # Panics
/// If shapes and lengths disagree.
pub fn spectrogram_loss(
    predicted: Tensor<3>,
    target: Tensor<3>,
    lengths: &[usize],
    distance: SpectrogramDistance,
) -> Tensor<1> {
    let [batch, frames, bins] = target.dims();
    assert_eq!(predicted.dims(), target.dims(), "spectrogram loss: prediction and target differ in shape");
    let fit = lengths.len() == batch && lengths.iter().all(|&length| length <= frames);
    assert!(fit, "spectrogram loss: lengths {lengths:?} for {batch} items of {frames} frames");
    let valid = valid_frames(lengths, frames, &target.device());
    let difference = (predicted - target) * valid;
    let sum = match distance {
        SpectrogramDistance::L1 => difference.abs().sum(),
        SpectrogramDistance::L2 => difference.square().sum(),
        SpectrogramDistance::L1L2 => difference.clone().abs().sum() + difference.square().sum(),
    };
    sum.div_scalar((total(lengths) * bins).max(1) as f64)
}

/// Which frames carry the label "speech ends here" (specification D42).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopLabels {
    /// Every frame from the last one of the uncut utterance on, and the last kept frame.
    #[default]
    Tail,
    /// The last kept frame alone.
    Last,
}

impl StopLabels {
    /// Labels 0 or 1, shape `[batch, frames]`.
    ///
    /// `full` holds the frames of the whole utterances, before cropping and before cutting to whole decoder steps; `kept`
    /// those that are left of them in the batch.
    pub fn labels(self, full: &[usize], kept: &[usize], frames: usize, device: &Device) -> Tensor<2> {
        assert_eq!(full.len(), kept.len(), "stop labels: two lengths per item");
        let stops =
            |full: usize, kept: usize, frame: usize| frame + 1 == kept || (self == Self::Tail && frame + 1 >= full);
        let labels: Vec<f32> = full
            .iter()
            .zip(kept)
            .flat_map(|(&full, &kept)| (0..frames).map(move |frame| f32::from(u8::from(stops(full, kept, frame)))))
            .collect();
        Tensor::from_data(TensorData::new(labels, [full.len(), frames]), device)
    }
}

/// Binary cross-entropy of stop `logits` against `labels` (both `[batch, frames]`), averaged over the valid frames;
/// positive frames weigh `positive_weight` times (5 in the paper's recipes). Shape `[1]`.
pub fn stop_loss(logits: Tensor<2>, labels: Tensor<2>, lengths: &[usize], positive_weight: f64) -> Tensor<1> {
    let [batch, frames] = logits.dims();
    let valid = valid_frames(lengths, frames, &logits.device()).reshape([batch, frames]);
    // −log σ(x) for a positive, −log σ(−x) = x − log σ(x) for a negative frame.
    let missed = activation::log_sigmoid(logits.clone()).neg();
    let negative = labels.clone().neg().add_scalar(1.0);
    let loss = labels.mul_scalar(positive_weight) * missed.clone() + negative * (logits + missed);
    (loss * valid).sum().div_scalar(total(lengths).max(1) as f64)
}

/// Guided attention (Tachibana et al., 2018): penalises cross-attention far from the diagonal. Shape `[1]`.
///
/// `attention` holds every layer's weights, `[batch, heads, steps, time]`; the first `heads` heads of each layer take
/// part. With a layer's step t of T_out and position n of T_in the penalty is `1 − exp(−(n/T_in − t/T_out)²/(2σ²))`,
/// σ = 0.4; the loss is the mean of penalty times weight over the valid entries. Source: specification 6.2, D31.
pub fn guided_attention_loss(attention: &[Tensor<4>], steps: &[usize], positions: &[usize], heads: usize) -> Tensor<1> {
    let first = attention.first().expect("guided attention needs the weights of a layer");
    let [batch, all_heads, time_out, time_in] = first.dims();
    let heads = heads.min(all_heads);
    let mut penalty = Vec::with_capacity(batch * time_out * time_in);
    for (&steps, &positions) in steps.iter().zip(positions) {
        penalty.extend(guide(steps, positions, time_out, time_in));
    }
    let penalty = Tensor::<4>::from_data(TensorData::new(penalty, [batch, 1, time_out, time_in]), &first.device());
    let entries: usize = steps.iter().zip(positions).map(|(&steps, &positions)| steps * positions).sum();
    let sum = attention
        .iter()
        .map(|weights| (weights.clone().narrow(1, 0, heads) * penalty.clone()).sum())
        .reduce(|sum, layer| sum + layer)
        .expect("at least one layer");
    sum.div_scalar((entries * heads * attention.len()).max(1) as f64)
}

/// The penalties of one item in rows of `time_in`, zero in the padding.
fn guide(steps: usize, positions: usize, time_out: usize, time_in: usize) -> impl Iterator<Item = f32> {
    const SIGMA: f64 = 0.4;
    (0..time_out).flat_map(move |t| {
        (0..time_in).map(move |n| {
            if t >= steps || n >= positions {
                return 0.0;
            }
            let distance = n as f64 / positions as f64 - t as f64 / steps as f64;
            (1.0 - (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()) as f32
        })
    })
}

/// Mean square of all extracted `features` (`[batch, time, channel]`), padding included; shape `[1]`.
///
/// Keeps the convolutional features small in pre-training. Source: specification 4.1 (step 3), 5.2.
pub fn feature_penalty(features: Tensor<3>) -> Tensor<1> {
    features.square().mean()
}

fn total(lengths: &[usize]) -> usize {
    lengths.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device::flex().autodiff()
    }

    fn value(loss: Tensor<1>) -> f64 {
        loss.into_scalar::<f32>().into()
    }

    #[test]
    fn distances_are_means_over_valid_frames_and_bins() {
        let target = Tensor::<3>::zeros([2, 3, 2], &device());
        let predicted = Tensor::<3>::from_floats(
            [[[1.0, -2.0], [3.0, 0.0], [9.0, 9.0]], [[0.5, 0.5], [-9.0, 9.0], [9.0, 9.0]]],
            &device(),
        );
        let loss = |distance| value(spectrogram_loss(predicted.clone(), target.clone(), &[2, 1], distance));
        // Sums of at most six exactly represented terms, one division.
        assert!((loss(SpectrogramDistance::L1) - 7.0 / 6.0).abs() < 1e-6);
        assert!((loss(SpectrogramDistance::L2) - 14.5 / 6.0).abs() < 1e-6);
        assert!((loss(SpectrogramDistance::L1L2) - 21.5 / 6.0).abs() < 1e-6);
    }

    #[test]
    fn stop_labels_follow_the_rule() {
        // A cropped item (30 frames, 4 kept), an odd one cut from 5 to 4, and a shorter one of 2.
        let labels =
            |rule: StopLabels| rule.labels(&[30, 5, 2], &[4, 4, 2], 4, &device()).try_into_vec_as::<f32>().unwrap();
        let tail = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
        assert_eq!(labels(StopLabels::Tail), tail);
        assert_eq!(labels(StopLabels::Last), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn stop_loss_equals_the_formula_and_survives_large_logits() {
        let host = [[0.3_f32, -1.2, 100.0], [-100.0, 2.0, 7.0]];
        let labels = [[0.0_f32, 1.0, 1.0], [0.0, 0.0, 1.0]];
        let loss =
            stop_loss(Tensor::from_floats(host, &device()), Tensor::from_floats(labels, &device()), &[3, 2], 5.0);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected = (-(1.0 - sigmoid(f64::from(0.3_f32))).ln()
            - 5.0 * sigmoid(f64::from(-1.2_f32)).ln()
            - (1.0 - sigmoid(2.0)).ln())
            / 5.0;
        // The two extreme logits cost less than e^-100; the rest are f32 terms of order one.
        assert!((value(loss) - expected).abs() < 1e-5);
        let wrong = stop_loss(
            Tensor::from_floats([[-100.0], [100.0]], &device()),
            Tensor::from_floats([[1.0], [0.0]], &device()),
            &[1, 1],
            5.0,
        );
        assert!((value(wrong) - 300.0).abs() < 1e-3);
    }

    #[test]
    fn guide_matches_the_golden_numbers() {
        let golden = [
            [0.0, 0.293352, 0.750648],
            [0.177422, 0.021468, 0.418727],
            [0.542167, 0.083145, 0.083145],
            [0.827578, 0.418727, 0.021468],
        ];
        let found: Vec<f32> = guide(4, 3, 4, 3).collect();
        for (found, golden) in found.iter().zip(golden.as_flattened()) {
            // The golden numbers have six digits.
            assert!((f64::from(*found) - golden).abs() < 1e-6);
        }
    }

    #[test]
    fn guided_attention_is_a_mean_over_valid_entries_of_the_first_heads() {
        let device = device();
        let uniform = Tensor::<4>::ones([2, 3, 5, 4], &device);
        // Heads beyond the first two, padded steps and padded positions must not count.
        let mut poisoned = uniform.clone().slice_fill([0..2, 2..3, 0..5, 0..4], f32::MAX / 1e3);
        poisoned = poisoned.slice_fill([1..2, 0..3, 2..5, 0..4], 1e9).slice_fill([1..2, 0..3, 0..5, 3..4], 1e9);
        let loss = guided_attention_loss(&[poisoned.clone(), poisoned], &[5, 2], &[4, 3], 2);
        let sum: f32 = guide(5, 4, 5, 4).chain(guide(2, 3, 2, 3)).sum();
        assert!((value(loss) - f64::from(sum) / 26.0).abs() < 1e-6);
    }

    #[test]
    fn penalty_is_the_mean_square() {
        let features = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, -4.0]]], &device());
        assert_eq!(value(feature_penalty(features)), 7.5);
    }
}
