//! Incremental decoding equals decoding the whole prefix (spec section 13.4).

use burn::tensor::{Tensor, activation};
use vocable_decode::{FrameStepper, TextStepper};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::decode::{SpeechDecoding, TextDecoding};
use vocable_speecht5::{ModelConfig, Regularisation};

use super::tiny::{PAD, VOCABULARY, config, device, difference, noise, waveforms};

fn deep() -> ModelConfig {
    ModelConfig { decoder_layers: 2, ..config() }
}

#[test]
fn text_step_by_step_equals_the_whole_prefix_and_rows_can_be_chosen() {
    let model = deep().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(3), &device());
    let sound = waveforms(2);
    let memory = model.encode_speech(sound.samples, &sound.lengths, None, &SpeechMasks::default(), Mode::Eval);
    let prefixes = [vec![2, 5, 6, 7], vec![2, 9, 9, 4]];
    let whole = Tokens::new(&prefixes, PAD, &device());
    let logits = model.decode_text(&whole, memory.states.clone(), &memory.lengths, Mode::Eval);
    let expected = activation::log_softmax(logits, 2);
    let mut stepper = TextDecoding::new(&model, &memory);
    for step in 0..3 {
        let so_far: Vec<Vec<u32>> = prefixes.iter().map(|prefix| prefix[..=step].to_vec()).collect();
        let ours = stepper.step(&so_far);
        let theirs = expected.clone().narrow(1, step, 1).squeeze_dim::<2>(1);
        assert!(difference(ours, theirs) < 1e-5, "step {step}");
    }
    stepper.select(&[1]);
    let ours = stepper.step(&[prefixes[1].clone()]);
    let theirs = expected.slice([1..2, 3..4]).squeeze_dim::<2>(1);
    assert!(difference(ours, theirs) < 1e-5, "after a selection");
}

#[test]
fn speech_step_by_step_equals_the_whole_prefix() {
    let model = deep().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(3), &device());
    let (memory, lengths) = (noise([2, 9, 32], 1), [9, 6]);
    let frames: Tensor<3> = Tensor::cat(vec![Tensor::zeros([2, 1, 80], &device()), noise([2, 4, 80], 2)], 1);
    let speaker: Tensor<2> = noise([2, 4], 3);
    let whole = model.decode_speech(
        frames.clone(),
        &[5, 5],
        Some(speaker.clone()),
        memory.clone(),
        &lengths,
        None,
        false,
        Mode::Eval,
    );
    let (expected, _) = model.speech_decoder_postnet.step(whole.states);
    let mut stepper = SpeechDecoding::new(&model, &memory, &lengths, speaker, None);
    for step in 0..5 {
        let output = stepper.step(frames.clone().narrow(1, 0, step + 1));
        let theirs = expected.clone().narrow(1, 2 * step, 2);
        assert!(difference(output.frames, theirs) < 1e-5, "step {step}");
        assert_eq!(output.attention.len(), 2);
    }
}
