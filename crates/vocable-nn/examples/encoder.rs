//! From waveforms to encoder states: a convolutional extractor and a small Transformer with relative positions.

use burn::tensor::{Device, Tensor};
use vocable_nn::{
    ConvExtractorConfig, EncoderConfig, ExtractorNorm, Init, Linear, Mode, NormPlacement, TransformerConfig,
};
use vocable_random::Key;

fn main() {
    let device = Device::flex();
    let init = Init::new(Key::new(1), &device);
    let convolutions = ConvExtractorConfig::wav2vec2(32, ExtractorNorm::FirstBlock);
    let extractor = convolutions.init(&init.fold("extractor"));
    let projection = Linear::new(32, 64, &init.fold("projection"));
    let stack = TransformerConfig {
        layers: 2,
        width: 64,
        feed_forward: 128,
        heads: 4,
        norm: NormPlacement::Post,
        dropout: 0.1,
        attention_dropout: 0.1,
        activation_dropout: 0.0,
        layer_drop: 0.05,
        recompute: false,
    };
    let encoder = EncoderConfig { stack, max_relative_position: Some(160) }.init(&init.fold("encoder"));

    let lengths = [16_000, 12_000];
    let samples: Tensor<2> = init.fold("noise").uniform([2, 16_000], -0.1, 0.1);
    let features = projection.forward(extractor.forward(samples));
    let frames = lengths.map(|samples| convolutions.frames(samples));
    println!("{lengths:?} samples become {frames:?} frames");
    let states = encoder.forward(features.clone(), &frames, Mode::Eval);
    println!("states {:?}", states.dims());
    let again = encoder.forward(features, &frames, Mode::Train(Key::new(2)));
    let difference = (states - again).abs().mean().into_scalar::<f32>();
    println!("dropout moves a state by {difference:.3} on average");
}
