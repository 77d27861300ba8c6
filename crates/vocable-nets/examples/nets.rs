//! One batch of each modality through its nets.

use burn::tensor::Device;
use vocable_nets::{
    PaddingRule, PrenetNoise, SpeechDecoderPostnetConfig, SpeechDecoderPrenetConfig, SpeechEncoderPrenetConfig,
    SpeechMasks, TextEncoderPrenet, TokenMatrix, Tokens,
};
use vocable_nn::{ConvExtractorConfig, ExtractorNorm, Init, Mode};
use vocable_random::Key;

fn main() {
    let device = Device::flex();
    let init = Init::new(Key::new(1), &device);
    let width = 64;

    let hear = SpeechEncoderPrenetConfig {
        extractor: ConvExtractorConfig::wav2vec2(32, ExtractorNorm::FirstBlock),
        positional_kernel: 32,
        positional_groups: 4,
        projection_dropout: 0.1,
        gradient_multiplier: 0.1,
    };
    let prenet = hear.init(width, &init.fold("hear"));
    let samples = init.fold("samples").uniform([2, 8_000], -0.1, 0.1);
    let features = prenet.features(samples, None);
    let frames = PaddingRule::ConvLength.frame_lengths(&hear.extractor, &[8_000, 6_000], 8_000, features.0.dims()[1]);
    let states = prenet.forward(features, &frames, &SpeechMasks::default(), Mode::Eval);
    println!("waveforms into the encoder: {:?}, of which {frames:?} are valid", states.dims());

    let matrix = TokenMatrix::new(30, width, 1, &init.fold("tokens"));
    let tokens = Tokens::new(&[vec![5, 6, 7, 2], vec![8, 2]], 1, &device);
    let states = TextEncoderPrenet::new(0.1, &device).forward(&tokens, &matrix, Mode::Eval);
    println!("tokens into the encoder: {:?}, and back: {:?}", states.dims(), matrix.logits(states.clone()).dims());

    let speak = SpeechDecoderPrenetConfig {
        units: 32,
        dropout: 0.5,
        noise: PrenetNoise::Independent,
        last_relu: true,
        positional_dropout: 0.1,
    };
    let prenet = speak.init(80, 16, width, &init.fold("speak"));
    let mel = init.fold("mel").normal([2, 10, 80], 1.0);
    let voice = init.fold("voice").normal([2, 16], 1.0);
    let states = prenet.forward(mel, 0, Some(voice), Some(Key::new(2)), Mode::Eval);
    let postnet = SpeechDecoderPostnetConfig { channels: 32, layers: 5, kernel: 5, dropout: 0.5 };
    let output = postnet.init(width, 80, 2, &init.fold("postnet")).forward(states, Mode::Eval);
    println!("mel frames out of the decoder: {:?}, stop logits {:?}", output.after.dims(), output.stop.dims());
}
