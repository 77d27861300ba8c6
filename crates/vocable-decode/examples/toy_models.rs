//! Two toy models behind the decoding interfaces: one spells a word, the other speaks a ramp.
//!
//! `cargo run -p vocable-decode --example toy_models`

use burn::tensor::{Device, Tensor, TensorData};
use vocable_decode::{
    FrameStep, FrameStepper, SpeechLimits, TextLimits, TextStepper, ctc_greedy, generate_speech, greedy,
};

const ALPHABET: &str = "^$abcdefghijklmnopqrstuvwxyz";

/// Knows one word per row of the batch.
struct Speller {
    words: Vec<&'static str>,
    written: usize,
}

impl TextStepper for Speller {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        let next = |word: &&str| word.chars().nth(self.written).unwrap_or('$');
        let score = |wanted: char| ALPHABET.chars().map(move |c| if c == wanted { -0.1 } else { -5.0 });
        let rows: Vec<f32> = self.words.iter().map(next).flat_map(score).collect();
        self.written += 1;
        Tensor::from_data(TensorData::new(rows, [newest.len(), ALPHABET.len()]), &Device::flex())
    }

    fn select(&mut self, rows: &[usize]) {
        self.words = rows.iter().map(|&row| self.words[row]).collect();
    }
}

/// Raises every bin by a step, and stops when the first passes one.
struct Ramp;

impl FrameStepper for Ramp {
    fn step(&mut self, last: Tensor<3>) -> FrameStep {
        let frames = Tensor::cat(vec![last.clone().add_scalar(0.2), last.add_scalar(0.4)], 1);
        let stop = frames.clone().narrow(2, 0, 1).squeeze_dim::<2>(2).greater_elem(0.99).float();
        FrameStep { frames, stop, attention: Vec::new() }
    }

    fn select(&mut self, _rows: &[usize]) {}
}

fn main() {
    let limits = TextLimits { start: 0, end: 1, min_length: 1, max_length: 20 };
    let mut speller = Speller { words: vec!["speech", "and", "text"], written: 0 };
    for hypothesis in greedy(&mut speller, 3, &limits, &[0]) {
        let word: String = hypothesis.tokens.iter().map(|&t| char::from(ALPHABET.as_bytes()[t as usize])).collect();
        println!("{word:8} log-probability {:.1}", hypothesis.score);
    }

    let path = Tensor::<1>::from_floats([0.0, 1.0, 1.0, 0.0, 1.0, 2.0], &Device::flex()).int();
    let logits = path.one_hot::<2>(3).float().unsqueeze::<3>();
    println!("CTC path 0 1 1 0 1 2 says {:?}", ctc_greedy(logits, &[6], 0)[0]);

    let speech = generate_speech(&mut Ramp, &[4], 3, &SpeechLimits::up_to(10.0), &Device::flex());
    println!("{} frames until the ramp passed one, stop probabilities {:?}", speech[0].mel.dims()[0], speech[0].stop);
}
