//! Random spans of masked frames or channels, with the semantics of fairseq's `compute_mask_indices` (static lengths,
//! overlap allowed).

use rand::RngExt;
use rand::seq::index;
use vocable_random::Key;

/// How much is masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanMask {
    /// Expected share of span frames before overlaps: spans × `length` / frames.
    pub probability: f64,
    /// Frames per span.
    pub length: usize,
    /// Spans per item at least: 2 over time, 0 over channels in the reference.
    pub minimum: usize,
}

/// Draws the masks of a batch: `[item, position]`, true = masked, each row `size` long, all rows with the same number
/// of masked positions.
///
/// `lengths` are the valid positions of each item (for channel masks `size` for all). An item with n valid positions
/// gets floor(p·n/length + U[0,1)) spans at distinct starts, and then every item is reduced to the smallest masked
/// count of the batch by unmasking random positions. In an item too short for its spans these are cut at its end, and some
/// may lie behind it.
///
/// # Panics
/// If an item is longer than `size`.
pub fn compute_mask_indices(lengths: &[usize], size: usize, mask: SpanMask, key: Key) -> Vec<Vec<bool>> {
    let key = key.fold("mask");
    let item = |(row, &length): (usize, &usize)| {
        assert!(length <= size, "item {row} has {length} positions, more than the batch's {size}");
        masked_positions(length, mask, key.fold(row))
    };
    let positions: Vec<Vec<usize>> = lengths.iter().enumerate().map(item).collect();
    let smallest = positions.iter().map(Vec::len).min().unwrap_or(0);
    let rows = positions.iter().enumerate().map(|(row, positions)| {
        let mut masked = vec![false; size];
        let kept = index::sample(&mut key.fold(row).fold("equalise").rng(), positions.len(), smallest);
        kept.into_iter().for_each(|kept| masked[positions[kept]] = true);
        masked
    });
    rows.collect()
}

/// The masked positions of one item before equalising, ascending and distinct.
fn masked_positions(length: usize, mask: SpanMask, key: Key) -> Vec<usize> {
    let mut rng = key.rng();
    let expected = mask.probability * length as f64 / mask.length as f64;
    let spans = mask.minimum.max((expected + rng.random::<f64>()) as usize);
    // Starts lie where a whole span fits; where that leaves too few places, spans may run over the end and are cut.
    let starts = if length > mask.length + spans { length - mask.length } else { spans + 1 };
    let mut masked = vec![false; length];
    for start in index::sample(&mut rng, starts, spans) {
        masked[length.min(start)..length.min(start + mask.length)].fill(true);
    }
    (0..length).filter(|&position| masked[position]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const REFERENCE: &str = include_str!("../../../fixtures/official/masks.json");

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    fn runs(row: &[bool]) -> usize {
        (0..row.len()).filter(|&i| row[i] && (i == 0 || !row[i - 1])).count()
    }

    /// Shares of masked frames, before and after equalising, and the number of separate runs follow the
    /// distributions that the reference function showed over 2,000 batches.
    #[test]
    fn distributions_are_those_of_the_reference() {
        let reference: Value = serde_json::from_str(REFERENCE).unwrap();
        let cases = reference["time_masks"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let number = |name: &str| case[name].as_u64().unwrap() as usize;
            let mask = SpanMask {
                probability: case["mask_prob"].as_f64().unwrap(),
                length: number("mask_length"),
                minimum: number("min_masks"),
            };
            let lengths: Vec<usize> =
                case["valid_lengths"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            let draws = 2000_usize;
            let (mut before, mut after, mut pieces) = (vec![], vec![], vec![]);
            let mut by_item = vec![0.0; lengths.len()];
            for draw in 0..draws {
                let key = Key::new(1).fold(draw);
                for (row, &length) in lengths.iter().enumerate() {
                    let masked = masked_positions(length, mask, key.fold(row)).len();
                    before.push(masked as f64 / length as f64);
                }
                for (row, masked) in compute_mask_indices(&lengths, number("T"), mask, key).iter().enumerate() {
                    let count = masked.iter().filter(|&&m| m).count() as f64;
                    after.push(count / lengths[row] as f64);
                    by_item[row] += count / lengths[row] as f64 / draws as f64;
                    pieces.push(runs(masked) as f64);
                }
            }
            let names = ["masked_fraction_before_equalising", "masked_fraction", "maximal_runs_per_item"];
            for (name, values) in names.iter().zip([before, after, pieces]) {
                let (mean, deviation) = moments(&values);
                let golden = |moment: &str| case[name][moment].as_f64().unwrap();
                // Equalising ties a batch's rows together, so a mean over 2,000 batches has about 2,000 independent
                // values; both sides are estimates, 5 standard errors of their difference.
                let bound = 5.0 * (2.0 / draws as f64).sqrt() * golden("std");
                assert!((mean - golden("mean")).abs() < bound, "{name}: mean {mean}, expected {}", golden("mean"));
                let ratio = deviation / golden("std");
                assert!((ratio - 1.0).abs() < 0.1, "{name}: deviation {deviation}, expected {}", golden("std"));
            }
            let golden = case["per_item_masked_fraction_mean"].as_array().unwrap();
            for (mine, golden) in by_item.iter().zip(golden) {
                assert!((mine - golden.as_f64().unwrap()).abs() < 0.006, "{mine} for {golden}");
            }
        }
    }

    #[test]
    fn equalising_costs_what_the_specification_measured() {
        // Section 15.6, to its three digits, give or take the error of 500 batches.
        let share = |lengths: &[usize], probability: f64| {
            let mask = SpanMask { probability, length: 10, minimum: 2 };
            let mut shares = vec![];
            for draw in 0..500_usize {
                let rows = compute_mask_indices(lengths, 300, mask, Key::new(8).fold(draw));
                let counts =
                    rows.iter().zip(lengths).map(|(row, &n)| row.iter().filter(|&&m| m).count() as f64 / n as f64);
                shares.extend(counts);
            }
            moments(&shares).0
        };
        assert!((share(&[300; 8], 0.8) - 0.510).abs() < 0.006);
        assert!((share(&[300, 280, 250, 220, 200, 180, 150, 120], 0.75) - 0.335).abs() < 0.006);
    }

    #[test]
    fn rows_are_equal_in_number_and_spare_the_padding() {
        for case in 0..200_usize {
            let mut rng = Key::new(2).fold(case).rng();
            let size = rng.random_range(3..200);
            let lengths: Vec<usize> = (0..rng.random_range(1..6)).map(|_| rng.random_range(3..=size)).collect();
            let mask = SpanMask { probability: rng.random(), length: rng.random_range(1..30), minimum: 2 };
            let rows = compute_mask_indices(&lengths, size, mask, Key::new(3).fold(case));
            assert_eq!(rows, compute_mask_indices(&lengths, size, mask, Key::new(3).fold(case)));
            let counts: Vec<usize> = rows.iter().map(|row| row.iter().filter(|&&m| m).count()).collect();
            assert!(counts.iter().all(|&count| count == counts[0] && count > 0), "{counts:?}");
            for (row, &length) in rows.iter().zip(&lengths) {
                assert!(row.len() == size && !row[length..].contains(&true));
            }
        }
    }

    #[test]
    fn corners() {
        let mask = SpanMask { probability: 0.0, length: 10, minimum: 0 };
        assert_eq!(compute_mask_indices(&[5, 3], 5, mask, Key::new(0)), vec![vec![false; 5]; 2]);
        assert!(compute_mask_indices(&[], 5, mask, Key::new(0)).is_empty());
        // Two spans of ten frames in four: starts among 0, 1, 2, so at least positions 1 to 3 are masked.
        let rows = compute_mask_indices(&[4], 4, SpanMask { minimum: 2, ..mask }, Key::new(0));
        assert_eq!(rows[0][1..], [true; 3]);
    }
}
