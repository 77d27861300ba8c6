//! The product of a few rows, against sums in `f64`.

use vocable_random::Key;

use super::{numbers, pick, rounds};
use crate::fused::Level;
use crate::fused::few_rows::{FEW, Weight};

/// Rows, depth and width.
fn sizes(key: Key) -> [usize; 3] {
    let depths = [8, 32, 64, 72, 768, 8 * pick(key.fold("depth"), 1, 200)];
    let widths = [1, 2, 33, 256, 257, 768, pick(key.fold("width"), 1, 1200)];
    [pick(key.fold("rows"), 1, FEW + 4), depths[pick(key.fold("d"), 0, 6)], widths[pick(key.fold("w"), 0, 7)]]
}

#[test]
fn few_rows_are_exact_at_every_level() {
    for key in rounds("few rows") {
        let [rows, depth, width] = sizes(key);
        let [x, weight, bias] =
            [("x", rows * depth), ("w", depth * width), ("b", width)].map(|(name, n)| numbers(key.fold(name), n));
        let bias = (pick(key.fold("bias"), 0, 2) == 1).then_some(bias);
        let exact = |index: usize| {
            let (row, column) = (index / width, index % width);
            let products = (0..depth).map(|i| f64::from(x[row * depth + i]) * f64::from(weight[i * width + column]));
            products.sum::<f64>() + bias.as_ref().map_or(0.0, |bias| f64::from(bias[column]))
        };
        let exact: Vec<f64> = (0..rows * width).map(exact).collect();
        // Sums of `depth` terms of size up to four that may come out much smaller than their terms.
        let tolerance = 1e-5 * (depth as f64).sqrt();
        for &level in Level::available() {
            let found = Weight::new(&weight, width).product(level, &x, bias.as_deref());
            assert_eq!(found.len(), exact.len());
            for (found, exact) in found.iter().zip(&exact) {
                assert!((f64::from(*found) - exact).abs() < tolerance, "{level:?}: {found} is not {exact}");
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_company_and_on_any_number_of_threads() {
    let (rows, depth, width) = (13, 800, 700);
    let (x, weight) = (numbers(Key::new(1), rows * depth), numbers(Key::new(2), depth * width));
    let bias = numbers(Key::new(3), width);
    let weight = Weight::new(&weight, width);
    let product = |x: &[f32]| weight.product(Level::detect(), x, Some(&bias));
    let together = product(&x);
    let alone: Vec<f32> = x.chunks_exact(depth).flat_map(product).collect();
    assert!(together == alone);
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| product(&x)) == together, "{threads} threads give other bits");
    }
}
