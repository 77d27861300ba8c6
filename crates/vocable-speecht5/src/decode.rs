//! The model behind the search interfaces, with caches.

use burn::tensor::{Device, Int, Tensor, activation};
use vocable_decode::{FrameStep, FrameStepper, TextStepper};
use vocable_nets::Tokens;
use vocable_nn::{DecoderCache, Mode};
use vocable_random::Key;

use crate::SpeechT5;

/// Continues text over encoder states; one row per hypothesis.
#[derive(Debug)]
pub struct TextDecoding<'a> {
    model: &'a SpeechT5,
    cache: DecoderCache,
}

impl<'a> TextDecoding<'a> {
    /// One hypothesis per utterance of `memory` (`[batch, time, width]`, valid up to `lengths`).
    pub fn new(model: &'a SpeechT5, memory: &Tensor<3>, lengths: &[usize]) -> Self {
        Self { model, cache: model.decoder.start(memory, lengths) }
    }
}

impl TextStepper for TextDecoding<'_> {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        let device = self.model.tokens.weight.val().device();
        let newest: Vec<Vec<u32>> = newest.iter().map(|&token| vec![token]).collect();
        let newest = Tokens::new(&newest, 0, &device);
        let past = self.cache.len();
        let x = self.model.text_decoder_prenet().forward(&newest, past, &self.model.tokens, Mode::Eval);
        let decoded = self.model.decoder.step(x, &mut self.cache, false);
        activation::log_softmax(self.model.tokens.logits(decoded.states).squeeze_dim(1), 1)
    }

    fn select(&mut self, rows: &[usize]) {
        self.cache.select(rows);
    }
}

/// Continues speech over encoder states; one row per item.
#[derive(Debug)]
pub struct SpeechDecoding<'a> {
    model: &'a SpeechT5,
    cache: DecoderCache,
    speaker: Tensor<2>,
    noise: Option<Key>,
}

impl<'a> SpeechDecoding<'a> {
    /// Items `memory` (`[batch, time, width]`, valid up to `lengths`) in the voices `speaker` (`[batch, speaker]`).
    ///
    /// `noise` drives the pre-net's always-on dropout; without a key it is off, and speech suffers.
    pub fn new(
        model: &'a SpeechT5,
        memory: &Tensor<3>,
        lengths: &[usize],
        speaker: Tensor<2>,
        noise: Option<Key>,
    ) -> Self {
        Self { model, cache: model.decoder.start(memory, lengths), speaker, noise }
    }
}

impl FrameStepper for SpeechDecoding<'_> {
    fn step(&mut self, newest: Tensor<3>) -> FrameStep {
        let [items, _, mel] = newest.dims();
        let past = self.cache.len();
        let noise = self.noise.map(|key| key.fold(past + 1));
        let speaker = Some(self.speaker.clone());
        let x = self.model.speech_decoder_prenet.forward(newest, past, speaker, noise, Mode::Eval);
        let decoded = self.model.decoder.step(x, &mut self.cache, true);
        let (frames, stop) = self.model.speech_decoder_postnet.step(decoded.states);
        let reduction = stop.dims()[1];
        FrameStep {
            frames: frames.reshape([items, reduction, mel]),
            stop: activation::sigmoid(stop),
            attention: decoded.cross_weights,
        }
    }

    fn select(&mut self, rows: &[usize]) {
        self.cache.select(rows);
        self.speaker = self.speaker.clone().select(0, indices(rows, &self.speaker.device()));
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(rows.as_slice(), device)
}
