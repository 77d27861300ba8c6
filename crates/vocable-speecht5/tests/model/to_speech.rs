//! The tasks that end in speech, over recordings of the corpus that ships.

use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, Tolerance, activation};
use vocable_audio::{white_noise, write_wav};
use vocable_data::corpus::Corpus;
use vocable_data::manifest::{Manifest, Split, Utterance};
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_objectives::guided_attention_loss;
use vocable_random::Key;
use vocable_speecht5::batch::{Guide, Prediction, Waveforms};
use vocable_speecht5::data::Dataset;
use vocable_speecht5::se::{Noise, Noisy, SeConfig, SpeakerFrom};
use vocable_speecht5::to_speech::{Pair, SpeechInput, SpeechTaskConfig, ToSpeech};
use vocable_speecht5::tts::TtsConfig;
use vocable_speecht5::vc::{VcBatch, VcConfig};
use vocable_speecht5::{ModelConfig, ModelError, Preset, Regularisation, SpeechT5};
use vocable_train::{BatchId, Objective};

use super::small::dataset;
use super::tiny::{PAD, VOCABULARY, config, device, target, under, vc_batch};

fn model_config() -> ModelConfig {
    ModelConfig { speaker: 160, ..config() }
}

fn model(dataset: &Dataset) -> SpeechT5 {
    let vocabulary = &dataset.vocabulary;
    model_config().init(vocabulary.len(), vocabulary.pad(), &Regularisation::none(), Key::new(1), &device())
}

fn objective<I: SpeechInput>(recipe: SpeechTaskConfig<I>, dataset: &Arc<Dataset>) -> ToSpeech<I> {
    let recipe = SpeechTaskConfig { batch_samples: 6 * 16_000, ..recipe };
    ToSpeech::new(recipe, model_config(), Arc::clone(dataset), 2, Key::new(3), device()).unwrap()
}

/// How many parameters of a module have gradients, and how many there are.
struct Reached<'a>(&'a GradientsParams, usize, usize);

impl ModuleVisitor for Reached<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1 += usize::from(self.0.get::<D>(param.id).is_some());
        self.2 += 1;
    }
}

fn reached(module: &impl Module, gradients: &GradientsParams) -> (usize, usize) {
    let mut visitor = Reached(gradients, 0, 0);
    module.visit(&mut visitor);
    (visitor.1, visitor.2)
}

/// One update and one validation of a task, its terms by name; frozen in the first update alone.
fn trains<I: SpeechInput>(recipe: SpeechTaskConfig<I>, dataset: &Arc<Dataset>) {
    let objective = objective(SpeechTaskConfig { freeze_encoder_updates: 1, ..recipe }, dataset);
    let model = model(dataset);
    for update in [0, 1] {
        let id = BatchId::Train { update, micro: 0 };
        let batch = objective.prepare(id).unwrap();
        let losses = objective.losses(&model, &batch.data, id).unwrap();
        let names: Vec<&str> = losses.terms.iter().map(|(name, _)| name.split_once('/').unwrap().1).collect();
        assert_eq!(names, ["spectrogram_before", "spectrogram_after", "stop", "guided_attention"]);
        assert!(losses.terms.iter().all(|(name, value)| name.starts_with(I::TASK) && value.is_finite()));
        let gradients = GradientsParams::from_grads(losses.total.backward(), &model);
        let (encoder, all) = reached(&model.encoder, &gradients);
        // The keys' bias moves all scores of a query alike, but it is in the graph all the same.
        assert_eq!(encoder, if update == 0 { 0 } else { all }, "{} update {update}", I::TASK);
        let (decoder, all) = reached(&model.decoder, &gradients);
        assert_eq!(decoder, all, "{} update {update}", I::TASK);
    }
    let id = BatchId::Valid(0);
    let valid = |objective: &ToSpeech<I>| {
        let batch = objective.prepare(id).unwrap();
        objective.losses(&model.valid(), &batch.data, id).unwrap().terms
    };
    assert_eq!(valid(&objective), valid(&objective), "validation is the same every time");
}

#[test]
fn every_task_trains_and_freezes() {
    let dataset = dataset();
    trains(TtsConfig::base(Preset::Paper), &dataset);
    trains(VcConfig::base(Preset::Paper), &dataset);
    for predict in [Prediction::Target, Prediction::Masking, Prediction::Delta] {
        let recipe = SeConfig::base(Preset::Paper);
        trains(SeConfig { input: Noisy { predict, ..recipe.input.clone() }, ..recipe }, &dataset);
    }
}

#[test]
fn texts_beyond_the_limit_are_left_out_and_named() {
    let dataset = dataset();
    let longest = dataset.split(Split::Train).into_iter().max_by_key(|&index| dataset.tokens(index).len()).unwrap();
    let mut recipe = TtsConfig::base(Preset::Paper);
    recipe.input.max_tokens = dataset.tokens(longest).len();
    let limited = objective(recipe.clone(), &dataset);
    let notes = limited.notes();
    assert!(notes.iter().any(|note| note.contains("tts.task.input")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains(&dataset.utterance(longest).id)), "{notes:?}");
    // What is not learnt can be said all the same.
    assert!(limited.test(Split::Train).iter().any(|pair| pair.source == longest));
    // Without the end it is as long as the limit.
    recipe.input.append_eos = false;
    assert_eq!(objective(recipe, &dataset).notes(), [""; 0]);
}

#[test]
fn guided_attention_counts_the_frames_of_the_convolutions_whatever_the_padding_rule() {
    let model = under(Preset::Official).init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let input = Waveforms::new(&[15_111, 12_200].map(|samples| white_noise(samples, Key::new(2))), &device());
    let batch = VcBatch { input, target: target(2) };
    let (samples, masks) = (batch.input.samples.clone(), SpeechMasks::default());
    let encoded = model.encode_speech(samples, &batch.input.lengths, None, &masks, Mode::Eval);
    assert_eq!(encoded.lengths, [46, 38], "the chunk rule");
    let (read, steps) = (batch.target.input.clone(), &batch.target.steps);
    let (speaker, lengths) = (Some(batch.target.speaker.clone()), &encoded.lengths);
    let decoded = model.decode_speech(read, steps, speaker, encoded.states, lengths, None, true, Mode::Eval);
    let guide = |positions: &[usize]| -> f64 {
        guided_attention_loss(&decoded.cross_weights, steps, positions, 2).into_scalar::<f32>().into()
    };
    let losses = VcConfig::base(Preset::Official).pass(&model, &batch, None, Mode::Eval).losses;
    let found = losses.get("vc/guided_attention").unwrap();
    // The same operations on 0.0075; one position more changes a thousandth of it.
    assert!((found - guide(&[46, 37])).abs() < 1e-7, "{found} {}", guide(&[46, 37]));
    assert!((found - guide(&[46, 38])).abs() > 5e-6, "{found} {}", guide(&[46, 38]));
}

/// Power of the noise in a mixture below that of the speech, in dB.
fn ratio(speech: &[f32], mixture: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let noise = power(&mut mixture.iter().zip(speech).map(|(m, s)| f64::from(m - s)));
    10.0 * (power(&mut speech.iter().map(|&s| f64::from(s))) / noise).log10()
}

#[test]
fn mixtures_have_the_stated_ratios_and_repeat() {
    let dataset = dataset();
    let index = dataset.split(Split::TestClean)[0];
    let speech = dataset.corpus.audio(index).unwrap();
    for noise in [Noise::White, Noise::Babble] {
        let input = Noisy { noise, snr: [-2.0, 5.0], speaker: SpeakerFrom::Zero, predict: Prediction::Target };
        let mix = |key: u64| input.mixture(&dataset, index, Key::new(key)).unwrap();
        assert_eq!(mix(1), mix(1));
        let ratios: Vec<f64> = (0..20).map(|key| ratio(&speech, &mix(key))).collect();
        // Single-precision sums.
        assert!(ratios.iter().all(|ratio| (-2.001..5.001).contains(ratio)), "{noise:?}: {ratios:?}");
        assert!(ratios.iter().any(|&ratio| ratio < 0.0) && ratios.iter().any(|&ratio| ratio > 3.0), "{ratios:?}");
    }
}

#[test]
fn the_decoder_is_told_the_voice_that_was_asked_for() {
    let dataset = dataset();
    let index = dataset.split(Split::TestClean)[0];
    let told = |speaker, key| {
        let (input, pairs) = (Noisy { speaker, ..SeConfig::base(Preset::Paper).input }, [Pair::same(index)]);
        let data = input.read(&dataset, &pairs, Key::new(key)).unwrap();
        let heard = input.mixture(&dataset, index, Key::new(key)).unwrap();
        (input.voices(&dataset, &pairs, &data).unwrap().remove(0), dataset.voice_of(&heard))
    };
    assert_eq!(SeConfig::base(Preset::Paper).input.speaker, SpeakerFrom::Noisy);
    assert_eq!(told(SpeakerFrom::Zero, 1).0, [0.0; 160]);
    assert_eq!(told(SpeakerFrom::Utterance, 1).0, dataset.speaker_vectors(&[index]).unwrap()[0]);
    let (noisy, heard) = told(SpeakerFrom::Noisy, 1);
    assert_eq!(noisy, heard);
    assert_ne!(noisy, told(SpeakerFrom::Noisy, 2).0);
}

#[test]
fn noise_is_of_the_part_that_the_utterance_plays() {
    let folder = tempfile::tempdir().unwrap();
    let recording = |name: &str, samples: usize, split: Split| {
        let file = format!("{name}.wav");
        write_wav(folder.path().join(&file), &white_noise(samples, Key::new(1)), 16_000).unwrap();
        Utterance { seconds: samples as f64 / 16_000.0, ..Utterance::new(name, file, "noise", split) }
    };
    let recordings = |utterances| {
        let corpus = Corpus::new(Manifest { path: folder.path().join("manifest.jsonl"), utterances });
        Arc::into_inner(dataset()).unwrap().in_noise(corpus)
    };
    let input = Noisy { noise: Noise::Recordings, ..SeConfig::base(Preset::Paper).input };
    let mix = |dataset: &Dataset, split: Split| {
        let index = dataset.split(split)[0];
        let speech = dataset.corpus.audio(index).unwrap();
        let mixture = input.mixture(dataset, index, Key::new(7))?;
        Ok::<_, ModelError>(mixture.iter().zip(&*speech).map(|(m, s)| m - s).collect::<Vec<f32>>())
    };

    // Repeated recordings are known by their length; a test's may be of either test split.
    let dataset = recordings(vec![recording("train", 900, Split::Train), recording("test", 700, Split::TestOther)]);
    for (split, period) in [(Split::Train, 900), (Split::TestClean, 700)] {
        let noise = mix(&dataset, split).unwrap();
        let power: f32 = noise.iter().map(|value| value * value).sum();
        let change: f32 = noise.iter().zip(&noise[period..]).map(|(a, b)| (a - b).powi(2)).sum();
        // What is left is the rounding of the sum with the speech.
        assert!(power > 0.0 && change < 1e-6 * power, "{split}: {change} of {power}");
    }
    let lacking = mix(&dataset, Split::Valid).unwrap_err().to_string();
    assert!(lacking.starts_with("se: there is no recording of noise for `valid`"), "{lacking}");
}

#[test]
fn predictions_relative_to_the_noisy_log_mel_mean_what_they_say() {
    let model = config().init(16, 1, &Regularisation::none(), Key::new(1), &device());
    let noisy: Tensor<3> = target(2).frames * 0.5 - 1.0;
    let recipe = VcConfig::base(Preset::Paper);
    for prediction in [Prediction::Masking, Prediction::Delta] {
        let mut batch = vc_batch();
        batch.target = target(2).guided(Guide::new(prediction, noisy.clone()));
        // The decoder reads the second frame of every step.
        let [_, steps, _] = batch.target.input.dims();
        for step in [0, steps - 1] {
            let read = batch.target.input.clone().narrow(1, step, 1).into_data();
            assert_eq!(read, noisy.clone().narrow(1, 2 * step + 1, 1).into_data());
        }
        let pass = recipe.pass(&model, &batch, None, Mode::Eval);
        let (raw, _) = model.speech_decoder_postnet.step(pass.states);
        let meant = match prediction {
            Prediction::Masking => activation::sigmoid(raw) * noisy.clone(),
            _ => raw + noisy.clone(),
        };
        // The same operations in the same order.
        pass.output.before.into_data().assert_approx_eq::<f32>(&meant.into_data(), Tolerance::absolute(1e-6));
    }
    assert!(Guide::new(Prediction::Target, noisy).is_none());
}

#[test]
fn speech_is_generated_for_what_was_asked() {
    let dataset = dataset();
    let model = model(&dataset).valid();
    let pairs = |pairs: Vec<Pair>| pairs.into_iter().map(|pair| pair.source).collect::<Vec<_>>();
    for predict in [Prediction::Target, Prediction::Masking] {
        let mut recipe = SeConfig::base(Preset::Paper);
        (recipe.input.predict, recipe.limits.max_ratio) = (predict, 0.5);
        let objective = objective(recipe, &dataset);
        let test = objective.test(Split::TestClean);
        assert_eq!(pairs(test.clone()), dataset.split(Split::TestClean));
        let mut done = 0;
        let counted = |count| -> Result<(), ModelError> {
            done = count;
            Ok(())
        };
        let spoken = objective.generate(&model, &test, 1, counted).unwrap();
        assert_eq!(done, test.len());
        for (pair, spoken) in test.iter().zip(&spoken) {
            assert_eq!(*pair, spoken.pair);
            let frames = dataset.mel(pair.target).unwrap().len();
            match predict {
                // One pass over the noisy log-mel, cut to whole steps.
                Prediction::Masking => assert_eq!(spoken.mel.len(), frames / 2 * 2),
                _ => assert!((1..frames).contains(&spoken.mel.len())),
            }
            let heard = objective.heard(*pair).unwrap().expect("enhancement hears");
            assert_ne!(heard, dataset.corpus.audio(pair.source).unwrap());
        }
    }
    let read = objective(TtsConfig::base(Preset::Paper), &dataset);
    assert!(read.heard(read.test(Split::TestClean)[0]).unwrap().is_none(), "synthesis reads");
}
