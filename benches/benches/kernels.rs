//! What training spends its time in, on the shapes that the base model gives it, two utterances of five seconds: activations,
//! dropout, norms, softmax, products, convolutions and losses, forward and backward, and AdamW.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use vocable_kernels::{
    AdamW, AttentionInput, Window, attention, batch_norm, conv_transpose1d, conv1d, conv1d_grouped, cross_entropy, ctc,
    dropout, dropout_add, gelu, group_norm_over_time, known_gradient, layer_norm, leading_softmax, linear, softmax,
    tanh,
};
use vocable_random::Key;

const BATCH: usize = 2;
const TIME: usize = 249;
const WIDTH: usize = 768;
const HEADS: usize = 12;
const INNER: usize = 3072;

/// Times an operation over inputs of the given lengths, and its gradient with respect to all of them.
fn kernel(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    lengths: &[usize],
    operation: impl Fn(&[Tensor<1>]) -> Tensor<1>,
) {
    let device = Device::flex().autodiff();
    let random = |&length: &usize| Tensor::<1>::random([length], Distribution::Normal(0.0, 0.5), &device);
    let inputs: Vec<_> = lengths.iter().map(random).collect();
    group.bench_function(name, |b| {
        b.iter(|| {
            let inputs: Vec<_> = inputs.iter().map(|input| input.clone().detach().require_grad()).collect();
            black_box(operation(&inputs).sum().backward())
        });
    });
}

fn states(t: &Tensor<1>, width: usize) -> Tensor<3> {
    t.clone().reshape([BATCH as i32, -1, width as i32])
}

fn flat(t: Tensor<3>) -> Tensor<1> {
    t.flatten(0, 2)
}

fn element_wise(c: &mut Criterion) {
    let group = &mut c.benchmark_group("element by element and over rows");
    let (length, inner) = (BATCH * TIME * WIDTH, BATCH * TIME * INNER);
    let key = Key::new(1);
    kernel(group, "gelu", &[inner], |t| gelu(t[0].clone()));
    kernel(group, "tanh", &[length], |t| tanh(t[0].clone()));
    kernel(group, "dropout", &[inner], |t| dropout(t[0].clone(), 0.1, key));
    kernel(group, "dropout_add", &[length, length], |t| dropout_add(t[0].clone(), t[1].clone(), Some((0.1, key))));
    kernel(group, "layer_norm", &[length, WIDTH, WIDTH], |t| {
        flat(layer_norm(states(&t[0], WIDTH), t[1].clone(), t[2].clone(), 1e-5))
    });
    kernel(group, "group_norm_over_time", &[BATCH * 16_000 * 512, 512, 512], |t| {
        flat(group_norm_over_time(states(&t[0], 512), t[1].clone(), t[2].clone(), 1e-5))
    });
    kernel(group, "batch_norm", &[BATCH * 300 * 256, 256, 256], |t| {
        flat(batch_norm(states(&t[0], 256), t[1].clone(), t[2].clone(), 1e-5).y)
    });
    let logits = BATCH * HEADS * TIME * TIME;
    kernel(group, "softmax", &[logits], |t| softmax(t[0].clone().reshape([-1, TIME as i32])).flatten(0, 1));
    kernel(group, "leading_softmax", &[logits], |t| {
        flat(leading_softmax(t[0].clone().reshape([BATCH, HEADS * TIME, TIME]), &[TIME, TIME - 40]))
    });
}

fn products(c: &mut Criterion) {
    let group = &mut c.benchmark_group("products");
    let length = BATCH * TIME * WIDTH;
    for (name, inputs, outputs) in
        [("linear, square", WIDTH, WIDTH), ("linear, out", WIDTH, INNER), ("linear, in", INNER, WIDTH)]
    {
        kernel(group, name, &[BATCH * TIME * inputs, inputs * outputs, outputs], |t| {
            let weight = t[1].clone().reshape([inputs, outputs]);
            flat(linear(states(&t[0], inputs), weight, Some(t[2].clone())))
        });
    }
    let (reach, channels) = (160, WIDTH / HEADS);
    kernel(group, "attention", &[length, length, length, 2 * reach * channels], |t| {
        let heads = |t: &Tensor<1>| t.clone().reshape([BATCH, TIME, HEADS, channels]).swap_dims(1, 2);
        let input = AttentionInput {
            relative: Some(t[3].clone().reshape([2 * reach, channels])),
            dropout: Some((0.1, Key::new(1))),
            ..AttentionInput::new(heads(&t[0]), heads(&t[1]), heads(&t[2]))
        };
        attention(input).0.swap_dims(1, 2).flatten(0, 3)
    });
    kernel(group, "conv1d, 512 channels, stride 2", &[BATCH * 8_000 * 512, 3 * 512 * 512], |t| {
        let window = Window { stride: 2, ..Window::new(3) };
        flat(conv1d(states(&t[0], 512), t[1].clone().reshape([3 * 512, 512]), None, window))
    });
    let group_width = WIDTH / 16;
    kernel(group, "conv1d_grouped, positional", &[length, 128 * group_width * WIDTH, WIDTH], |t| {
        let weight = t[1].clone().reshape([16, 128 * group_width, group_width]);
        let window = Window { padding: 64, ..Window::new(128) };
        flat(conv1d_grouped(states(&t[0], WIDTH), weight, Some(t[2].clone()), window))
    });
    kernel(group, "conv_transpose1d, 512 to 256, stride 4", &[BATCH * 300 * 512, 8 * 256 * 512], |t| {
        let window = Window { stride: 4, padding: 2, ..Window::new(8) };
        flat(conv_transpose1d(states(&t[0], 512), t[1].clone().reshape([8 * 256, 512]), None, window))
    });
}

fn losses(c: &mut Criterion) {
    let group = &mut c.benchmark_group("losses and the update");
    let (items, classes) = (8, 81);
    let targets: Vec<Vec<u32>> = (0..items).map(|n| (0..80).map(|i| 4 + ((7 * i + n) % 76) as u32).collect()).collect();
    kernel(group, "ctc, 8 x 249 frames, 80 labels", &[items * TIME * classes], |t| {
        let logits = t[0].clone().reshape([items, TIME, classes]);
        let found = ctc(&logits, &vec![TIME; items], &targets, 0);
        known_gradient(logits, found.negative_log_likelihood.iter().sum(), found.gradient.expect("it is in a graph"))
    });
    let labels: Vec<Option<u32>> = targets.concat().into_iter().map(Some).collect();
    kernel(group, "cross_entropy, 640 x 81", &[labels.len() * classes], |t| {
        cross_entropy(t[0].clone().reshape([labels.len(), classes]), &labels, 0.0).sum
    });
    let device = Device::flex();
    let tensor = || Tensor::<1>::random([INNER * WIDTH], Distribution::Normal(0.0, 0.5), &device);
    let update = AdamW {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: 0.01,
        learning_rate: 1e-4,
        gradient_scale: 0.5,
        time: 10,
    };
    let (gradient, mut state) = (tensor(), Some((tensor(), [tensor(), tensor().abs()])));
    group.bench_function("adamw, 3072 x 768", |b| {
        b.iter(|| {
            let (parameter, moments) = state.take().expect("the last update's");
            state = Some(update.update(parameter, gradient.clone(), moments));
        });
    });
}

criterion_group!(benches, element_wise, products, losses);
criterion_main!(benches);
