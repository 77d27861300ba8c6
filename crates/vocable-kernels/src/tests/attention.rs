//! Attention against its composed form in `f64`, that against the definition, and masks.

use std::sync::Arc;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use vocable_random::Key;

use super::{compare, differentiate, numbers, pick, rounds};
use crate::attention::few_queries;
use crate::fused::Level;
use crate::fused::few_queries::FEW;
use crate::{AttentionInput, attention, composed};

/// One random call of attention.
#[derive(Clone, Debug)]
struct Case {
    /// Batch, heads, queries, keys, channels, value channels.
    sizes: [usize; 6],
    reach: Option<usize>,
    /// Row-major `[batch, key]`.
    padding: Option<Vec<bool>>,
    causal: bool,
    dropout: f64,
}

impl Case {
    fn random(key: Key) -> Self {
        let coin = |name: &str| pick(key.fold(name), 0, 2) == 1;
        let causal = coin("causal");
        let keys = [1, 2, 33, pick(key.fold("keys"), 1, 300)][pick(key.fold("k"), 0, 4)];
        let queries =
            [1, keys, pick(key.fold("queries"), 1, if causal { keys + 1 } else { 450 })][pick(key.fold("q"), 0, 3)];
        let batch = pick(key.fold("batch"), 1, 4);
        let padding = coin("padding").then(|| {
            let lengths: Vec<usize> = (0..batch).map(|item| pick(key.fold("length").fold(item), 0, keys + 1)).collect();
            // Every third mask has holes, not only an end.
            let holes = pick(key.fold("holes"), 0, 3) == 0;
            let hidden = |item: usize, j: usize| j >= lengths[item] || holes && pick(key.fold(item).fold(j), 0, 3) == 0;
            (0..batch * keys).map(|index| hidden(index / keys, index % keys)).collect()
        });
        Self {
            sizes: [
                batch,
                pick(key.fold("heads"), 1, 4),
                queries,
                keys,
                pick(key.fold("c"), 1, 40),
                pick(key.fold("v"), 1, 20),
            ],
            reach: coin("relative").then(|| [1, 3, 160, 500][pick(key.fold("reach"), 0, 4)]),
            padding,
            causal,
            dropout: if coin("dropout") { 0.3 } else { 0.0 },
        }
    }

    fn lengths(&self) -> Vec<usize> {
        let [batch, heads, queries, keys, channels, width] = self.sizes;
        let mut lengths =
            vec![batch * heads * queries * channels, batch * heads * keys * channels, batch * heads * keys * width];
        lengths.extend(self.reach.map(|reach| 2 * reach * channels));
        lengths
    }

    fn input(&self, t: &[Tensor<1>], key: Key) -> AttentionInput {
        let [batch, heads, queries, keys, channels, width] = self.sizes;
        // As the projections around attention leave them: strided, heads last.
        let split = |t: &Tensor<1>, time, channels| t.clone().reshape([batch, time, heads, channels]).swap_dims(1, 2);
        AttentionInput {
            q: split(&t[0], queries, channels).mul_scalar(0.5),
            k: split(&t[1], keys, channels),
            v: split(&t[2], keys, width),
            rows: None,
            relative: t.get(3).map(|table| table.clone().reshape([-1, channels as i32])),
            padding: self.padding.as_ref().map(|padding| {
                Tensor::<2, Bool>::from_data(TensorData::new(padding.clone(), [batch, keys]), &t[0].device())
            }),
            causal: self.causal,
            dropout: Some((self.dropout, key)),
            weights: false,
        }
    }
}

#[test]
fn attention_is_exact() {
    for key in rounds("attention").chain(rounds("more attention")).chain(rounds("yet more attention")) {
        let case = Case::random(key);
        compare(
            &format!("{case:?}"),
            key,
            &case.lengths(),
            |t| attention(case.input(t, key)).0.swap_dims(1, 2).flatten(0, 3),
            |t| composed::attention(case.input(t, key)).0.swap_dims(1, 2).flatten(0, 3),
        );
    }
}

/// A few queries outside of any graph, over kept keys and values that rows may share, of any type.
#[test]
fn few_queries_are_exact_at_every_level() {
    let device = Device::flex();
    for key in rounds("few queries").chain(rounds("more few queries")) {
        let mut case = Case { dropout: 0.0, ..Case::random(key) };
        case.sizes[2] = case.sizes[2].min(pick(key.fold("few"), 1, FEW + 1));
        let [batch, _, _, keys, _, _] = case.sizes;
        // Of the rows that are kept, some are shared and some are nobody's.
        let stored = pick(key.fold("stored"), 1, 5);
        let shared = (pick(key.fold("shared"), 0, 2) == 1).then(|| -> Arc<[u32]> {
            (0..batch * keys).map(|index| pick(key.fold(index), 0, stored) as u32).collect()
        });
        let mut kept = case.clone();
        kept.sizes[0] = stored;
        if let Some(padding) = &mut kept.padding {
            *padding = (0..stored * keys).map(|index| padding[index % (batch * keys)]).collect();
        }
        let half = pick(key.fold("half"), 0, 3) == 0;
        // By way of `f32`: straight from `f64` some numbers are not rounded to the nearest.
        let keep = |kept: Tensor<4>| if half { kept.cast(DType::F32).cast(DType::BF16) } else { kept };
        let run = |dtype: DType, attention: &dyn Fn(AttentionInput) -> (Tensor<4>, Option<Tensor<4>>)| {
            let draw = |case: &Case| -> Vec<Tensor<1>> {
                let lengths = case.lengths().into_iter().enumerate();
                let draw = |(i, length)| TensorData::new(numbers(key.fold("x").fold(i), length), [length]);
                lengths.map(|part| Tensor::from_data(draw(part), (&device, dtype))).collect()
            };
            let mut input = case.input(&draw(&case), key);
            if shared.is_some() {
                let other = kept.input(&draw(&kept), key);
                (input.k, input.v, input.padding) = (other.k, other.v, other.padding);
            }
            let [k, v] = [input.k, input.v].map(keep);
            let (context, weights) = attention(AttentionInput { k, v, rows: shared.clone(), weights: true, ..input });
            let host = |tensor: Tensor<4>| tensor.cast(DType::F64).into_data().try_to_vec::<f64>().unwrap();
            [host(context), host(weights.unwrap())]
        };
        let exact = run(DType::F64, &composed::attention);
        for &level in Level::available() {
            let found = run(DType::F32, &|input| few_queries(&input, level).expect("it runs on the CPU"));
            for (found, exact) in found.iter().flatten().zip(exact.iter().flatten()) {
                assert!(
                    (found - exact).abs() < 1e-5 * exact.abs().max(1.0),
                    "{level:?}, {case:?}: {found}, not {exact}"
                );
            }
        }
    }
}

/// The composed form against sums over queries and keys.
#[test]
fn composed_attention_follows_the_definition() {
    for key in rounds("definition of attention") {
        let case = Case { dropout: 0.0, ..Case::random(key) };
        let [batch, heads, queries, keys, channels, width] = case.sizes;
        let device = Device::flex();
        let inputs: Vec<Vec<f32>> =
            case.lengths().iter().enumerate().map(|(i, &length)| numbers(key.fold(i), length)).collect();
        let tensors: Vec<_> =
            inputs.iter().map(|values| Tensor::<1>::from_floats(values.as_slice(), &device)).collect();
        let input = AttentionInput { weights: true, ..case.input(&tensors, key) };
        let (context, weights) = composed::attention(input);
        let context = context.into_data().try_to_vec::<f32>().unwrap();
        let weights = weights.unwrap().into_data().try_to_vec::<f32>().unwrap();
        let at = |input: usize, time: usize, channels: usize, [b, h, t, c]: [usize; 4]| {
            f64::from(inputs[input][((b * time + t) * heads + h) * channels + c])
        };
        for row in 0..batch * heads * queries {
            let (b, h, i) = (row / queries / heads, row / queries % heads, row % queries);
            let position = i + if case.causal { keys - queries } else { 0 };
            let logit = |j: usize| {
                let hidden = case.padding.as_ref().is_some_and(|padding| padding[b * keys + j]);
                if hidden || case.causal && j > position {
                    return f64::NEG_INFINITY;
                }
                let table = |c: usize| {
                    case.reach.map_or(0.0, |reach| {
                        let distance = (position as isize - j as isize).clamp(-(reach as isize), reach as isize - 1);
                        f64::from(inputs[3][(distance + reach as isize) as usize * channels + c])
                    })
                };
                (0..channels)
                    .map(|c| {
                        0.5 * at(0, queries, channels, [b, h, i, c]) * (at(1, keys, channels, [b, h, j, c]) + table(c))
                    })
                    .sum()
            };
            let logits: Vec<f64> = (0..keys).map(logit).collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
            let expected = |j: usize| {
                if max == f64::NEG_INFINITY { 0.0 } else { (logits[j] - max).exp() / sum }
            };
            for j in 0..keys {
                let weight = f64::from(weights[row * keys + j]);
                assert!((weight - expected(j)).abs() < 1e-5, "{case:?}: weight {weight}, not {}", expected(j));
                assert!(logits[j] != f64::NEG_INFINITY || weight == 0.0, "{case:?}: a hidden key has weight {weight}");
            }
            for c in 0..width {
                let expected: f64 = (0..keys).map(|j| expected(j) * at(2, keys, width, [b, h, j, c])).sum();
                let found = f64::from(context[row * width + c]);
                assert!((found - expected).abs() < 2e-5, "{case:?}: context {found}, not {expected}");
            }
        }
    }
}

/// Enough keys that threads share the heads of a single query.
#[test]
fn a_query_is_bit_equal_for_any_number_of_threads() {
    let (keys, device) = (300, Device::flex());
    for stored in [1, 3] {
        // Of several kept rows, each key lies in any, and some are padding.
        let shared = stored > 1;
        let draw = |name: &str, index: usize, end: usize| pick(Key::new(1).fold(name).fold(index), 0, end);
        let padding = (0..stored * keys).map(|index| draw("padding", index, 4) == 0).collect();
        let rows: Arc<[u32]> = (0..keys).map(|key| draw("row", key, stored) as u32).collect();
        let case = Case {
            sizes: [stored, 12, 1, keys, 64, 64],
            reach: Some(160),
            padding: shared.then_some(padding),
            causal: true,
            dropout: 0.0,
        };
        let run = |dtype: DType, attention: &dyn Fn(AttentionInput) -> (Tensor<4>, Option<Tensor<4>>)| {
            let draw = |(i, length)| TensorData::new(numbers(Key::new(2).fold(i), length), [length]);
            let lengths = case.lengths().into_iter().enumerate();
            let tensors: Vec<_> = lengths.map(|part| Tensor::from_data(draw(part), (&device, dtype))).collect();
            let input = case.input(&tensors, Key::new(0));
            let (q, rows) = (input.q.narrow(0, 0, 1), shared.then(|| rows.clone()));
            let (context, weights) = attention(AttentionInput { q, rows, weights: true, ..input });
            [context, weights.unwrap()].map(|found| found.into_data().convert::<f64>().try_into_vec::<f64>().unwrap())
        };
        let exact = run(DType::F64, &composed::attention);
        let once = run(DType::F32, &attention);
        for (found, exact) in once.iter().flatten().zip(exact.iter().flatten()) {
            assert!((found - exact).abs() < 1e-5 * exact.abs().max(1.0), "{found}, not {exact}");
        }
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| run(DType::F32, &attention)) == once, "{threads} threads give other bits");
        }
    }
}

#[test]
fn keys_and_values_may_run_backwards() {
    let device = Device::flex();
    let draw = |name: &str, time: usize| {
        let values = numbers(Key::new(1).fold(name), 2 * time * 4);
        Tensor::<4>::from_data(TensorData::new(values, [1, 2, time, 4]), &device)
    };
    let (q, k, v) = (draw("q", 3), draw("k", 7), draw("v", 7));
    // Without positions, the order of the keys does not matter.
    let forwards = attention(AttentionInput::new(q.clone(), k.clone(), v.clone())).0;
    let backwards = attention(AttentionInput::new(q, k.flip([2]), v.flip([2]))).0;
    assert!(backwards.all_close(forwards, Some(1e-6), Some(1e-6)));
}

/// In training a part may run outside of a graph and again in one: with few queries, too, to the same bit.
#[test]
fn attention_in_training_is_the_same_in_a_graph_and_out_of_it() {
    let draw = |name: &str, time: usize, device: &Device| {
        let values = numbers(Key::new(2).fold(name), 2 * 3 * time * 48);
        Tensor::<4>::from_data(TensorData::new(values, [2, 3, time, 48]), device)
    };
    for queries in 1..=FEW + 1 {
        let context = |device: Device| {
            let [q, k, v] = [("q", queries), ("k", 70), ("v", 70)].map(|(name, time)| draw(name, time, &device));
            attention(AttentionInput { dropout: Some((0.0, Key::new(1))), ..AttentionInput::new(q, k, v) }).0
        };
        let (plain, tracked) = (context(Device::flex()), context(Device::flex().autodiff()));
        assert_eq!(plain.into_data(), tracked.inner().into_data(), "{queries} queries");
    }
}

#[test]
fn a_relative_table_may_be_a_part_of_a_larger_one() {
    for queries in [1, FEW + 1] {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::from_data(TensorData::new(numbers(Key::new(3), queries * 8), [1, 1, queries, 8]), &device);
        let wide = Tensor::<2>::from_data(TensorData::new(numbers(Key::new(4), 8 * 16), [8, 16]), &device);
        let part = wide.clone().narrow(1, 4, 8);
        let whole = Tensor::<2>::from_data(part.clone().into_data(), &device);
        let run = |table: Tensor<2>| {
            let table = table.detach().require_grad();
            let input = AttentionInput {
                relative: Some(table.clone()),
                ..AttentionInput::new(x.clone(), x.clone(), x.clone())
            };
            let context = attention(input).0;
            let gradient = table.grad(&context.clone().sum().backward()).unwrap();
            (context.inner().into_data(), gradient.into_data())
        };
        assert_eq!(run(part), run(whole));
    }
}

#[test]
fn a_batch_of_nothing_has_a_gradient_of_nothing() {
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::zeros([0, 2, 5, 4], &device);
    let table = Tensor::<2>::ones([6, 4], &device).require_grad();
    let input = AttentionInput { relative: Some(table.clone()), ..AttentionInput::new(x.clone(), x.clone(), x) };
    let context = attention(input).0;
    assert_eq!(context.dims(), [0, 2, 5, 4]);
    let gradient = table.grad(&context.sum().backward()).unwrap();
    assert_eq!(gradient.into_data(), Tensor::<2>::zeros([6, 4], &Device::flex()).into_data());
}

#[test]
fn no_queries_find_nothing() {
    let zeros = |time: usize| Tensor::<4>::zeros([1, 12, time, 64], &Device::flex());
    let (context, _) = attention(AttentionInput::new(zeros(0), zeros(300), zeros(300)));
    assert_eq!(context.dims(), [1, 12, 0, 64]);
}

#[test]
#[should_panic(expected = "dropout probability must be in [0, 1), got 1")]
fn weights_are_not_all_dropped() {
    let x = Tensor::<4>::ones([1, 1, 5, 4], &Device::flex());
    attention(AttentionInput { dropout: Some((1.0, Key::new(1))), ..AttentionInput::new(x.clone(), x.clone(), x) });
}

/// What padding at the end holds, even what is no number, reaches neither the context nor the gradients of the rest.
#[test]
fn padding_at_the_end_is_not_read() {
    let draw = |name: &str, time: usize, device: &Device| {
        let values = numbers(Key::new(1).fold(name), 2 * time * 4);
        Tensor::<4>::from_data(TensorData::new(values, [1, 2, time, 4]), device)
    };
    let context = |q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, poison: Option<f32>| {
        let (keys, device) = (k.dims()[2], q.device());
        let end = |kept| match poison {
            Some(value) => Tensor::cat(vec![kept, Tensor::full([1, 2, 2, 4], value, &device)], 2),
            None => kept,
        };
        let padding: Vec<bool> = (0..keys + 2).map(|key| key >= keys).collect();
        let padding = poison.map(|_| Tensor::from_data(TensorData::new(padding, [1, keys + 2]), &device));
        attention(AttentionInput { padding, ..AttentionInput::new(q, end(k), end(v)) }).0
    };
    let poisons = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(Some);
    let few = |poison| {
        let [q, k, v] = [("q", FEW), ("k", 5), ("v", 5)].map(|(name, time)| draw(name, time, &Device::flex()));
        context(q, k, v, poison).into_data()
    };
    let tiles = |poison| {
        let device = Device::flex().autodiff();
        let leaves = [("q", FEW + 2), ("k", 5), ("v", 5)].map(|(name, time)| draw(name, time, &device).require_grad());
        let [q, k, v] = leaves.clone();
        let context = context(q, k, v, poison);
        let gradients = (context.clone() * draw("gradient", FEW + 2, &device)).sum().backward();
        let gradients = leaves.map(|leaf| leaf.grad(&gradients).unwrap().into_data());
        (context.into_data(), gradients)
    };
    for poison in poisons {
        assert_eq!(few(poison), few(None));
        assert_eq!(tiles(poison), tiles(None));
    }
}

#[test]
fn a_query_without_keys_yields_zeros_and_no_gradient() {
    let case =
        Case { sizes: [2, 2, 3, 5, 4, 4], reach: Some(3), padding: Some(vec![true; 10]), causal: false, dropout: 0.1 };
    for weights in [false, true] {
        let operation = |t: &[Tensor<1>]| {
            let input = AttentionInput { weights, ..case.input(t, Key::new(1)) };
            attention(input).0.swap_dims(1, 2).flatten::<1>(0, 3)
        };
        let lengths = case.lengths();
        let found =
            differentiate(Key::new(2), &lengths, burn::tensor::DType::F32, &Device::flex().autodiff(), &operation);
        assert!(found.iter().flatten().all(|&value| value == 0.0));
    }
}

/// A cache: the last queries alone give what they give among all queries.
#[test]
fn causal_queries_are_the_last_positions() {
    let device = Device::flex();
    let case = Case { sizes: [2, 2, 7, 7, 4, 4], reach: Some(3), padding: None, causal: true, dropout: 0.0 };
    let tensors: Vec<_> = case
        .lengths()
        .iter()
        .enumerate()
        .map(|(i, &length)| Tensor::<1>::from_floats(numbers(Key::new(3).fold(i), length).as_slice(), &device))
        .collect();
    let input = case.input(&tensors, Key::new(0));
    let newest = AttentionInput { q: input.q.clone().narrow(2, 5, 2), ..input.clone() };
    let all = attention(input).0.narrow(2, 5, 2);
    assert!(attention(newest).0.all_close(all, Some(1e-6), Some(1e-6)));
}

#[test]
fn attention_is_bit_equal_for_any_number_of_threads() {
    let case = Case { sizes: [3, 4, 250, 250, 48, 48], reach: Some(160), padding: None, causal: false, dropout: 0.1 };
    let run = || {
        let operation = |t: &[Tensor<1>]| attention(case.input(t, Key::new(1))).0.swap_dims(1, 2).flatten::<1>(0, 3);
        differentiate(Key::new(2), &case.lengths(), burn::tensor::DType::F32, &Device::flex().autodiff(), &operation)
    };
    let once = run();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(run) == once, "{threads} threads give other bits");
    }
}
