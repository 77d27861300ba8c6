//! Pre-training: rows D18 to D29.

use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use vocable_nn::{Init, Mode};
use vocable_objectives::quantizer::{Choices, Mixed, Quantizer};
use vocable_objectives::{MlmHead, feature_penalty};
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::pretrain::{PretrainConfig, PretrainData, Pretraining, SpeechPart, TextPart};
use vocable_speecht5::sid::SidConfig;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, Pretrainer, Regularisation, recipe};
use vocable_text::CharVocabulary;
use vocable_train::{BatchId, Objective};

use super::PRESETS;
use super::corpus::{SAMPLES, dataset};
use crate::tiny::{self, PAD, VOCABULARY, device, noise, speech_batch, under, values};

const WIDTH: usize = 8;
const CODES: usize = 100;

fn quantizer(preset: Preset) -> Quantizer {
    let config = PretrainConfig::base(preset).quantizer.unwrap();
    assert_eq!((config.groups, config.codes), (2, CODES));
    Quantizer::new(config, WIDTH, &Init::new(Key::new(7), &device()))
}

/// All of six frames are mixed.
fn everything() -> Choices {
    Choices { mixed: Mixed::Shared((0..6).collect()), noise: None }
}

#[test]
pub fn codes_are_the_nearest_or_those_of_the_scores() {
    for preset in PRESETS {
        let mut quantizer = quantizer(preset);
        let codebook = values(quantizer.codebook.val());
        let half = WIDTH / 2;
        let code = |group: usize, code: usize| &codebook[(group * CODES + code) * half..][..half];
        let pair = |one: usize, two: usize| [code(0, one), code(1, two)].concat();
        // States next to the codes n and 99 − n.
        let next: Vec<f32> = (0..6).flat_map(|n| pair(n, 99 - n)).map(|value| value + 1e-4).collect();
        if let Some(scores) = &mut quantizer.scores {
            scores.weight = Param::from_tensor(scores.weight.val().zeros_like());
            let bias: Vec<f32> = (0..2 * CODES).map(|code| f32::from(u8::from(code == 40 || code == 150))).collect();
            scores.bias = Some(Param::from_tensor(Tensor::from_floats(bias.as_slice(), &device())));
        }
        let states = Tensor::from_data(TensorData::new(next, [1, 6, WIDTH]), &device());
        let found = values(quantizer.forward_with(states, &[6], &everything(), 1.0).states);
        let expected: Vec<f32> = match preset {
            Preset::Official => pair(40, 50).repeat(6),
            Preset::Paper | Preset::Hf => (0..6).flat_map(|n| pair(n, 99 - n)).collect(),
        };
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{preset:?}");
    }
}

#[test]
pub fn diversity_has_the_form_of_its_source() {
    for preset in PRESETS {
        // Used equally, and one of each group alone.
        let diversity = |alone: bool| {
            let mut quantizer = quantizer(preset);
            let far = |place: usize| if alone && !(place / (WIDTH / 2)).is_multiple_of(CODES) { 100.0 } else { 0.0 };
            let codebook: Vec<f32> = (0..CODES * WIDTH).map(far).collect();
            let codebook = TensorData::new(codebook, [1, 2 * CODES, WIDTH / 2]);
            quantizer.codebook = Param::from_tensor(Tensor::from_data(codebook, &device()));
            if let Some(scores) = &mut quantizer.scores {
                scores.weight = Param::from_tensor(scores.weight.val().zeros_like());
                let bias: Vec<f32> = (0..2 * CODES).map(|n| if alone && n % CODES == 0 { 50.0 } else { 0.0 }).collect();
                scores.bias = Some(Param::from_tensor(Tensor::from_floats(bias.as_slice(), &device())));
            }
            let states = Tensor::zeros([1, 6, WIDTH], &device());
            f64::from(quantizer.forward_with(states, &[6], &everything(), 1.0).diversity.into_scalar::<f32>())
        };
        let [equal, single] = match preset {
            // (200 − perplexity) / 200
            Preset::Official => [0.0, 0.99],
            // Σ p ln p / 100 in two groups
            Preset::Paper | Preset::Hf => [-2.0 * 100_f64.ln() / 100.0, 0.0],
        };
        // Float32, and fairseq's constant inside the logarithm, which shifts the perplexity by 1e-7 · 200.
        assert!((diversity(false) - equal).abs() < 5e-5, "{preset:?}: {}", diversity(false));
        assert!((diversity(true) - single).abs() < 5e-5, "{preset:?}: {}", diversity(true));
    }
}

#[test]
pub fn a_tenth_is_mixed_in_training_and_officially_in_evaluation() {
    const TIME: usize = 57;
    for preset in PRESETS {
        let quantizer = quantizer(preset);
        let states: Tensor<3> = noise([2, TIME, WIDTH], 1);
        let mixed = |mode: Mode| {
            let after = values(quantizer.forward(states.clone(), &[TIME, 40], mode, 0).states);
            let before = values(states.clone());
            let mixed: Vec<bool> = before.chunks(WIDTH).zip(after.chunks(WIDTH)).map(|(a, b)| a != b).collect();
            assert_eq!(mixed[..TIME], mixed[TIME..], "the batch shares the indices");
            mixed[..TIME].iter().filter(|&&mixed| mixed).count()
        };
        assert_eq!(mixed(Mode::Train(Key::new(3))), 5);
        assert_eq!(mixed(Mode::Eval), if preset == Preset::Official { 5 } else { 0 }, "{preset:?}");
    }
}

/// Pre-training on recordings of five seconds and sentences of 58 characters, two full batches of each; units are all the
/// same.
fn objective(config: PretrainConfig, folder: &std::path::Path) -> Pretraining {
    let dataset = dataset(folder, 1_400_000 / SAMPLES);
    let units = vec![vec![0; 250]; dataset.corpus.manifest().utterances.len()];
    let sentences = vec!["abcdefg ".repeat(8)[..58].replace(' ', "z"); 2 * (12_040 / 61)];
    let model = ModelConfig { speaker: 4, ..ModelConfig::base(Preset::Paper) };
    Pretraining::new(config, model, dataset, Arc::new(units), &sentences, Key::new(1), device()).unwrap()
}

#[test]
pub fn modalities_are_paired_or_shuffled() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let mut config = PretrainConfig::base(preset);
        config.speech.as_mut().unwrap().batch_samples = SAMPLES;
        let objective = objective(config, folder.path());
        // Sixteen micro-batches of both presets: eight updates.
        assert_eq!(objective.micro_batches(), 2);
        let ids = (0..8).flat_map(|update| [0, 1].map(|micro| BatchId::Train { update, micro }));
        let hears = |id| matches!(objective.prepare(id).unwrap().data, PretrainData::Speech(_));
        let heard: Vec<bool> = ids.map(hears).collect();
        assert_eq!(heard.iter().filter(|&&speech| speech).count(), 8, "one to one");
        let pairs = heard.chunks(2).all(|update| update == [true, false]);
        assert_eq!(pairs, preset != Preset::Official, "{preset:?}: {heard:?}");
    }
}

#[test]
pub fn the_rate_has_the_course_of_its_source() {
    for preset in PRESETS {
        let train = recipe::pretraining(preset);
        let rate = |done| train.schedule.rate(done, train.updates, train.learning_rate);
        // Peak, half of it on both sides, end.
        let [up, peak, down, end] = match preset {
            Preset::Official => [32_000, 64_000, 432_000, 800_000],
            Preset::Paper | Preset::Hf => [20_000, 40_000, 270_000, 500_000],
        };
        for (done, expected) in [(up, 1e-4), (peak, 2e-4), (down, 1e-4), (end, 0.0)] {
            assert!((rate(done) - expected).abs() < 1e-12, "{preset:?} after {done}: {}", rate(done));
        }
        assert!(rate(peak - 1) < 2e-4 && rate(peak + 1) < 2e-4 && rate(end - 1) > 0.0);
    }
}

#[test]
pub fn a_batch_of_speech_has_up_to_1_400_000_samples() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let config = PretrainConfig { text: None, ..PretrainConfig::base(preset) };
        let batch = objective(config, folder.path()).prepare(BatchId::Train { update: 0, micro: 0 }).unwrap();
        assert_eq!(batch.sequences[0].valid, 1_400_000 / SAMPLES * SAMPLES);
    }
}

#[test]
pub fn a_batch_of_text_has_up_to_12_040_tokens() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let config = PretrainConfig { speech: None, ..PretrainConfig::base(preset) };
        let batch = objective(config, folder.path()).prepare(BatchId::Train { update: 0, micro: 0 }).unwrap();
        // 58 characters, the word boundary before them, and both marks.
        assert_eq!(batch.sequences[1].valid, 12_040 / 61 * 61);
    }
}

#[test]
pub fn the_feature_penalty_weighs_ten() {
    let batch = speech_batch();
    let model = tiny::pretrainer(&tiny::pretraining());
    let audio = &batch.waveforms;
    let masks = Default::default();
    let features = model.core.encode_speech(audio.samples.clone(), &audio.lengths, None, &masks, Mode::Eval).features;
    let penalty = f64::from(feature_penalty(features.0).into_scalar::<f32>());
    for preset in PRESETS {
        let config = PretrainConfig { regularisation: Regularisation::none(), ..PretrainConfig::base(preset) };
        let part = config.speech.clone().unwrap();
        let total = |part: &SpeechPart| {
            let (losses, _) = model.speech(&config, part, &batch, 0, Mode::Eval, None);
            f64::from(losses.total.into_scalar::<f32>())
        };
        let without = total(&SpeechPart { feature_penalty: 0.0, ..part.clone() });
        // Differences of float32 sums of about ten.
        assert!((total(&part) - without - 10.0 * penalty).abs() < 1e-4, "{penalty}");
        assert!(10.0 * penalty > 1e-2, "{penalty}");
    }
}

/// The noise over so many characters that a random one is none of a sentence's.
fn infilled(sentence: &[u32], key: u64) -> Vec<u32> {
    let vocabulary = CharVocabulary::from_characters(('\u{4e00}'..).take(5_000)).unwrap();
    TextPart::base().noise(&vocabulary).infill(sentence, Key::new(key))
}

/// A sentence of 598 characters that take turns.
fn sentence(turns: u32) -> Vec<u32> {
    std::iter::once(0).chain((0..598).map(|n| 5 + n % turns)).chain([2]).collect()
}

const MASK: u32 = 5_005;

#[test]
pub fn a_tenth_of_the_spans_is_a_random_token() {
    let noised: Vec<u32> = (0..40).flat_map(|key| infilled(&sentence(2), key)).collect();
    let masks = noised.iter().filter(|&&token| token == MASK).count();
    let random = noised.iter().filter(|&&token| ![0, 2, 5, 6, MASK].contains(&token)).count();
    let share = random as f64 / (masks + random) as f64;
    // A tenth of some 50 spans, of which one or two have no length: of these at least one is random.
    assert!((0.09..0.14).contains(&share), "{random} of {}", masks + random);
}

#[test]
pub fn spans_are_of_characters() {
    // Where words end changes nothing: the same places are hidden.
    let places = |noised: Vec<u32>| noised.iter().map(|&token| token > 100).collect::<Vec<_>>();
    assert_eq!(places(infilled(&sentence(3), 1)), places(infilled(&sentence(17), 1)));
    // Three tenths of the characters in spans of 3.5 on average.
    let (mut gone, mut spans) = (0, 0);
    for key in 0..40 {
        let noised = infilled(&sentence(2), key);
        let kept = noised.iter().filter(|&&token| token < 100).count();
        gone += 600 - kept;
        spans += noised.len() - kept;
    }
    let (share, length) = (gone as f64 / (40.0 * 598.0), gone as f64 / spans as f64);
    // Some overlap, and are then one.
    assert!((0.24..0.3).contains(&share) && (3.3..4.2).contains(&length), "{share}, {length}");
}

#[test]
pub fn four_rows_precede_the_clusters() {
    let batch = speech_batch();
    for preset in PRESETS {
        let config = PretrainConfig { regularisation: Regularisation::none(), ..PretrainConfig::base(preset) };
        let mut model = Pretrainer::new(&under(preset), &config, VOCABULARY, PAD, 500, Key::new(1), &device());
        let (classes, width) = (504, config.speech.as_ref().unwrap().label_width);
        assert_eq!(model.mlm.label_embeddings.val().dims(), [classes, width]);
        assert_eq!([MlmHead::class(0), MlmHead::class(499)], [4, 503]);
        // Labels that all look the same are equally probable, the four rows among them.
        model.mlm.label_embeddings = Param::from_tensor(Tensor::ones([classes, width], &device()));
        let (losses, _) = model.speech(&config, config.speech.as_ref().unwrap(), &batch, 0, Mode::Eval, None);
        // Float32.
        assert!((losses.get("speech/mlm").unwrap() - (classes as f64).ln()).abs() < 1e-4);
    }
}

#[test]
pub fn the_extractor_learns_at_a_tenth_in_pretraining_alone() {
    let gradient = |preset, share: f64| {
        let regularisation = Regularisation { extractor_gradient: share, ..Regularisation::none() };
        let model = under(preset).init(VOCABULARY, PAD, &regularisation, Key::new(1), &device());
        let prenet = model.speech_encoder_prenet;
        let gradients = prenet.features(noise([1, 4_000], 1), None).0.square().sum().backward();
        values(prenet.extractor.blocks[0].weight.val().grad(&gradients).unwrap())
    };
    for preset in PRESETS {
        let whole = gradient(preset, 1.0);
        let scale = whole.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
        assert!(scale > 0.0);
        let recipes = [
            (PretrainConfig::base(preset).regularisation, 0.1),
            (AsrConfig::base(preset).regularisation, 1.0),
            (VcConfig::base(preset).regularisation, 1.0),
            (SidConfig::base(preset).regularisation, 1.0),
        ];
        for (regularisation, share) in recipes {
            let ours = gradient(preset, regularisation.extractor_gradient);
            // Float32.
            assert!(ours.iter().zip(&whole).all(|(a, b)| (a - share * b).abs() < 1e-5 * scale), "{share}");
        }
    }
}
