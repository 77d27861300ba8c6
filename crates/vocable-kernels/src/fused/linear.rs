//! The affine map over the last dimension.

use super::Kernel;
use super::buffer::{Array, Parts, sum};
use super::few_rows::{FEW, Weight};
use super::level::Level;
use super::product::{Matrix, Threads, product};
use super::transpose::transposed;

/// From so many rows on, a product takes long enough for a transposed copy of the weight to pay.
const MANY_ROWS: usize = 64;

/// Inputs: x, weight, and a bias if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Linear;

impl<const N: usize> Kernel<N> for Linear {
    /// x and the weight.
    type Saved = [Array; 2];

    fn forward(&self, inputs: [Array; N]) -> (Array, [Array; 2]) {
        let [x, weight] = [inputs[0].clone(), inputs[1].clone()];
        let bias = inputs.get(2).map(Array::values);
        let (rows, depth, width) = sizes(&x, &weight);
        let few = Weight::new(weight.values(), width);
        let y = if (1..=FEW).contains(&rows) && few.fits() {
            few.product(Level::detect(), x.values(), bias)
        } else {
            let a = Matrix::new(x.values(), rows, depth, depth);
            new_product(a, Matrix::new(weight.values(), depth, width, width), bias)
        };
        let mut shape = x.shape().to_vec();
        shape.pop();
        shape.push(width);
        (Array::new(y, &shape), [x, weight])
    }

    fn backward(&self, [x, weight]: [Array; 2], gradient: Array, wanted: [bool; N]) -> [Option<Array>; N] {
        let (rows, depth, width) = sizes(&x, &weight);
        let g = Matrix::new(gradient.values(), rows, width, width);
        std::array::from_fn(|input| {
            wanted[input].then(|| match input {
                0 if rows >= MANY_ROWS && width >= depth => {
                    // The long rows of a wide weight lie too far apart for the product to gather its columns well.
                    let weight = transposed(weight.values(), depth, width);
                    Array::new(new_product(g, Matrix::new(&weight, width, depth, depth), None), x.shape())
                }
                0 => {
                    let weight = Matrix::new(weight.values(), depth, width, width).transposed();
                    Array::new(new_product(g, weight, None), x.shape())
                }
                1 => {
                    let x = Matrix::new(x.values(), rows, depth, depth).transposed();
                    Array::new(new_product(x, g, None), weight.shape())
                }
                _ => column_sums(gradient.values(), width),
            })
        })
    }
}

/// `a · b + bias`, row-major.
fn new_product(a: Matrix, b: Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let (length, width) = (a.row_count() * b.columns(), b.columns());
    let mut out = Vec::with_capacity(length);
    product(a, b, bias, &mut out.spare_capacity_mut()[..length], width, Threads::All);
    // SAFETY: the product has written all rows, which are adjacent.
    unsafe { out.set_len(length) };
    out
}

/// Rows, depth and width of the product.
fn sizes(x: &Array, weight: &Array) -> (usize, usize, usize) {
    let (depth, width) = (weight.shape()[0], weight.shape()[1]);
    (x.shape()[..x.shape().len() - 1].iter().product(), depth, width)
}

/// The sum over the rows: the gradient of a bias.
pub(crate) fn column_sums(values: &[f32], width: usize) -> Array {
    let partial = Parts::rows(values.len(), width).map(|range| {
        let mut total = vec![0.0; width];
        for row in values[range].chunks_exact(width) {
            for (total, value) in total.iter_mut().zip(row) {
                *total += value;
            }
        }
        total
    });
    let mut total = sum(partial);
    total.resize(width, 0.0);
    Array::new(total, &[width])
}
