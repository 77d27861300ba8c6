//! Dynamic time warping.

/// An alignment in time of two sequences: pairs of indices from (0, 0) to the two last ones, where in every step one index or
/// both grow by 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The pairs in order.
    pub pairs: Vec<(usize, usize)>,
    /// The sum of the costs of all pairs.
    pub cost: f64,
}

/// The path of the smallest summed cost between sequences of `left` and `right` elements; among equal ones, the one that
/// goes diagonally where it can. Every pair counts once, whatever the step that led there.
///
/// `cost(i, j)` is asked once per pair; time and memory grow with `left · right`. Panics where a sequence is empty.
pub fn dtw(left: usize, right: usize, mut cost: impl FnMut(usize, usize) -> f64) -> Path {
    assert!(left > 0 && right > 0, "an empty sequence cannot be aligned: {left} and {right} elements");
    let mut step = vec![Step::Both; left * right];
    let mut above = vec![f64::INFINITY; right];
    let mut row = vec![0.0; right];
    for i in 0..left {
        for j in 0..right {
            let corner = if i > 0 && j > 0 { above[j - 1] } else { f64::INFINITY };
            let before = if j > 0 { row[j - 1] } else { f64::INFINITY };
            // Along the edges there is one way, whatever the costs: some may be infinite.
            let (best, from) = match (i, j) {
                (0, 0) => (0.0, Step::Both),
                (0, _) => (before, Step::Right),
                (_, 0) => (above[0], Step::Left),
                _ if corner <= above[j] && corner <= before => (corner, Step::Both),
                _ if above[j] <= before => (above[j], Step::Left),
                _ => (before, Step::Right),
            };
            row[j] = best + cost(i, j);
            step[i * right + j] = from;
        }
        std::mem::swap(&mut above, &mut row);
    }
    let (mut i, mut j) = (left - 1, right - 1);
    let mut pairs = vec![(i, j)];
    while i > 0 || j > 0 {
        match step[i * right + j] {
            Step::Both => (i, j) = (i - 1, j - 1),
            Step::Left => i -= 1,
            Step::Right => j -= 1,
        }
        pairs.push((i, j));
    }
    pairs.reverse();
    Path { pairs, cost: above[right - 1] }
}

/// Which index grew.
#[derive(Clone, Copy)]
enum Step {
    Both,
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cheapest of all paths from (i, j) on, by trying them all.
    fn cheapest(cost: &[Vec<f64>], i: usize, j: usize) -> f64 {
        let rest = [(1, 0), (0, 1), (1, 1)]
            .into_iter()
            .filter(|(di, dj)| i + di < cost.len() && j + dj < cost[0].len())
            .map(|(di, dj)| cheapest(cost, i + di, j + dj))
            .fold(f64::INFINITY, f64::min);
        cost[i][j] + if rest.is_finite() { rest } else { 0.0 }
    }

    #[test]
    fn no_path_is_cheaper() {
        let mut state = 1_u64;
        for (left, right) in (1..6).flat_map(|left| (1..6).map(move |right| (left, right))) {
            for _ in 0..20 {
                let cost: Vec<Vec<f64>> = (0..left)
                    .map(|_| {
                        (0..right)
                            .map(|_| {
                                state = state
                                    .wrapping_mul(6_364_136_223_846_793_005)
                                    .wrapping_add(1_442_695_040_888_963_407);
                                // Few distinct costs, so that ties occur.
                                (state >> 61) as f64
                            })
                            .collect()
                    })
                    .collect();
                let path = dtw(left, right, |i, j| cost[i][j]);
                assert_eq!(path.cost, cheapest(&cost, 0, 0));
                assert_eq!(path.cost, path.pairs.iter().map(|&(i, j)| cost[i][j]).sum::<f64>());
                assert_eq!((path.pairs[0], path.pairs[path.pairs.len() - 1]), ((0, 0), (left - 1, right - 1)));
                for pair in path.pairs.windows(2) {
                    let (di, dj) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
                    assert!(di <= 1 && dj <= 1 && di + dj > 0);
                }
            }
        }
    }

    #[test]
    fn costs_that_are_no_numbers_leave_a_path() {
        for odd in [f64::INFINITY, f64::NAN] {
            let path = dtw(3, 2, |_, _| odd);
            assert_eq!((path.pairs[0], path.pairs[path.pairs.len() - 1]), ((0, 0), (2, 1)));
            assert!(!path.cost.is_finite());
        }
    }

    #[test]
    fn a_stretched_copy_costs_nothing() {
        let (short, long) = ([1.0, 5.0, 2.0], [1.0, 1.0, 5.0, 5.0, 5.0, 2.0]);
        let path = dtw(3, 6, |i, j| f64::abs(short[i] - long[j]));
        assert_eq!(path.cost, 0.0);
        assert_eq!(path.pairs, [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (2, 5)]);
    }
}
