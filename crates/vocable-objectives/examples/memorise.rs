//! Trains bare logits with the CTC loss until their best path is the target, and shows how a quantizer uses its codes.
//!
//! `cargo run -p vocable-objectives --example memorise`

use burn::tensor::{Device, Tensor};
use vocable_nn::{Init, Mode};
use vocable_objectives::{Losses, Quantizer, QuantizerConfig, ctc_loss};
use vocable_random::Key;

fn main() {
    let device = Device::flex().autodiff();
    let key = Key::new(1);

    let target = vec![3, 1, 1, 2];
    let mut logits: Tensor<3> = Init::new(key.fold("logits"), &device).normal([1, 12, 4], 1.0);
    for step in 0..=60 {
        logits = logits.detach().require_grad();
        let ctc = ctc_loss(logits.clone(), &[12], std::slice::from_ref(&target), 0, true);
        let losses = Losses::new(&device).add("ctc", 1.0, ctc.sum);
        if step % 20 == 0 {
            println!("step {step:2}  ctc {:.4} nats", losses.get("ctc").expect("added above"));
        }
        let gradient = logits.grad(&losses.total.backward()).expect("the logits are tracked");
        logits = logits - Tensor::from_inner(gradient) * 2.0;
    }
    let path: Vec<i64> = logits.argmax(2).try_into_vec_as().expect("indices");
    println!("best path {path:?} for the labels {target:?}");

    let states: Tensor<3> = Init::new(key.fold("states"), &device).normal([4, 50, 64], 1.0);
    for (name, config) in [("nearest", QuantizerConfig::paper()), ("gumbel", QuantizerConfig::official())] {
        let quantizer = Quantizer::new(config, 64, &Init::new(key.fold("quantizer"), &device));
        let out = quantizer.forward(states.clone(), &[50; 4], Mode::Train(key.fold("pass")), 0);
        println!(
            "{name:8} perplexity {:5.1} (arg-max) {:5.1} (soft) of 200, diversity loss {:.4}",
            out.code_perplexity,
            out.soft_perplexity,
            out.diversity.into_scalar::<f32>()
        );
    }
}
