use burn::tensor::Device;
use rand::RngExt;
use vocable_random::Key;

use super::*;

const GROUPS: usize = 2;
const CODES: usize = 5;
const WIDTH: usize = 6;

fn device() -> Device {
    Device::flex().autodiff()
}

fn config(kind: Selection) -> QuantizerConfig {
    let base = match kind {
        Selection::Nearest => QuantizerConfig::paper(),
        Selection::Gumbel => QuantizerConfig::official(),
    };
    QuantizerConfig { groups: GROUPS, codes: CODES, ..base }
}

fn quantizer(kind: Selection) -> Quantizer {
    Quantizer::new(config(kind), WIDTH, &Init::new(Key::new(7), &device()))
}

fn random_states(batch: usize, time: usize) -> (Vec<f32>, Tensor<3>) {
    let mut rng = Key::new(11).fold("states").rng();
    let host: Vec<f32> = (0..batch * time * WIDTH).map(|_| rng.random_range(-0.5_f32..1.5)).collect();
    let tensor = Tensor::from_data(TensorData::new(host.clone(), [batch, time, WIDTH]), &device()).require_grad();
    (host, tensor)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum()
}

/// All time indices.
fn mix_everything(time: usize) -> Choices {
    Choices { mixed: Mixed::Shared((0..time).collect()), noise: None }
}

#[test]
fn nearest_equals_brute_force_per_group() {
    let quantizer = quantizer(Selection::Nearest);
    let (states, tensor) = random_states(2, 9);
    let codebook = host(quantizer.codebook.val());
    let out = quantizer.forward_with(tensor, &[9, 9], &mix_everything(9), 1.0);
    let part = WIDTH / GROUPS;
    for (piece, (state, found)) in states.chunks(part).zip(host(out.states).chunks(part)).enumerate() {
        let group = piece % GROUPS;
        let codes: Vec<&[f32]> = codebook.chunks(part).skip(group * CODES).take(CODES).collect();
        let nearest = codes
            .into_iter()
            .min_by(|a, b| squared_distance(state, a).total_cmp(&squared_distance(state, b)))
            .expect("codes");
        assert_eq!(found, nearest, "piece {piece}");
    }
}

#[test]
fn nearest_passes_the_gradient_to_the_state_and_to_the_chosen_rows() {
    let quantizer = quantizer(Selection::Nearest);
    let (_, states) = random_states(1, 4);
    // Only the first frame is replaced; its code is weighted by distinct numbers.
    let choices = Choices { mixed: Mixed::Shared(vec![0]), noise: None };
    let out = quantizer.forward_with(states.clone(), &[4], &choices, 1.0);
    let weights: Vec<f32> = (0..4 * WIDTH).map(|i| i as f32 - 5.5).collect();
    let weighted = out.states.clone() * Tensor::from_data(TensorData::new(weights.clone(), [1, 4, WIDTH]), &device());
    let gradients = weighted.sum().backward();
    assert_eq!(host(states.grad(&gradients).expect("states")), weights);

    let rows = host(quantizer.codebook.val().grad(&gradients).expect("codes"));
    let codebook = host(quantizer.codebook.val());
    let part = WIDTH / GROUPS;
    let code = host(out.codes);
    for (row, gradient) in rows.chunks(part).enumerate() {
        let group = row / CODES;
        let chosen = codebook[row * part..][..part] == code[group * part..][..part];
        let expected = if chosen { &weights[group * part..][..part] } else { &[0.0; WIDTH][..part] };
        assert_eq!(gradient, expected, "row {row}");
    }
}

#[test]
fn nearest_softmax_is_that_of_the_distances_over_valid_positions() {
    let quantizer = quantizer(Selection::Nearest);
    let (states, tensor) = random_states(2, 5);
    let lengths = [5, 3];
    let out = quantizer.forward_with(tensor, &lengths, &mix_everything(0), 1.0);
    let codebook = host(quantizer.codebook.val());
    let part = WIDTH / GROUPS;
    let (mut loss, mut perplexity) = (0.0, 0.0);
    for group in 0..GROUPS {
        let mut average = [0.0_f64; CODES];
        for frame in [0, 1, 2, 3, 4, 5, 6, 7] {
            let state = &states[frame * WIDTH + group * part..][..part];
            let weights: Vec<f64> = (0..CODES)
                .map(|code| (-squared_distance(state, &codebook[(group * CODES + code) * part..][..part])).exp())
                .collect();
            let sum: f64 = weights.iter().sum();
            average.iter_mut().zip(&weights).for_each(|(average, weight)| *average += weight / sum / 8.0);
        }
        let negative_entropy: f64 = average.iter().map(|p| p * p.ln()).sum();
        loss += negative_entropy / CODES as f64;
        perplexity += (-negative_entropy).exp();
    }
    // f32 softmax of ten states; the constant inside fairseq's logarithm moves the perplexity by about 1e-6.
    assert!((f64::from(out.diversity.into_scalar::<f32>()) - loss).abs() < 1e-6);
    assert!((out.soft_perplexity - perplexity).abs() < 1e-5);
}

#[test]
fn uniform_use_has_the_extreme_diversity() {
    // Equal codes are used equally, whatever the states are.
    for (kind, expected) in [(Selection::Nearest, -2.0 * (CODES as f64).ln() / CODES as f64), (Selection::Gumbel, 0.0)]
    {
        let mut quantizer = quantizer(kind);
        quantizer.codebook = Param::from_tensor(quantizer.codebook.val().zeros_like());
        if let Some(scores) = &mut quantizer.scores {
            scores.weight = Param::from_tensor(scores.weight.val().zeros_like());
        }
        let out = quantizer.forward_with(random_states(1, 3).1, &[3], &mix_everything(0), 1.0);
        // Rounding of ten f32 probabilities; fairseq's constant shifts the perplexity form by 5e-7 · G·K.
        assert!((f64::from(out.diversity.into_scalar::<f32>()) - expected).abs() < 1e-5);
        assert!((out.soft_perplexity - (GROUPS * CODES) as f64).abs() < 1e-4);
    }
}

#[test]
fn a_constant_code_has_perplexity_one_per_group() {
    let mut quantizer = quantizer(Selection::Gumbel);
    let scores = quantizer.scores.as_mut().expect("Gumbel");
    let mut bias = vec![0.0_f32; GROUPS * CODES];
    (bias[2], bias[CODES + 4]) = (50.0, 50.0);
    scores.bias = Some(Param::from_tensor(Tensor::from_floats(bias.as_slice(), &device())));
    let out = quantizer.forward_with(random_states(2, 8).1, &[8, 8], &mix_everything(0), 1.0);
    // The constant inside the logarithm shifts each group by 1e-7.
    assert!((out.soft_perplexity - GROUPS as f64).abs() < 1e-5);
    assert!((out.code_perplexity - GROUPS as f64).abs() < 1e-5);
}

#[test]
fn gumbel_training_picks_the_noisy_maximum_and_trains_the_scores() {
    let quantizer = quantizer(Selection::Gumbel);
    let (_, states) = random_states(1, 2);
    // Noise of 30 forces code (row mod K) everywhere; scores are about 0.02.
    let rows = 2 * GROUPS;
    let mut noise = vec![0.0_f32; rows * CODES];
    (0..rows).for_each(|row| noise[row * CODES + (row + 1) % CODES] = 3.0);
    let choices = Choices { mixed: Mixed::Shared(vec![0, 1]), noise: Some(noise) };
    let out = quantizer.forward_with(states.clone(), &[2], &choices, 2.0);
    let codebook = host(quantizer.codebook.val());
    let part = WIDTH / GROUPS;
    for (row, found) in host(out.states.clone()).chunks(part).enumerate() {
        let code = (row % GROUPS) * CODES + (row + 1) % CODES;
        assert_eq!(found, &codebook[code * part..][..part], "row {row}");
    }
    let gradients = (out.states.clone() * out.states.detach()).sum().backward();
    let scores = quantizer.scores.as_ref().expect("Gumbel");
    assert!(host(scores.weight.val().grad(&gradients).expect("projection")).iter().any(|&g| g != 0.0));
    assert!(host(states.grad(&gradients).expect("states")).iter().any(|&g| g != 0.0));
}

#[test]
fn gumbel_counts_padding_and_nearest_does_not() {
    for (kind, counts) in [(Selection::Gumbel, true), (Selection::Nearest, false)] {
        let quantizer = quantizer(kind);
        let states = random_states(1, 6).1;
        let padded = states.clone().slice_fill([0..1, 4..6, 0..WIDTH], 3.0);
        let loss = |states: Tensor<3>| {
            quantizer.forward_with(states, &[4], &mix_everything(0), 1.0).diversity.into_scalar::<f32>()
        };
        assert_eq!(loss(states) != loss(padded), counts, "{kind:?}");
    }
}

#[test]
fn mixing_touches_exactly_a_tenth_in_training_and_nothing_in_evaluation() {
    let quantizer = quantizer(Selection::Nearest);
    let (_, states) = random_states(2, 57);
    let changed = |mode: Mode| {
        let out = quantizer.forward(states.clone(), &[57, 40], mode, 0);
        let before = host(states.clone());
        let after = host(out.states);
        before.chunks(WIDTH).zip(after.chunks(WIDTH)).map(|(a, b)| a != b).collect::<Vec<bool>>()
    };
    let train = changed(Mode::Train(Key::new(3)));
    assert_eq!(train[..57], train[57..], "items share the indices");
    assert_eq!(train[..57].iter().filter(|&&mixed| mixed).count(), 5);
    assert!(!changed(Mode::Eval).contains(&true));
}

#[test]
fn the_codebook_loss_moves_codes_and_states_apart_from_each_other() {
    let mut config = config(Selection::Nearest);
    config.codebook_loss = true;
    let quantizer = Quantizer::new(config, WIDTH, &Init::new(Key::new(7), &device()));
    let (values, states) = random_states(1, 3);
    let out = quantizer.forward_with(states.clone(), &[2], &mix_everything(0), 1.0);
    let codes = host(out.codes);
    let loss = out.codebook_loss.expect("configured");
    let expected = squared_distance(&values[..2 * WIDTH], &codes[..2 * WIDTH]) / (2 * WIDTH) as f64;
    assert!((f64::from(loss.clone().into_scalar::<f32>()) - 1.25 * expected).abs() < 1e-6);
    let gradient = host(states.grad(&loss.backward()).expect("states"));
    for i in 0..3 * WIDTH {
        let expected = if i < 2 * WIDTH { 0.25 * (values[i] - codes[i]) / WIDTH as f32 } else { 0.0 };
        assert!((gradient[i] - expected).abs() < 1e-6, "element {i}");
    }
}
