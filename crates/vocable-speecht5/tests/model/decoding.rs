//! Incremental decoding equals decoding the whole prefix (spec section 13.4), whatever becomes of the hypotheses.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use vocable_decode::{
    BeamConfig, Companions, FrameStepper, SpeechLimits, TextLimits, TextStepper, beam_search, generate_speech, greedy,
};
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::decode::{SpeechDecoding, TextDecoding};
use vocable_speecht5::{ModelConfig, Regularisation, SpeechT5};

use super::tiny::{EOS, PAD, VOCABULARY, config, device, difference, noise};

/// f32 sums in another order.
const TOLERANCE: f32 = 1e-5;

fn model() -> SpeechT5 {
    let config = ModelConfig { decoder_layers: 2, deviation: 0.3, ..config() };
    config.init(VOCABULARY, PAD, &Regularisation::none(), Key::new(3), &device())
}

/// Encoder states of three utterances, two of them padded.
fn memory() -> (Tensor<3>, Vec<usize>) {
    (noise([3, 9, 32], 1), vec![9, 6, 2])
}

/// The model and its memory in a graph, as in training, and outside of any, where other kernels run.
fn both() -> [(SpeechT5, Tensor<3>, Vec<usize>); 2] {
    let (model, (memory, lengths)) = (model(), memory());
    [(model.clone().valid(), memory.clone().inner(), lengths.clone()), (model, memory, lengths)]
}

/// A tensor in a graph like those of `memory`, or outside of any like them.
fn beside<const D: usize>(memory: &Tensor<3>, tensor: Tensor<D>) -> Tensor<D> {
    if memory.device().is_autodiff() { tensor } else { tensor.inner() }
}

/// Log-probabilities after every prefix of `tokens`, by the whole sequence at once: `[tokens, vocabulary]`.
fn whole(model: &SpeechT5, tokens: &[u32], memory: &Tensor<3>, lengths: &[usize], utterance: usize) -> Tensor<2> {
    let input = Tokens::new(&[tokens.to_vec()], PAD, &memory.device());
    let memory = memory.clone().narrow(0, utterance, 1);
    let logits = model.decode_text(&input, memory, &[lengths[utterance]], Mode::Eval);
    activation::log_softmax(logits, 2).squeeze_dim(0)
}

#[test]
fn text_step_by_step_equals_the_whole_prefix_whatever_is_selected() {
    for (model, memory, lengths) in both() {
        let mut stepper = TextDecoding::new(&model, &memory, &lengths);
        let mut hypotheses: Vec<(usize, Vec<u32>)> = (0..3).map(|utterance| (utterance, Vec::new())).collect();
        // Nothing; a beam opens; branches cross, double and die; an utterance leaves; one is left.
        let selections: [&[usize]; 6] =
            [&[0, 1, 2], &[0, 0, 1, 1, 2], &[1, 0, 3, 3, 2], &[0, 0, 1, 4, 4, 2], &[5, 2, 0], &[1]];
        for (step, rows) in selections.into_iter().enumerate() {
            let newest: Vec<u32> = (0..hypotheses.len()).map(|row| (5 + 3 * row + 2 * step) as u32 % 13).collect();
            hypotheses.iter_mut().zip(&newest).for_each(|((_, tokens), &token)| tokens.push(token));
            let ours = stepper.step(&newest);
            for (row, (utterance, tokens)) in hypotheses.iter().enumerate() {
                let expected = whole(&model, tokens, &memory, &lengths, *utterance).narrow(0, step, 1);
                let error = difference(ours.clone().narrow(0, row, 1), expected);
                assert!(error < TOLERANCE, "step {step}, row {row}: {error}");
            }
            stepper.select(rows);
            hypotheses = rows.iter().map(|&row| hypotheses[row].clone()).collect();
        }
    }
}

/// Ends sooner than the model would: every step makes the end more probable.
struct Hastened<'a> {
    model: TextDecoding<'a>,
    steps: usize,
}

impl TextStepper for Hastened<'_> {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        let scores = self.model.step(newest);
        self.steps += 1;
        let mut bonus = [0.0; VOCABULARY];
        bonus[EOS as usize] = 0.1 * self.steps as f32;
        let bonus = Tensor::<1>::from_floats(bonus, &scores.device());
        scores + bonus.unsqueeze()
    }

    fn select(&mut self, rows: &[usize]) {
        self.model.select(rows);
    }
}

#[test]
fn a_batch_of_text_is_its_singles() {
    let limits = TextLimits { start: EOS, end: EOS, min_length: 1, max_length: 70 };
    for (model, memory, lengths) in both() {
        let beam = BeamConfig::attention(3);
        let search = |rows: std::ops::Range<usize>| {
            let memory = memory.clone().narrow(0, rows.start, rows.len());
            let stepper = || Hastened { model: TextDecoding::new(&model, &memory, &lengths[rows.clone()]), steps: 0 };
            let greedy = greedy(&mut stepper(), rows.len(), &limits, &[]);
            let beam = beam_search(&mut stepper(), Companions::default(), rows.len(), &limits, &[], &beam);
            greedy.into_iter().map(|found| vec![found]).chain(beam).collect::<Vec<_>>()
        };
        let together = search(0..3);
        // Different lengths, so that utterances left the batch at different steps.
        let written = |n: usize| together[n][0].tokens.len();
        assert!(written(0) != written(1) || written(1) != written(2), "{} {} {}", written(0), written(1), written(2));
        for utterance in 0..3 {
            let alone = search(utterance..utterance + 1);
            for (single, batch) in alone.iter().zip([&together[utterance], &together[3 + utterance]]) {
                for (single, batch) in single.iter().zip(batch) {
                    assert_eq!(single.tokens, batch.tokens);
                    assert!((single.score - batch.score).abs() < 1e-4, "{} {}", single.score, batch.score);
                }
            }
        }
    }
}

#[test]
fn speech_step_by_step_equals_the_whole_prefix() {
    for (model, memory, lengths) in both() {
        let device = memory.device();
        let frames = beside(&memory, noise([3, 39, 80], 2));
        let frames = Tensor::cat(vec![Tensor::zeros([3, 1, 80], &device), frames], 1);
        let speaker: Tensor<2> = beside(&memory, noise([3, 4], 3));
        let states = |rows: &[usize], steps: usize| {
            let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
            let ids = Tensor::from_data(ids.as_slice(), &device);
            let (frames, speaker) = (frames.clone().select(0, ids.clone()), speaker.clone().select(0, ids.clone()));
            let lengths: Vec<usize> = rows.iter().map(|&row| lengths[row]).collect();
            let decoded = model.decode_speech(
                frames.narrow(1, 0, steps),
                &vec![steps; rows.len()],
                Some(speaker),
                memory.clone().select(0, ids),
                &lengths,
                None,
                true,
                Mode::Eval,
            );
            (model.speech_decoder_postnet.step(decoded.states).0, decoded.cross_weights)
        };
        let mut stepper = SpeechDecoding::new(&model, &memory, &lengths, speaker.clone(), None);
        let mut rows = vec![0, 1, 2];
        for step in 0..40 {
            let ids: Vec<i64> = rows.iter().map(|&row: &usize| row as i64).collect();
            let newest = frames.clone().narrow(1, step, 1).select(0, Tensor::from_data(ids.as_slice(), &device));
            let output = stepper.step(newest);
            let (expected, weights) = states(&rows, step + 1);
            assert!(difference(output.frames, expected.narrow(1, 2 * step, 2)) < TOLERANCE, "step {step}");
            for (ours, theirs) in output.attention.into_iter().zip(weights) {
                assert!(difference(ours, theirs.narrow(2, step, 1)) < TOLERANCE, "weights of step {step}");
            }
            if step == 20 {
                stepper.select(&[0, 2]);
                rows = vec![0, 2];
            }
        }
    }
}

#[test]
pub fn a_batch_of_speech_is_its_singles() {
    for (model, memory, lengths) in both() {
        let speaker: Tensor<2> = beside(&memory, noise([3, 4], 3));
        let speak = |rows: std::ops::Range<usize>| {
            let (start, count) = (rows.start, rows.len());
            let (memory, speaker) = (memory.clone().narrow(0, start, count), speaker.clone().narrow(0, start, count));
            let mut stepper = SpeechDecoding::new(&model, &memory, &lengths[rows.clone()], speaker, None);
            // At least: the stop probabilities of random weights end at once.
            let limits = SpeechLimits { min_ratio: 2.0, ..SpeechLimits::up_to(5.0) };
            generate_speech(&mut stepper, &lengths[rows.clone()], 80, &limits, &memory.device())
        };
        let together = speak(0..3);
        for (utterance, speech) in together.iter().enumerate() {
            let alone = speak(utterance..utterance + 1).remove(0);
            assert_eq!(alone.mel.dims(), speech.mel.dims());
            // Every frame is made of the one before.
            assert!(difference(alone.mel, speech.mel.clone()) < 1e-4);
            assert!((alone.focus.unwrap() - speech.focus.unwrap()).abs() < 1e-5);
        }
        assert_ne!(together[0].mel.dims(), together[1].mel.dims());
    }
}
