//! AdamW against its composed form in `f64`, and where it works.

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor, TensorData};
use vocable_random::Key;

use super::{numbers, pick, rounds};
use crate::fused::{self, Array, Level};
use crate::{AdamW, composed, norm};

const STEP: AdamW =
    AdamW { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.1, learning_rate: 0.02, gradient_scale: 0.5, time: 3 };

/// A parameter, its gradient, and moments as earlier updates might have left them.
fn tensors(key: Key, length: usize, dtype: DType) -> [Tensor<1>; 4] {
    let device = Device::flex();
    let tensor = |name: &str| {
        Tensor::<1>::from_data(TensorData::new(numbers(key.fold(name), length), [length]), (&device, dtype))
    };
    [tensor("parameter"), tensor("gradient"), tensor("first") * 0.1, tensor("second").square() * 0.1]
}

fn values(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.clone().into_data().convert::<f64>().try_into_vec().unwrap()
}

#[test]
fn adamw_is_exact() {
    for key in rounds("adamw") {
        let length = [1, 31, 33, 16_384, 16_385, pick(key.fold("length"), 1, 100_000)][pick(key.fold("n"), 0, 6)];
        let time = [1, 2, 100, 100_000][pick(key.fold("time"), 0, 4)];
        let step = AdamW { time, ..STEP };
        let [p, g, m, v] = tensors(key, length, DType::F64);
        let (p, [m, v]) = composed::adamw(&step, p, g, [m, v]);
        let exact = [p, m, v];
        let [p, g, m, v] = tensors(key, length, DType::F32);
        let (p, [m, v]) = step.update(p, g, [m, v]);
        for (found, exact) in [p, m, v].iter().zip(&exact) {
            for (found, exact) in values(found).into_iter().zip(values(exact)) {
                // A handful of roundings of numbers up to two. The quotient of moments is at most some tens here.
                assert!((found - exact).abs() <= 2e-6, "{found} is not {exact}, length {length}, time {time}");
            }
        }
    }
}

#[test]
fn instruction_sets_update_alike() {
    let update = |level: Level| {
        let arrays = tensors(Key::new(1), 1000, DType::F32).map(Tensor::into_dispatch);
        let [mut p, g, mut m, mut v] = fused::arrays(arrays).unwrap();
        let squares = fused::square_sum(level, &g);
        fused::adamw(level, &STEP, &mut p, &g, [&mut m, &mut v]);
        let [p, m, v] = [p, m, v].map(Array::into_tensor);
        (squares, [values(&p), values(&m), values(&v)].concat())
    };
    let baseline = update(Level::Baseline);
    for &level in Level::available() {
        let found = update(level);
        assert_eq!(found.0, baseline.0, "{level:?}: products of f32 are exact in f64, and their order is the same");
        for (found, expected) in found.1.iter().zip(&baseline.1) {
            assert!((found - expected).abs() <= 1e-6, "{level:?}: {found} is not {expected}");
        }
    }
}

#[test]
fn an_update_stays_in_its_memory_unless_that_is_shared() {
    let address = |tensor: &Tensor<1>| {
        tensor.clone().try_into_primitive::<Flex>().unwrap().as_slice::<f32>().unwrap().as_ptr().addr()
    };
    let [p, g, m, v] = tensors(Key::new(2), 100_000, DType::F32);
    let before = [&p, &m, &v].map(address);
    let (p, [m, v]) = STEP.update(p, g.clone(), [m, v]);
    assert_eq!([&p, &m, &v].map(address), before);
    let (shared, old) = (p.clone(), values(&p));
    let (p, _) = STEP.update(p, g, [m, v]);
    assert_eq!(values(&shared), old);
    assert_ne!(values(&p), old);
}

#[test]
fn the_norm_is_over_all_elements_on_any_number_of_threads() {
    let key = Key::new(3);
    let lengths = [0, 1, 70, 100_000, 16_384];
    let all: Vec<Vec<f32>> = lengths.iter().map(|&length| numbers(key.fold(length), length)).collect();
    let tensors = |dtype: DType| {
        let tensor = |values: &Vec<f32>| {
            Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), (&Device::flex(), dtype))
        };
        all.iter().map(tensor).collect::<Vec<_>>()
    };
    let exact = all.iter().flatten().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    let found = norm(tensors(DType::F32));
    // Sums of 10⁵ positive terms in f64.
    assert!((found / exact - 1.0).abs() < 1e-12, "{found} is not {exact}");
    assert!((norm(tensors(DType::F64)) / exact - 1.0).abs() < 1e-12);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| norm(tensors(DType::F32))), found);
    }
    assert_eq!(norm(Vec::new()), 0.0);
}
