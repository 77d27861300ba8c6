//! Greedy decoding of CTC outputs.

use burn::tensor::Tensor;

/// Best path of every utterance: the arg-max class of each valid frame, collapsed.
///
/// `logits` is `[batch, time, classes]` (any monotone transform of the probabilities), `frames` the valid frames.
///
/// # Panics
/// If lengths and shape disagree.
pub fn ctc_greedy(logits: Tensor<3>, frames: &[usize], blank: u32) -> Vec<Vec<u32>> {
    let [batch, time, _] = logits.dims();
    assert_eq!(frames.len(), batch, "CTC decoding: {} lengths for a batch of {batch}", frames.len());
    assert!(frames.iter().all(|&frames| frames <= time), "CTC decoding: {frames:?} frames in a batch of {time}");
    let best = logits.argmax(2).try_into_vec_as::<i64>().expect("indices are readable integers");
    (0..batch)
        .map(|item| {
            let path: Vec<u32> = best[item * time..][..frames[item]].iter().map(|&class| class as u32).collect();
            collapse(&path, blank)
        })
        .collect()
}

/// The labels of an alignment: repetitions merged, then blanks removed.
pub fn collapse(path: &[u32], blank: u32) -> Vec<u32> {
    path.chunk_by(|a, b| a == b).map(|run| run[0]).filter(|&label| label != blank).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn repetitions_merge_before_blanks_vanish() {
        assert_eq!(collapse(&[0, 1, 1, 0, 1, 2, 2, 0], 0), [1, 1, 2]);
        assert!(collapse(&[3, 3, 3], 3).is_empty());
        assert!(collapse(&[], 3).is_empty());
    }

    #[test]
    #[should_panic(expected = "[5, 2] frames in a batch of 4")]
    fn frames_of_the_next_utterance_are_not_read() {
        ctc_greedy(Tensor::zeros([2, 4, 3], &Device::flex()), &[5, 2], 0);
    }

    #[test]
    fn padding_is_not_read() {
        let frame = |class: usize| std::array::from_fn::<f32, 3, _>(|i| if i == class { 1.0 } else { -1.0 });
        let logits = Tensor::from_floats(
            [[frame(1), frame(1), frame(0), frame(1)], [frame(2), frame(0), frame(1), frame(1)]],
            &Device::flex(),
        );
        assert_eq!(ctc_greedy(logits, &[4, 2], 0), [vec![1, 1], vec![2]]);
    }
}
