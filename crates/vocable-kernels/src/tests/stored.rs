//! Weights in fewer bits: what is lost, and products with what is left.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{numbers, pick, rounds};
use crate::fused::Level;
use crate::stored::Kept;
use crate::{Storage, composed, linear};

const STORAGES: [Storage; 2] = [Storage::Bf16, Storage::Int8];

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.cast(DType::F64).into_data().try_to_vec().unwrap()
}

#[test]
fn products_are_those_of_the_stored_weight_at_every_level() {
    let device = Device::flex();
    for key in rounds("stored") {
        let depths = [8, 24, 64, 120, 768, 3072, pick(key.fold("depth"), 1, 600)];
        let depth = depths[pick(key.fold("d"), 0, depths.len())];
        // Few rows, several times as many, and more than are read as they are stored.
        let rows = pick(key.fold("rows"), 1, [16, 65, 200][pick(key.fold("r"), 0, 3)]);
        let width = pick(key.fold("width"), 1, 600);
        let draw = |name: &str, length: usize| Tensor::<1>::from_floats(&numbers(key.fold(name), length)[..], &device);
        let x = draw("x", rows * depth).reshape([1, rows, depth]);
        let weight = draw("weight", depth * width).reshape([depth, width]);
        let bias = (pick(key.fold("bias"), 0, 2) == 1).then(|| draw("bias", width));
        // Sums of `depth` terms of size up to four that may come out much smaller than their terms.
        let tolerance = 1e-5 * (depth as f64).sqrt();
        for storage in STORAGES {
            let stored = storage.store(weight.clone());
            let wide = composed::widened(stored.clone(), DType::F32);
            let exact = composed::linear(
                x.clone().cast(DType::F64),
                wide.clone().cast(DType::F64),
                bias.clone().map(|bias| bias.cast(DType::F64)),
            );
            let exact = host(exact);
            let check = |found: Tensor<3>, what: &str| {
                assert_eq!(found.dims(), [1, rows, width]);
                for (found, exact) in host(found).iter().zip(&exact) {
                    assert!((found - exact).abs() < tolerance, "{storage:?}, {what}: {found} is not {exact}");
                }
            };
            check(linear(x.clone(), stored.clone(), bias.clone()), "whatever runs");
            check(linear(x.clone().autodiff(), stored.clone(), bias.clone()), "in a graph");
            let Some(kept) = Kept::of(&stored) else {
                assert!(storage == Storage::Int8 && !(8..=255).any(|block| depth.is_multiple_of(block)));
                continue;
            };
            assert_eq!(host(kept.widened()), host(wide));
            if rows <= 64 && depth.is_multiple_of(8) {
                for &level in Level::available() {
                    check(kept.product(level, &x, bias.as_ref()).expect("it runs"), &format!("{level:?}"));
                }
            }
        }
    }
}

/// A scale for each few bytes would be larger than what it saves.
#[test]
fn a_weight_that_has_no_blocks_stays_as_it_is() {
    for (depth, blocks) in [(257, false), (514, false), (7, false), (8, true), (289, true)] {
        let weight = Tensor::<2>::ones([depth, 3], &Device::flex());
        let stored = Storage::Int8.store(weight.clone());
        assert_eq!(matches!(stored.dtype(), DType::QFloat(_)), blocks, "{depth} inputs");
        assert_eq!(host(composed::widened(stored, DType::F32)), host(weight));
    }
}

/// Half of what lies between two numbers that can be stored is lost at most.
#[test]
fn storing_rounds_to_the_nearest() {
    let (depth, width) = (768, 40);
    let values = numbers(vocable_random::Key::new(3), depth * width);
    // Outputs of very different sizes, and one of zeros.
    let values: Vec<f32> = values.iter().enumerate().map(|(i, value)| value * (i % width) as f32).collect();
    let weight = Tensor::<2>::from_data(TensorData::new(values.clone(), [depth, width]), &Device::flex());
    let largest = |column: usize, block: usize| {
        (0..192).map(|row| values[(block * 192 + row) * width + column].abs()).fold(0.0, f32::max)
    };
    for storage in STORAGES {
        let wide = host(composed::widened(storage.store(weight.clone()), DType::F32));
        for (index, (&value, wide)) in values.iter().zip(&wide).enumerate() {
            let step = match storage {
                Storage::Bf16 => value.abs() / 128.0,
                Storage::Int8 => largest(index % width, index / width / 192) / 127.0,
            };
            let lost = (f64::from(value) - wide).abs();
            assert!(lost <= f64::from(step) * 0.5001, "{storage:?}: {value} became {wide}");
        }
    }
}
