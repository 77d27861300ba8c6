//! Fine-tuning: rows D30 to D46.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use vocable_audio::{Frames, LogMel};
use vocable_nets::{SpeechMasks, Tokens};
use vocable_nn::Mode;
use vocable_objectives::{cross_entropy, ctc_loss, guided_attention_loss};
use vocable_random::Key;
use vocable_speecht5::asr::{AsrBatch, AsrConfig, Recognition};
use vocable_speecht5::batch::SpeechTarget;
use vocable_speecht5::se::SeConfig;
use vocable_speecht5::sid::{Identification, SidConfig};
use vocable_speecht5::to_speech::ToSpeech;
use vocable_speecht5::tts::{TtsBatch, TtsConfig};
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeakerClassifier, SpeechLoss, SpeechT5, recipe};
use vocable_train::{BatchId, Objective, TrainConfig};
use vocable_vocoder::Vocoder;

use super::PRESETS;
use super::corpus::{SAMPLES, dataset};
use crate::tiny::{
    BLANK, EOS, PAD, VOCABULARY, asr_batch, device, difference, noise, target, under, values, vc_batch, waveforms,
};

fn model(preset: Preset) -> SpeechT5 {
    let config = ModelConfig { deviation: 0.3, ..under(preset) };
    config.init(VOCABULARY, PAD, &Regularisation::none(), Key::new(3), &device())
}

fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_scalar::<f32>().into()
}

#[test]
pub fn guided_attention_weighs_one_or_ten() {
    for preset in PRESETS {
        let weight = if preset == Preset::Hf { 10.0 } else { 1.0 };
        let (model, texts) = (model(preset), vec![vec![5, 6, 7, 8], vec![9, 6, 7]]);
        let input = Tokens::new(&texts, PAD, &device());
        let batch = TtsBatch { input, target: target(2) };
        let (tts, vc) = (TtsConfig::base(preset), VcConfig::base(preset));
        let unguided = |loss| SpeechLoss { guided_attention: 0.0, ..loss };
        let spoken = |config: &TtsConfig| config.pass(&model, &batch, None, Mode::Eval).losses;
        let converted = |config: &VcConfig| config.pass(&model, &vc_batch(), None, Mode::Eval).losses;
        let pairs = [
            (spoken(&tts), spoken(&TtsConfig { loss: unguided(tts.loss), ..tts.clone() }), "tts"),
            (converted(&vc), converted(&VcConfig { loss: unguided(vc.loss), ..vc.clone() }), "vc"),
        ];
        for (with, without, task) in pairs {
            let guide = with.get(&format!("{task}/guided_attention")).unwrap();
            // Float32 sums of about ten.
            assert!((number(with.total) - number(without.total) - weight * guide).abs() < 1e-4, "{preset:?}, {task}");
            assert!(guide > 1e-3);
        }
    }
}

#[test]
pub fn two_heads_of_every_layer_are_guided() {
    let layer = |key| activation::softmax(noise::<4>([1, 4, 6, 5], key), 3);
    let layers: Vec<Tensor<4>> = (0..3).map(layer).collect();
    for preset in PRESETS {
        for heads in [TtsConfig::base(preset).loss.guided_heads, VcConfig::base(preset).loss.guided_heads] {
            let loss = |layers: &[Tensor<4>]| number(guided_attention_loss(layers, &[6], &[5], heads));
            for n in 0..3 {
                for head in 0..4 {
                    let mut other = layers.clone();
                    other[n] = other[n].clone().slice_fill([0..1, head..head + 1, 0..6, 0..5], 1.0);
                    assert_eq!(loss(&other) != loss(&layers), head < 2, "head {head} of layer {n}");
                }
            }
        }
    }
}

#[test]
pub fn recognition_weighs_and_divides_by_the_rule_of_its_source() {
    let batch = asr_batch();
    let labels: Vec<Vec<u32>> = batch.target.iter().map(|target| target[..target.len() - 1].to_vec()).collect();
    for preset in PRESETS {
        let pass = AsrConfig::base(preset).pass(&model(preset), &batch, EOS, BLANK, false, Mode::Eval);
        let attention = number(cross_entropy(pass.logits, &batch.target, 0.0).sum);
        let ctc = |logits| number(ctc_loss(logits, &pass.encoded.lengths, &labels, BLANK, true).sum);
        let ctc = pass.ctc_logits.map_or(0.0, ctc);
        let expected = match preset {
            // Two utterances, eight tokens.
            Preset::Paper | Preset::Official => (0.5 * attention + 0.5 * ctc) / 2.0,
            Preset::Hf => attention / 8.0,
        };
        // Float32.
        assert_eq!(pass.losses.get("asr/ctc").is_some(), preset != Preset::Hf);
        assert!((number(pass.losses.total) - expected).abs() < 1e-5 * expected, "{preset:?}");
    }
}

#[test]
pub fn what_ctc_cannot_align_counts_nothing_or_is_infinite() {
    // Half a second has 24 frames.
    let long: Vec<u32> = (0..30).map(|n| 5 + n % 7).chain([EOS]).collect();
    let input = Tokens::new(&[[&[EOS], &long[..30]].concat()], PAD, &device());
    let batch = AsrBatch { waveforms: waveforms(1), masks: SpeechMasks::default(), input, target: vec![long] };
    for preset in [Preset::Paper, Preset::Official] {
        let losses = AsrConfig::base(preset).pass(&model(preset), &batch, EOS, BLANK, false, Mode::Eval).losses;
        let expected = if preset == Preset::Official { f64::INFINITY } else { 0.0 };
        assert_eq!(losses.get("asr/ctc"), Some(expected));
        assert_eq!(losses.get("asr/ctc_infeasible"), Some(1.0));
    }
}

#[test]
pub fn labels_are_not_smoothed_unless_asked_for() {
    let batch = asr_batch();
    for preset in PRESETS {
        let recipe = AsrConfig::base(preset);
        let smoothed = AsrConfig { label_smoothing: 0.1, ..recipe.clone() };
        let pass = |recipe: &AsrConfig| recipe.pass(&model(preset), &batch, EOS, BLANK, false, Mode::Eval);
        let logits = activation::log_softmax(pass(&recipe).logits, 2);
        let [_, time, classes] = logits.dims();
        let scores = values(logits);
        let (mut nll, mut all) = (0.0, 0.0);
        for (item, target) in batch.target.iter().enumerate() {
            for (place, &token) in target.iter().enumerate() {
                let row = &scores[(item * time + place) * classes..][..classes];
                nll -= f64::from(row[token as usize]);
                all -= row.iter().map(|&score| f64::from(score)).sum::<f64>();
            }
        }
        let count = if preset == Preset::Hf { 8.0 } else { 2.0 };
        let each = 0.1 / (classes - 1) as f64;
        for (recipe, expected) in [(&recipe, nll), (&smoothed, (0.9 - each) * nll + each * all)] {
            let found = pass(recipe).losses.get("asr/cross_entropy").unwrap();
            // Float32.
            assert!((found - expected / count).abs() < 1e-4, "{found}, {}", expected / count);
        }
    }
}

/// Rates after numbers of updates.
#[track_caller]
fn has_rates(train: &TrainConfig, expected: &[(usize, f64)]) {
    for &(done, expected) in expected {
        let rate = train.schedule.rate(done, train.updates, train.learning_rate);
        // The check values of spec section 6 have five digits.
        assert!((rate - expected).abs() < 1e-4 * expected, "after {done}: {rate}");
    }
}

#[test]
pub fn synthesis_has_the_rate_of_its_source() {
    has_rates(
        &recipe::synthesis(Preset::Official),
        &[(5_000, 5e-5), (10_000, 1e-4), (40_000, 5e-5), (120_000, 2.8868e-5)],
    );
    for preset in [Preset::Paper, Preset::Hf] {
        has_rates(&recipe::synthesis(preset), &[(5_000, 2e-4), (10_000, 4e-4), (40_000, 2e-4)]);
        assert_eq!(recipe::synthesis(preset).updates, 120_000);
    }
}

#[test]
pub fn translation_has_the_warm_up_of_its_source() {
    has_rates(&recipe::translation(Preset::Official), &[(12_500, 1e-4), (25_000, 2e-4)]);
    for preset in [Preset::Paper, Preset::Hf] {
        has_rates(&recipe::translation(preset), &[(5_000, 1e-4), (10_000, 2e-4), (40_000, 1e-4)]);
    }
}

/// Identification of 64 utterances of two voices.
fn identification(preset: Preset, folder: &Path) -> Identification {
    let (config, model) = (SidConfig::base(preset), ModelConfig::base(preset));
    Identification::new(config, &model, dataset(folder, 32), 8, Key::new(1), device()).unwrap()
}

#[test]
pub fn identification_has_the_rate_and_batch_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let (peak, items, micro_batches) = match preset {
            Preset::Official => (2e-4, 8, 2),
            Preset::Paper | Preset::Hf => (5e-4, 64, 1),
        };
        has_rates(&recipe::identification(preset), &[(0, 1e-8), (15_000, peak / 2.0 + 5e-9), (30_000, peak)]);
        let objective = identification(preset, folder.path());
        assert_eq!(objective.micro_batches(), micro_batches);
        let batch = objective.prepare(BatchId::Train { update: 0, micro: 0 }).unwrap();
        assert_eq!(batch.utterances.len(), items, "{preset:?}");
    }
}

#[test]
pub fn identification_hears_segments_of_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let objective = identification(preset, folder.path());
        let heard = |id| {
            let batch = objective.prepare(id).unwrap();
            batch.sequences[0].padded / batch.utterances.len()
        };
        let expected = if preset == Preset::Official { [51_200, 76_800] } else { [48_000, 48_000] };
        let found = [heard(BatchId::Train { update: 0, micro: 0 }), heard(BatchId::Valid(0))];
        assert_eq!(found, expected, "{preset:?}");
    }
}

#[test]
pub fn a_speaker_is_a_product_with_the_state_behind_one_zero_vector() {
    for preset in PRESETS {
        let init = under(preset).initial(Key::new(2), &device());
        let model = SpeakerClassifier::new(model(preset), 32, 10, &init);
        let audio = waveforms(2);
        let encode = |model: &SpeechT5| {
            model.encode_speech(audio.samples.clone(), &audio.lengths, None, &SpeechMasks::default(), Mode::Eval)
        };
        let (memory, nothing) = (encode(&model.core), Tensor::zeros([2, 1, 32], &device()));
        let decoded =
            model.core.decoder.forward(nothing, &[1, 1], memory.states, &memory.lengths, false, Mode::Eval).states;
        let states: Tensor<2> = decoded.clone().squeeze_dim(1);
        let expected = states.matmul(model.head.projection.weight.val());
        let logits = model.forward(audio.samples.clone(), &audio.lengths, Mode::Eval);
        // Float32; and no bias.
        assert!(difference(logits, expected) < 1e-5);
        assert!(values(model.head.forward(decoded.zeros_like())).iter().all(|&logit| logit == 0.0));
    }
}

#[test]
pub fn recognition_decays_in_a_line_or_a_curve() {
    let common = [(0, 6e-7), (4_000, 3.03e-5), (8_000, 6e-5), (40_000, 6e-5), (80_000, 3e-6)];
    for preset in PRESETS {
        has_rates(&recipe::recognition(preset), &common);
        let decayed = if preset == Preset::Official { 1.3416e-5 } else { 3.15e-5 };
        has_rates(&recipe::recognition(preset), &[(60_000, decayed)]);
    }
}

#[test]
pub fn stop_labels_are_a_tail_or_the_last_frame() {
    // Seven frames, of which six make whole steps, and four.
    let mels = [Frames::new(vec![0.0; 7 * 80], 80), Frames::new(vec![0.0; 4 * 80], 80)];
    for preset in PRESETS {
        for labels in [TtsConfig::base(preset).loss.stop_labels, VcConfig::base(preset).loss.stop_labels] {
            let target = SpeechTarget::whole(&mels, 2, labels, &[vec![0.0; 4], vec![0.0; 4]], &device());
            let padding = if preset == Preset::Hf { 0.0 } else { 1.0 };
            let expected = [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, padding, padding]].concat();
            assert_eq!(values(target.stop), expected, "{preset:?}");
        }
    }
}

/// Recognition of 40 utterances.
fn recognition(config: AsrConfig, folder: &Path) -> Recognition {
    let model = ModelConfig { speaker: 4, ..ModelConfig::base(Preset::Paper) };
    Recognition::in_characters(config, model, dataset(folder, 20), 1, Key::new(1), device()).unwrap()
}

#[test]
pub fn recognition_is_masked_as_in_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        let objective = recognition(AsrConfig::base(preset), folder.path());
        let share = |mask: Vec<Vec<bool>>| {
            mask.concat().iter().filter(|&&masked| masked).count() as f64 / mask.concat().len() as f64
        };
        let (mut time, mut channel) = (0.0, 0.0);
        for update in 0..10 {
            let data = objective.prepare(BatchId::Train { update, micro: 0 }).unwrap().data;
            time += share(data.time_mask.unwrap()) / 10.0;
            channel += data.channel_mask.map_or(0.0, share) / 10.0;
        }
        // 18.7 spans of 10 in 249 frames leave (1 − 10/240)^18.7 = 45 %, six of 64 in 768 channels 0.91^6 = 57 %, and
        // all items are masked as little as the least masked of the batch; transformers masks two spans at least, 8 %,
        // and no channel.
        let (frames, channels) = if preset == Preset::Hf { (0.05..0.09, 0.0..0.001) } else { (0.45..0.6, 0.3..0.5) };
        assert!(frames.contains(&time) && channels.contains(&channel), "{preset:?}: {time}, {channel}");
        let valid = objective.prepare(BatchId::Valid(0)).unwrap().data;
        assert!(valid.time_mask.is_none() && valid.channel_mask.is_none());
    }
}

#[test]
pub fn the_weights_that_are_given_choose_the_vocoder() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    for (folder, kind) in [
        ("vocoders/parallel_wavegan", "parallel_wavegan"),
        ("vocoders/hifigan", "hifi_gan"),
        ("hf/hifigan", "hifi_gan"),
    ] {
        assert_eq!(Vocoder::open(fixtures.join(folder), &device().inner()).unwrap().kind(), kind);
    }
    let without = Vocoder::griffin_lim(LogMel::default());
    let tone: Vec<f32> = (0..8_000).map(|t| 0.3 * (t as f32 * 0.1).sin()).collect();
    let log_mel = LogMel::default().log_mel(&tone);
    let samples = without.samples(&log_mel, Key::new(1));
    assert_eq!((without.kind(), samples.len()), ("griffin_lim", 256 * (log_mel.len() - 1)));
}

#[test]
pub fn the_encoder_is_frozen_at_first_and_ctc_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), 2);
    for preset in PRESETS {
        let config = AsrConfig { batch_samples: SAMPLES, ctc: 0.5, ..AsrConfig::base(preset) };
        let (vocabulary, sizes) = (dataset.vocabulary.len(), under(preset));
        let model = sizes.init(vocabulary, PAD, &Regularisation::none(), Key::new(1), &device());
        let objective = Recognition::in_characters(config, sizes, dataset.clone(), 0, Key::new(1), device()).unwrap();
        let learns = |update| {
            let id = BatchId::Train { update, micro: 0 };
            let data = objective.prepare(id).unwrap().data;
            let gradients = objective.losses(&model, &data, id).unwrap().total.backward();
            let prenet = model.speech_encoder_prenet.projection.weight.val().grad(&gradients).is_some();
            let encoder = model.encoder.layers[0].feed_forward.inner.weight.val().grad(&gradients).is_some();
            let decoder = model.decoder.layers[0].feed_forward.inner.weight.val().grad(&gradients).is_some();
            [prenet, encoder, model.ctc.weight.val().grad(&gradients).is_some(), decoder]
        };
        let at_first = preset == Preset::Hf;
        assert_eq!(learns(0), [at_first, at_first, true, true], "{preset:?}");
        assert_eq!(learns(12_999), [at_first, at_first, true, true], "{preset:?}");
        assert_eq!(learns(13_000), [true; 4], "{preset:?}");

        let config = TtsConfig { batch_samples: SAMPLES, ..TtsConfig::base(preset) };
        let objective = ToSpeech::new(config, under(preset), dataset.clone(), 0, Key::new(1), device()).unwrap();
        let learns = |update| {
            let id = BatchId::Train { update, micro: 0 };
            let data = objective.prepare(id).unwrap().data;
            let gradients = objective.losses(&model, &data, id).unwrap().total.backward();
            let encoder = model.encoder.layers[0].feed_forward.inner.weight.val().grad(&gradients).is_some();
            [encoder, model.speech_decoder_prenet.first.weight.val().grad(&gradients).is_some()]
        };
        assert_eq!(learns(19_999), [at_first, true], "{preset:?}");
        assert_eq!(learns(20_000), [true; 2], "{preset:?}");
    }
}

/// Utterances of a training batch, and batches of an update.
fn sizes<M: Module>(objective: &impl Objective<M>) -> (usize, usize) {
    let batch = objective.prepare(BatchId::Train { update: 0, micro: 0 }).unwrap();
    (batch.utterances.len(), objective.micro_batches())
}

#[test]
pub fn batches_are_filled_up_to_the_limit_of_their_source() {
    let model = ModelConfig { speaker: 4, ..ModelConfig::base(Preset::Paper) };
    // Enough texts, each of two voices, for a whole number of batches under every preset.
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let corpus = |place: usize, texts: usize| dataset(folders[place].path(), texts);
    let [heard, read, paired, noisy] = [corpus(0, 30), corpus(1, 360), corpus(2, 64), corpus(3, 51)];
    for preset in PRESETS {
        let asr = AsrConfig::base(preset);
        let asr = Recognition::in_characters(asr, model.clone(), heard.clone(), 0, Key::new(1), device()).unwrap();
        let tts = TtsConfig::base(preset);
        let tts = ToSpeech::new(tts, model.clone(), read.clone(), 0, Key::new(1), device()).unwrap();
        let vc = VcConfig::base(preset);
        let vc = ToSpeech::new(vc, model.clone(), paired.clone(), 0, Key::new(1), device()).unwrap();
        let se = SeConfig::base(preset);
        let se = ToSpeech::new(se, model.clone(), noisy.clone(), 0, Key::new(1), device()).unwrap();
        let found = [sizes(&asr), sizes(&tts), sizes(&vc), sizes(&se)];
        let expected = match preset {
            Preset::Official => [(1_600_000, 2), (3_200_000, 1), (1_280_000, 3), (16_000 * 256, 1)],
            Preset::Paper | Preset::Hf => [(256_000, 1), (45_000 * 256, 1), (20_000 * 256, 1), (16_000 * 256, 1)],
        };
        assert_eq!(found, expected.map(|(samples, batches)| (samples / SAMPLES, batches)), "{preset:?}");
    }
}
