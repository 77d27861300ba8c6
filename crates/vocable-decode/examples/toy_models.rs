//! Two toy models behind the decoding interfaces: one spells a word, the other speaks a ramp.
//!
//! `cargo run -p vocable-decode --example toy_models`

use burn::tensor::{Device, Tensor, TensorData};
use vocable_decode::{
    FrameStep, FrameStepper, SpeechLimits, TextLimits, TextStepper, ctc_greedy, generate_speech, greedy,
};

const ALPHABET: &str = "^$abcdefghijklmnopqrstuvwxyz";

/// Knows one word per row of the batch.
struct Speller(Vec<&'static str>);

impl TextStepper for Speller {
    fn step(&mut self, prefixes: &[Vec<u32>]) -> Tensor<2> {
        let next = |(prefix, word): (&Vec<u32>, &&str)| word.chars().nth(prefix.len() - 1).unwrap_or('$');
        let score = |wanted: char| ALPHABET.chars().map(move |c| if c == wanted { -0.1 } else { -5.0 });
        let rows: Vec<f32> = prefixes.iter().zip(&self.0).map(next).flat_map(score).collect();
        Tensor::from_data(TensorData::new(rows, [prefixes.len(), ALPHABET.len()]), &Device::flex())
    }

    fn select(&mut self, rows: &[usize]) {
        self.0 = rows.iter().map(|&row| self.0[row]).collect();
    }
}

/// Raises every bin by a step, and stops when the first passes one.
struct Ramp;

impl FrameStepper for Ramp {
    fn step(&mut self, inputs: Tensor<3>) -> FrameStep {
        let steps = inputs.dims()[1];
        let last = inputs.narrow(1, steps - 1, 1);
        let frames = Tensor::cat(vec![last.clone().add_scalar(0.2), last.add_scalar(0.4)], 1);
        let stop = frames.clone().narrow(2, 0, 1).squeeze_dim::<2>(2).greater_elem(0.99).float();
        FrameStep { frames, stop, attention: Vec::new() }
    }

    fn select(&mut self, _rows: &[usize]) {}
}

fn main() {
    let limits = TextLimits { start: 0, end: 1, min_length: 1, max_length: 20 };
    for hypothesis in greedy(&mut Speller(vec!["speech", "and", "text"]), 3, &limits, &[0]) {
        let word: String = hypothesis.tokens.iter().map(|&t| char::from(ALPHABET.as_bytes()[t as usize])).collect();
        println!("{word:8} log-probability {:.1}", hypothesis.score);
    }

    let path = Tensor::<1>::from_floats([0.0, 1.0, 1.0, 0.0, 1.0, 2.0], &Device::flex()).int();
    let logits = path.one_hot::<2>(3).float().unsqueeze::<3>();
    println!("CTC path 0 1 1 0 1 2 says {:?}", ctc_greedy(logits, &[6], 0)[0]);

    let speech = generate_speech(&mut Ramp, &[4], 3, &SpeechLimits::up_to(10.0), &Device::flex());
    println!("{} frames until the ramp passed one, stop probabilities {:?}", speech[0].mel.dims()[0], speech[0].stop);
}
