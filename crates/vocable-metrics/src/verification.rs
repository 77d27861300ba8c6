//! Speaker verification.

/// The equal-error rate of scored trials in percent: where, at one threshold, the share of the different pairs that are
/// accepted is the share of the equal ones that are refused. Between the thresholds that the scores allow, both rates are
/// interpolated along straight lines, as is usual on a receiver operating characteristic.
///
/// `same[n]` tells whether trial `n` is of one speaker; larger scores mean that it seems so. `None` where trials of either
/// kind are missing. Panics where the numbers differ, or a score is not a number.
pub fn equal_error_rate(scores: &[f32], same: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), same.len(), "scores and answers differ in number");
    assert!(scores.iter().all(|score| !score.is_nan()), "a score is not a number");
    let equal = same.iter().filter(|&&same| same).count();
    let different = same.len() - equal;
    if equal == 0 || different == 0 {
        return None;
    }
    let mut trials: Vec<(f32, bool)> = scores.iter().copied().zip(same.iter().copied()).collect();
    trials.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
    // Nothing is accepted at first, then all trials down to each score.
    let (mut accepted, mut refused) = (0, equal);
    let rates = |accepted: usize, refused: usize| (accepted as f64 / different as f64, refused as f64 / equal as f64);
    let mut before = rates(accepted, refused);
    for tied in trials.chunk_by(|one, other| one.0 == other.0) {
        let hits = tied.iter().filter(|trial| trial.1).count();
        (accepted, refused) = (accepted + tied.len() - hits, refused - hits);
        let now = rates(accepted, refused);
        if now.0 >= now.1 {
            let (gap, next) = (before.1 - before.0, now.0 - now.1);
            return Some(100.0 * (before.0 + (now.0 - before.0) * gap / (gap + next)));
        }
        before = now;
    }
    unreachable!("where all is accepted, nothing is refused")
}

/// The equal-error rate in percent, and the number of trials, where every two recordings are a trial: a recording is its
/// speaker and a vector of length 1, a score the cosine of two. `None` as in [`equal_error_rate`].
pub fn equal_error_rate_of_pairs<S: PartialEq>(recordings: &[(S, Vec<f32>)]) -> Option<(f64, usize)> {
    let trials =
        recordings.iter().enumerate().flat_map(|(n, one)| recordings[..n].iter().map(move |other| (one, other)));
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let (scores, same): (Vec<f32>, Vec<bool>) =
        trials.map(|(one, other)| (cosine(&one.1, &other.1), one.0 == other.0)).unzip();
    equal_error_rate(&scores, &same).map(|rate| (rate, scores.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_recordings_are_a_trial() {
        let recordings = [("a", vec![1.0, 0.0]), ("a", vec![0.8, 0.6]), ("b", vec![0.0, 1.0])];
        // Cosines 0.8 (the same voice), 0 and 0.6.
        assert_eq!(equal_error_rate_of_pairs(&recordings), Some((0.0, 3)));
        assert_eq!(equal_error_rate_of_pairs(&recordings[..2]), None);
        let swapped = [("a", vec![1.0, 0.0]), ("b", vec![0.8, 0.6]), ("a", vec![0.0, 1.0])];
        assert_eq!(equal_error_rate_of_pairs(&swapped), Some((100.0, 3)));
    }

    #[test]
    fn known_cases() {
        let eer = |scores: &[f32], same: &[bool]| equal_error_rate(scores, same).unwrap();
        assert_eq!(eer(&[0.9, 0.8, 0.2, 0.1], &[true, true, false, false]), 0.0);
        assert_eq!(eer(&[0.9, 0.8, 0.2, 0.1], &[false, false, true, true]), 100.0);
        // All scores are equal: accepting a half of both kinds.
        assert_eq!(eer(&[0.5; 6], &[true, false, false, true, false, false]), 50.0);
        assert_eq!(eer(&[-0.0, 0.0], &[true, false]), 50.0);
        // One of four is on the wrong side in both directions.
        let same = [true, true, true, false, true, false, false, false];
        assert_eq!(eer(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], &same), 25.0);
        assert_eq!(equal_error_rate(&[0.5], &[true]), None);
        assert_eq!(equal_error_rate(&[0.5], &[false]), None);
        assert_eq!(equal_error_rate(&[], &[]), None);
    }

    #[test]
    fn only_the_order_counts() {
        let scores: Vec<f32> = (0..200_u32).map(|n| (n * 7919 % 211) as f32 / 211.0).collect();
        let same: Vec<bool> = (0..200_u32).map(|n| n * 104_729 % 7 < 3).collect();
        let bent: Vec<f32> = scores.iter().map(|score| score.exp() * 10.0 - 3.0).collect();
        assert_eq!(equal_error_rate(&scores, &same), equal_error_rate(&bent, &same));
    }
}
