//! Architecture and inference: rows D1 to D17.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use vocable_audio::white_noise;
use vocable_decode::{
    FrameStep, FrameStepper, SpeechLimits, StopRule, TextLimits, TextStepper, generate_speech, greedy,
};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::checkpoint::{Checkpoint, write_extended};
use vocable_speecht5::decode::SpeechDecoding;
use vocable_speecht5::huggingface::{FrontEnd, ModelFolder};
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::sid::SidConfig;
use vocable_speecht5::tts::TtsConfig;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeechT5};
use vocable_text::CharVocabulary;

use super::PRESETS;
use crate::tiny::{EOS, PAD, VOCABULARY, device, difference, noise, under, values};

/// Weights that are wide enough for everything to show.
fn model(config: &ModelConfig) -> SpeechT5 {
    trained_with(config, &Regularisation::none())
}

fn trained_with(config: &ModelConfig, regularisation: &Regularisation) -> SpeechT5 {
    ModelConfig { deviation: 0.3, ..config.clone() }.init(VOCABULARY, PAD, regularisation, Key::new(3), &device())
}

#[test]
pub fn the_decoder_has_no_relative_positions() {
    for preset in PRESETS {
        let plain = model(&under(preset));
        assert!(plain.decoder.relative.is_none());
        let mut extended = model(&ModelConfig { decoder_relative_position: Some(4), ..under(preset) });
        let states = |model: &SpeechT5| {
            model.decoder.forward(noise([1, 9, 32], 1), &[9], noise([1, 5, 32], 2), &[5], false, Mode::Eval).states
        };
        assert!(difference(states(&plain), states(&extended)) > 1e-3);
        let table = extended.decoder.relative.as_mut().unwrap();
        *table = Param::from_tensor(table.val().zeros_like());
        // Float32 sums.
        assert!(difference(states(&plain), states(&extended)) < 1e-5);
    }
}

#[test]
pub fn relative_positions_reach_160_frames() {
    const FRAMES: i64 = 400;
    for preset in PRESETS {
        let reach = ModelConfig::base(preset).encoder_relative_position;
        let model = model(&ModelConfig { encoder_relative_position: reach, encoder_layers: 1, ..under(preset) });
        let states = |row: Option<i64>| {
            let mut encoder = model.encoder.clone();
            let table = encoder.relative.as_mut().unwrap();
            if let Some(row) = row.map(|row| row as usize) {
                let (mut rows, shape) = (values(table.val()), table.val().dims());
                rows[row * shape[1]..][..shape[1]].fill(3.0);
                *table = Param::from_tensor(Tensor::from_data(TensorData::new(rows, shape), &device()));
            }
            values(encoder.forward(noise([1, FRAMES as usize, 32], 1), &[FRAMES as usize], Mode::Eval))
        };
        let before = states(None);
        // Row clip(i − j, −160, 159) + 160 is for query i and key j.
        for row in [0, 1, 159, 160, 318, 319] {
            let uses = |i: i64| (0..FRAMES).any(|j| (i - j).clamp(-160, 159) + 160 == row);
            let expected: Vec<bool> = (0..FRAMES).map(uses).collect();
            let after = states(Some(row));
            let moved: Vec<bool> = after.chunks(32).zip(before.chunks(32)).map(|(a, b)| a != b).collect();
            assert_eq!(moved, expected, "row {row}");
        }
    }
}

#[test]
pub fn the_projection_drops_before_masking_but_for_transformers() {
    for preset in PRESETS {
        for recipe in [
            PretrainConfig::base(preset).regularisation,
            AsrConfig::base(preset).regularisation,
            TtsConfig::base(preset).regularisation,
            VcConfig::base(preset).regularisation,
            SidConfig::base(preset).regularisation,
        ] {
            // All else of the recipe is off.
            let prenet = trained_with(
                &under(preset),
                &Regularisation { projection: recipe.projection, ..Regularisation::none() },
            )
            .speech_encoder_prenet;
            let features = prenet.features(noise([1, 8_000], 1), None);
            let frames = features.0.dims()[1];
            let input = |masks: &SpeechMasks, key| {
                prenet.forward(features.clone(), &[frames], masks, Mode::Train(Key::new(key)))
            };
            let moved = difference(input(&SpeechMasks::default(), 1), input(&SpeechMasks::default(), 2));
            assert_eq!(moved > 0.0, preset != Preset::Hf, "{preset:?}");
            let all = Tensor::from_data(TensorData::new(vec![true; frames], [1, frames]), &device());
            let masks = SpeechMasks { time: Some(all), channel: None };
            assert_eq!(difference(input(&masks, 1), input(&masks, 2)), 0.0);
        }
    }
}

#[test]
pub fn padding_frames_follow_the_convolutions_or_the_chunks() {
    for preset in PRESETS {
        let audio: Vec<Vec<f32>> = [32_000, 16_000, 322].map(|length| white_noise(length, Key::new(1))).into();
        let batch = Waveforms::new(&audio, &device());
        let model = model(&under(preset));
        let encoded = model.encode_speech(batch.samples, &batch.lengths, None, &SpeechMasks::default(), Mode::Eval);
        assert_eq!(encoded.states.dims()[1], 99);
        let expected = match preset {
            // 99 chunks of 323 samples, of which 50 and 1 are not all padding.
            Preset::Official => [99, 50, 1],
            Preset::Paper | Preset::Hf => [99, 49, 0],
        };
        assert_eq!(encoded.lengths, expected, "{preset:?}");
    }
}

#[test]
pub fn the_speech_decoder_prenet_always_drops_by_the_rule_of_its_source() {
    for preset in PRESETS {
        let config = ModelConfig { prenet_dropout: ModelConfig::base(preset).prenet_dropout, ..under(preset) };
        let mut prenet = model(&config).speech_decoder_prenet;
        let twice = Tensor::cat(vec![noise([1, 6, 80], 1); 2], 0);
        let output = |key: Option<u64>| prenet.forward(twice.clone(), 0, None, key.map(Key::new), Mode::Eval);
        assert!(difference(output(Some(1)), output(Some(2))) > 0.0, "on in evaluation, too");
        let items = |output: Tensor<3>| difference(output.clone().narrow(0, 0, 1), output.narrow(0, 1, 1));
        assert_eq!(items(output(None)), 0.0);
        assert_eq!(items(output(Some(1))) == 0.0, preset == Preset::Hf, "one mask for the batch: {preset:?}");
        // What the third layer makes, without positions.
        prenet.alpha = Param::from_tensor(prenet.alpha.val().zeros_like());
        let third = values(prenet.forward(twice, 0, None, None, Mode::Eval));
        assert_eq!(third.iter().all(|&value| value >= 0.0), preset == Preset::Paper, "a third ReLU: {preset:?}");
    }
}

#[test]
pub fn the_speaker_enters_behind_the_positions_at_unit_length() {
    for preset in PRESETS {
        let prenet = model(&under(preset)).speech_decoder_prenet;
        let (frames, voice): (_, Tensor<2>) = (noise([2, 6, 80], 1), noise([2, 4], 2));
        let output = |past, voice: Option<Tensor<2>>| prenet.forward(frames.clone(), past, voice, None, Mode::Eval);
        let with = output(0, Some(voice.clone()));
        assert!(values(with.clone()).iter().all(|&value| value >= 0.0), "behind a ReLU");
        // Float32.
        assert!(difference(with.clone(), output(0, Some(voice.clone() * 7.0))) < 1e-5);
        assert!(difference(with.clone(), output(0, Some(voice.clone().neg()))) > 1e-3);
        // By hand: the states with their positions and the vector of length one, through a layer and a ReLU.
        let length = voice.clone().square().sum_dim(1).sqrt();
        let unit: Tensor<3> = (voice / length).unsqueeze_dim(1);
        let joined = Tensor::cat(vec![output(0, None), unit.expand([2, 6, 4])], 2);
        assert!(difference(with, burn::tensor::activation::relu(prenet.speaker.forward(joined))) < 1e-5);
    }
}

#[test]
pub fn every_frame_of_a_step_has_a_stop_probability() {
    for preset in PRESETS {
        let reduction = ModelConfig::base(preset).reduction;
        let model = model(&under(preset));
        let (_, stop) = model.speech_decoder_postnet.step(noise([3, 7, 32], 1));
        assert_eq!(stop.dims(), [3, 7 * reduction]);
        let mut stepper = SpeechDecoding::new(&model, &noise([3, 5, 32], 2), &[5, 5, 5], noise([3, 4], 3), None);
        assert_eq!(stepper.step(noise([3, 1, 80], 4)).stop.dims(), [3, reduction]);
    }
}

/// Two frames a step with the same stop probabilities throughout.
struct Steady([f32; 2]);

impl FrameStepper for Steady {
    fn step(&mut self, newest: Tensor<3>) -> FrameStep {
        let ([items, _, mel], device) = (newest.dims(), newest.device());
        let stop = TensorData::new(self.0.repeat(items), [items, 2]);
        let frames = Tensor::zeros([items, 2, mel], &device);
        FrameStep { frames, stop: Tensor::from_data(stop, &device), attention: Vec::new() }
    }

    fn select(&mut self, _: &[usize]) {}
}

/// Frames that are generated of an input of ten.
fn frames(limits: &SpeechLimits, stop: [f32; 2]) -> usize {
    generate_speech(&mut Steady(stop), &[10], 80, limits, &Device::flex())[0].mel.dims()[0]
}

#[test]
pub fn speech_stops_by_any_probability_or_by_their_sum() {
    for preset in PRESETS {
        for limits in [TtsConfig::base(preset).limits, VcConfig::base(preset).limits] {
            assert_eq!(frames(&limits, [0.2, 0.5]), 2);
            assert_eq!(frames(&limits, [0.3, 0.3]) == 2, preset == Preset::Hf, "{preset:?}");
            assert!(frames(&limits, [0.2, 0.2]) > 2);
        }
    }
}

#[test]
pub fn speech_is_cut_at_the_ratio_of_its_input() {
    for preset in PRESETS {
        assert_eq!(frames(&TtsConfig::base(preset).limits, [0.0, 0.0]), 200);
        let of_speech = if preset == Preset::Hf { 200 } else { 100 };
        assert_eq!(frames(&VcConfig::base(preset).limits, [0.0, 0.0]), of_speech, "{preset:?}");
    }
}

#[test]
pub fn the_threshold_leaves_the_ratios_alone() {
    for preset in PRESETS {
        let limits = VcConfig::base(preset).limits;
        for threshold in [0.1, 0.9] {
            let other = SpeechLimits { threshold, ..limits };
            assert_eq!(frames(&other, [0.0, 0.0]), frames(&limits, [0.0, 0.0]), "the most frames");
            assert_eq!(frames(&other, [0.0, 0.95]), 2, "the fewest");
            let any = SpeechLimits { rule: StopRule::Any, ..other };
            assert_eq!(frames(&any, [0.0, 0.5]) == 2, threshold < 0.5);
        }
    }
}

#[test]
pub fn the_end_of_a_text_is_heard_but_for_the_official_code() {
    for preset in PRESETS {
        let tokens = TtsConfig::base(preset).input.tokens(vec![5, 6, 7], EOS);
        let tokens = Tokens::new(&[tokens], PAD, &device());
        let memory = model(&under(preset)).encode_text(&tokens, Mode::Eval);
        assert_eq!(memory.dims()[1], if preset == Preset::Official { 3 } else { 4 }, "{preset:?}");
    }
}

#[test]
pub fn a_sample_of_exactly_one_is_no_padding() {
    for preset in PRESETS {
        let model = model(&under(preset));
        let encode = |peak: f32| {
            let mut audio = white_noise(8_000, Key::new(1));
            audio[4_000] = peak;
            let batch = Waveforms::new(&[audio], &device());
            model.encode_speech(batch.samples, &batch.lengths, None, &SpeechMasks::default(), Mode::Eval)
        };
        let (one, less) = (encode(1.0), encode(1.0 - f32::EPSILON));
        assert_eq!(one.lengths, [24]);
        // One bit of a sample.
        assert!(difference(one.states, less.states) < 1e-3);
    }
}

#[test]
pub fn the_ctc_head_is_kept_and_loaded_where_a_file_has_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hf/asr");
    let (_, report) = ModelFolder::open(folder).unwrap().load(&device()).unwrap();
    assert!(report.absent.iter().any(|part| part == "ctc"), "transformers has none: {report:?}");
    let out = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let path = out.path().join("extended.safetensors");
        let saved = model(&under(preset));
        write_extended(&path, &saved, &under(preset), None).unwrap();
        let other = under(preset).init(VOCABULARY, PAD, &Regularisation::none(), Key::new(8), &device());
        let logits = |model: &SpeechT5| model.ctc_logits(noise([1, 5, 32], 1), Mode::Eval);
        assert!(difference(logits(&saved), logits(&other)) > 1e-3);
        let (loaded, _) = Checkpoint::open(&path).unwrap().load(other).unwrap();
        assert_eq!(difference(logits(&saved), logits(&loaded)), 0.0);
    }
}

/// Prefers what should never be written.
struct Special(Vec<f32>);

impl TextStepper for Special {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        let scores = TensorData::new(self.0.repeat(newest.len()), [newest.len(), self.0.len()]);
        Tensor::from_data(scores, &Device::flex())
    }

    fn select(&mut self, _: &[usize]) {}
}

#[test]
pub fn padding_blank_and_mask_are_never_written_but_by_transformers() {
    let vocabulary = CharVocabulary::from_characters(['a', 'b']).unwrap();
    for preset in PRESETS {
        for special in [vocabulary.pad(), vocabulary.blank(), vocabulary.mask()] {
            let mut scores = vec![-9.0; vocabulary.len()];
            (scores[special as usize], scores[5]) = (-0.1, -3.0);
            let limits = TextLimits { start: vocabulary.eos(), end: vocabulary.eos(), min_length: 0, max_length: 3 };
            let suppressed = AsrConfig::base(preset).suppressed(&vocabulary);
            let written = &greedy(&mut Special(scores), 1, &limits, &suppressed)[0].tokens;
            assert_eq!(*written, [if preset == Preset::Hf { special } else { 5 }; 3], "{preset:?}");
        }
    }
}

#[test]
pub fn waveforms_are_heard_as_they_are() {
    let audio: Vec<f32> = white_noise(4_000, Key::new(1)).iter().map(|sample| 0.3 + 0.1 * sample).collect();
    // No preset's front end normalises; a folder's may say so.
    assert_eq!(FrontEnd::default().waveform(audio.clone()), audio);
    let normal = FrontEnd { normalize: true, ..FrontEnd::default() }.waveform(audio);
    let mean = |values: &mut dyn Iterator<Item = f32>| values.map(f64::from).sum::<f64>() / 4_000.0;
    // Float32 values.
    assert!(mean(&mut normal.iter().copied()).abs() < 1e-4);
    assert!((mean(&mut normal.iter().map(|value| value * value)) - 1.0).abs() < 1e-4);
}

#[test]
pub fn positions_know_no_end() {
    for preset in PRESETS {
        let model = model(&under(preset));
        // Longer than any table of transformers: 600 tokens, 1,876 decoder steps, 4,000 encoder frames.
        let text = |length: usize| {
            let tokens: Vec<u32> = (0..length).map(|n| 5 + (n % 7) as u32).collect();
            let tokens = Tokens::new(&[tokens], PAD, &device());
            let heard = model.text_encoder_prenet.forward(&tokens, &model.tokens, Mode::Eval);
            let written = model.text_decoder_prenet().forward(&tokens, 0, &model.tokens, Mode::Eval);
            Tensor::cat(vec![heard, written], 0)
        };
        assert_eq!(difference(text(700).narrow(1, 0, 600), text(600)), 0.0);
        // Tokens 7 apart are the same: only their positions tell them apart.
        assert!(difference(text(700).narrow(1, 600, 50), text(700).narrow(1, 600 - 7, 50)) > 1e-3);
        let mel = noise([1, 2_000, 80], 1);
        let prenet = |mel: Tensor<3>, past| model.speech_decoder_prenet.forward(mel, past, None, None, Mode::Eval);
        let (whole, tail) = (prenet(mel.clone(), 0), prenet(mel.narrow(1, 1_900, 100), 1_900));
        // Products of matrices of other sizes.
        assert!(difference(whole.narrow(1, 1_900, 100), tail) < 1e-5);
        let features = model.speech_encoder_prenet.features(noise([1, 4_100 * 320], 2), None);
        let frames = features.0.dims()[1];
        assert!(frames > 4_000);
        let input = model.speech_encoder_prenet.forward(features, &[frames], &SpeechMasks::default(), Mode::Eval);
        assert!(values(input).iter().all(|value| value.is_finite()));
    }
}
