//! Generation at the paper's base size: text from encoded speech, speech from text.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vocable_audio::white_noise;
use vocable_decode::{SpeechLimits, TextLimits, generate_speech, greedy};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::decode::{SpeechDecoding, TextDecoding};
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeechT5};

const BATCHES: [usize; 2] = [1, 8];
/// Ten seconds.
const SAMPLES: usize = 160_000;
const TOKENS: usize = 60;
const CHARACTERS: usize = 60;
const FRAMES: usize = 480;
const MEL: usize = 80;

fn model() -> SpeechT5 {
    let config = ModelConfig::base(Preset::Paper);
    config.init(81, 1, &Regularisation::none(), Key::new(1), &Device::flex()).materialize()
}

fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let values = white_noise(shape.iter().product(), Key::new(2));
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn encoder(c: &mut Criterion) {
    let model = model();
    let mut group = c.benchmark_group("encoder, base");
    group.sample_size(10);
    group.bench_function("10 s", |b| {
        let samples = noise([1, SAMPLES]) * 0.1;
        b.iter(|| model.encode_speech(samples.clone(), &[SAMPLES], None, &SpeechMasks::default(), Mode::Eval).states);
    });
}

fn text(c: &mut Criterion) {
    let model = model();
    let frames = ModelConfig::base(Preset::Paper).extractor().frames(SAMPLES);
    let limits = TextLimits { start: 2, end: 2, min_length: TOKENS, max_length: TOKENS };
    let mut group = c.benchmark_group("60 tokens from 10 s, base");
    group.sample_size(10);
    for batch in BATCHES {
        let (memory, lengths) = (noise([batch, frames, 768]), vec![frames; batch]);
        group.throughput(Throughput::Elements((batch * TOKENS) as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| greedy(&mut TextDecoding::new(&model, &memory, &lengths), batch, &limits, &[]));
        });
    }
}

fn speech(c: &mut Criterion) {
    let model = model();
    let ratio = FRAMES as f64 / CHARACTERS as f64;
    let limits = SpeechLimits { min_ratio: ratio, ..SpeechLimits::up_to(ratio) };
    let mut group = c.benchmark_group("480 frames from 60 characters, base");
    group.sample_size(10);
    for batch in BATCHES {
        let sentence: Vec<u32> = (0..CHARACTERS as u32).map(|n| 5 + n % 26).collect();
        let characters = Tokens::new(&vec![sentence; batch], 1, &Device::flex());
        let speaker = noise([batch, 512]);
        group.throughput(Throughput::Elements((batch * FRAMES) as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| {
                let states = model.encode_text(&characters, Mode::Eval);
                let lengths = &characters.lengths;
                let mut stepper = SpeechDecoding::new(&model, &states, lengths, speaker.clone(), Some(Key::new(6)));
                let spoken = generate_speech(&mut stepper, lengths, MEL, &limits, &Device::flex());
                let before = Tensor::stack(spoken.into_iter().map(|speech| speech.mel).collect(), 0);
                model.speech_decoder_postnet.refine(before, Mode::Eval)
            });
        });
    }
}

criterion_group!(benches, encoder, text, speech);
criterion_main!(benches);
