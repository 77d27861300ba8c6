//! What padding may and may not change (spec section 13.3).

use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::{ExtractorNorm, Mode};
use vocable_random::Key;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::{ModelConfig, Regularisation, SpeechT5};

use super::tiny::{PAD, VOCABULARY, config, device, difference, values};

fn model(config: &ModelConfig) -> SpeechT5 {
    config.init(VOCABULARY, PAD, &Regularisation::none(), Key::new(3), &device())
}

#[test]
fn text_alone_equals_text_in_a_padded_batch() {
    let model = model(&config());
    let (short, long) = (vec![4, 5, 6], vec![4, 9, 8, 7, 6, 5, 9, 10]);
    let alone = model.encode_text(&Tokens::new(std::slice::from_ref(&short), PAD, &device()), Mode::Eval);
    let both = model.encode_text(&Tokens::new(&[short, long], PAD, &device()), Mode::Eval);
    // Matrix products of another height may sum in another order.
    assert!(difference(alone, both.slice([0..1, 0..3])) < 1e-5);
}

#[test]
fn speech_alone_equals_speech_in_a_padded_batch_where_every_block_is_normalised() {
    let config = ModelConfig { extractor_norm: ExtractorNorm::EveryBlock, encoder_layers: 1, ..config() };
    let model = model(&config);
    let noise = |n: usize| {
        let noise = vocable_audio::white_noise(n, Key::new(n as u64));
        noise.iter().map(|x| x * 0.1).collect::<Vec<f32>>()
    };
    let (short, long) = (noise(16_000), noise(24_000));
    let input = |items: &[&[f32]]| {
        let waveforms = Waveforms::new(items, &device());
        let masks = SpeechMasks::default();
        model.encode_speech(waveforms.samples, &waveforms.lengths, None, &masks, Mode::Eval)
    };
    let (alone, both) = (input(&[&short]), input(&[&short, &long]));
    let valid = alone.lengths[0];
    assert_eq!(both.lengths[0], valid);
    // The positional convolution of the last frames sees padding: half its taps are left out.
    let certain = valid - config.positional_kernel / 2;
    let width = config.width;
    let cut = |x: burn::tensor::Tensor<3>| x.slice([0..1, 0..certain, 0..width]);
    assert!(difference(cut(alone.input.clone()), cut(both.input.clone())) < 1e-5);
    // And the check can fail: the frames behind do differ.
    let last = |x: burn::tensor::Tensor<3>| x.slice([0..1, valid - 1..valid, 0..width]);
    assert!(difference(last(alone.input), last(both.input)) > 1e-4);
}

#[test]
fn padding_frames_never_reach_valid_states_through_attention() {
    // The base extractor normalises over padding, so only what comes behind it is compared: the same frames with
    // different rubbish behind them.
    let model = model(&config());
    let frames = super::tiny::noise([1, 12, 32], 5);
    let rubbish = super::tiny::noise([1, 4, 32], 6) * 100.0;
    let padded = burn::tensor::Tensor::cat(vec![frames.clone(), rubbish], 1);
    let alone = model.encoder.forward(frames, &[12], Mode::Eval);
    let behind = model.encoder.forward(padded, &[12], Mode::Eval).slice([0..1, 0..12]);
    assert!(values(behind.clone()).iter().all(|x| x.is_finite()));
    assert!(difference(alone, behind) < 1e-5);
}
