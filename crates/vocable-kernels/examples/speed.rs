//! Times what a small speech encoder is made of, forward and backward, fused and composed: the convolutions before it as a
//! whole, GELU, softmax, dropout, layer norm, a linear layer, the positional convolution and attention.
//!
//! `cargo run --release --example speed [rounds [name]]`. The figure is the fastest of some rounds, of all of these or
//! of those whose name contains `name`.

use std::time::{Duration, Instant};

use burn::tensor::{Bool, Device, Distribution, Tensor, TensorData};
use vocable_kernels::{self as fused, AttentionInput, Window, composed};
use vocable_random::Key;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let filter = arguments.next().unwrap_or_default();
    let device = Device::flex().autodiff();
    let tensor = |length: usize| Tensor::<1>::random([length], Distribution::Normal(0.0, 0.5), &device);
    let bench = |name: &str, inputs: &[Tensor<1>], fused: Operation, composed: Operation| {
        if !name.contains(&filter) {
            return;
        }
        let [fused, composed] = fastest(rounds, inputs, [fused, composed]);
        let [f, c] = [fused, composed].map(|time| time.as_secs_f64() * 1e3);
        println!("{name:<34} {c:>10.2} {f:>10.2} {:>7.1}x", c / f);
    };
    println!("forward + backward                composed ms   fused ms");

    // The conv extractor over eight clips of three seconds at 16 kHz.
    let (batch, channels) = (8, 64);
    let layers = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)];
    let mut inputs = vec![tensor(batch * 48_000), tensor(channels), tensor(channels)];
    inputs.extend(
        layers
            .iter()
            .enumerate()
            .map(|(layer, (kernel, _))| tensor(kernel * channels * if layer == 0 { 1 } else { channels })),
    );
    let stack = |t: &[Tensor<1>], conv: Conv, norm: Norm, gelu: fn(Tensor<3>) -> Tensor<3>| {
        let mut x = t[0].clone().reshape([batch, 48_000, 1]);
        for (layer, (kernel, stride)) in layers.into_iter().enumerate() {
            x = conv(
                x,
                t[3 + layer].clone().reshape([-1, channels as i32]),
                None,
                Window { stride, ..Window::new(kernel) },
            );
            if layer == 0 {
                x = norm(x, t[1].clone(), t[2].clone(), 1e-5);
            }
            x = gelu(x);
        }
        x.flatten(0, 2)
    };
    bench(
        "conv extractor 8 x 3 s, 64 channels",
        &inputs,
        &|t| stack(t, fused::conv1d, fused::group_norm_over_time, fused::gelu),
        &|t| stack(t, composed::conv1d, composed::group_norm_over_time, composed::gelu),
    );

    // An encoder layer: 16 items of 150 steps, 192 channels, 4 heads.
    let (batch, time, width, heads) = (16, 150, 192, 4);
    let (length, head) = (batch * time * width, width / heads);
    let x = |t: &[Tensor<1>]| t[0].clone().reshape([batch, time, width]);
    bench("gelu 16 x 150 x 768", &[tensor(4 * length)], &|t| fused::gelu(t[0].clone()), &|t| {
        composed::gelu(t[0].clone())
    });
    bench(
        "softmax 9600 x 150",
        &[tensor(batch * heads * time * time)],
        &|t| fused::softmax(t[0].clone().reshape([-1, time as i32])).flatten(0, 1),
        &|t| composed::softmax(t[0].clone().reshape([-1, time as i32])).flatten(0, 1),
    );
    let key = Key::new(1);
    bench("dropout 16 x 150 x 768", &[tensor(4 * length)], &|t| fused::dropout(t[0].clone(), 0.1, key), &|t| {
        composed::dropout(t[0].clone(), 0.1, key)
    });
    bench(
        "layer norm 16 x 150 x 192",
        &[tensor(length), tensor(width), tensor(width)],
        &|t| fused::layer_norm(x(t), t[1].clone(), t[2].clone(), 1e-5).flatten(0, 2),
        &|t| composed::layer_norm(x(t), t[1].clone(), t[2].clone(), 1e-5).flatten(0, 2),
    );
    bench(
        "linear 2400 x 192 x 768",
        &[tensor(length), tensor(width * 4 * width), tensor(4 * width)],
        &|t| fused::linear(x(t), t[1].clone().reshape([width, 4 * width]), Some(t[2].clone())).flatten(0, 2),
        &|t| composed::linear(x(t), t[1].clone().reshape([width, 4 * width]), Some(t[2].clone())).flatten(0, 2),
    );
    let positional = [tensor(length), tensor(32 * width / 4 * width), tensor(width)];
    let window = Window { padding: 16, ..Window::new(32) };
    bench(
        "positional conv, kernel 32, 4 groups",
        &positional,
        &|t| {
            let weight = t[1].clone().reshape([4, 32 * width / 4, width / 4]);
            fused::conv1d_grouped(x(t), weight, Some(t[2].clone()), window).flatten(0, 2)
        },
        &|t| {
            let weight = t[1].clone().reshape([4, 32 * width / 4, width / 4]);
            composed::conv1d_grouped(x(t), weight, Some(t[2].clone()), window).flatten(0, 2)
        },
    );
    let reach = 160;
    let attention = |t: &[Tensor<1>]| {
        let split = |t: &Tensor<1>| t.clone().reshape([batch, time, heads, head]).swap_dims(1, 2);
        let hidden: Vec<bool> = (0..batch * time).map(|i| i % time >= time - 4 * (i / time)).collect();
        AttentionInput {
            relative: Some(t[3].clone().reshape([2 * reach, head])),
            padding: Some(Tensor::<2, Bool>::from_data(TensorData::new(hidden, [batch, time]), &t[0].device())),
            dropout: Some((0.1, key)),
            ..AttentionInput::new(split(&t[0]), split(&t[1]), split(&t[2]))
        }
    };
    let join = |context: Tensor<4>| context.swap_dims(1, 2).flatten(0, 3);
    bench(
        "attention 16 x 4 x 150 x 48",
        &[tensor(length), tensor(length), tensor(length), tensor(2 * reach * head)],
        &|t| join(fused::attention(attention(t)).0),
        &|t| join(composed::attention(attention(t)).0),
    );
}

type Operation<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;
type Conv = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>, Window) -> Tensor<3>;
type Norm = fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>;

/// The fastest forward and backward pass of each operation; the rounds are interleaved.
fn fastest<const N: usize>(rounds: usize, inputs: &[Tensor<1>], operations: [Operation; N]) -> [Duration; N] {
    let mut fastest = [Duration::MAX; N];
    for _ in 0..rounds {
        for (operation, fastest) in operations.iter().zip(&mut fastest) {
            let inputs: Vec<_> = inputs.iter().map(|input| input.clone().detach().require_grad()).collect();
            let start = Instant::now();
            let y = operation(&inputs);
            let gradients = y.sum().backward();
            let gradient = inputs[0].grad(&gradients).expect("every operation has a gradient");
            *fastest = start.elapsed().min(*fastest);
            assert!(gradient.sum().into_scalar::<f32>().is_finite());
        }
    }
    fastest
}
