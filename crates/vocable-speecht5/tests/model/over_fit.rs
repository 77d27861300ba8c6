//! One tiny batch of each task is learned by heart (spec section 13.8): every loss reaches every part it should.

use burn::module::Module;
use burn::optim::GradientsParams;
use vocable_nets::Tokens;
use vocable_nn::Mode;
use vocable_objectives::{Losses, Margin};
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::batch::{Guide, Prediction};
use vocable_speecht5::se::{Noisy, SeConfig};
use vocable_speecht5::st::StConfig;
use vocable_speecht5::to_speech::SpeechBatch as SeBatch;
use vocable_speecht5::tts::{TtsBatch, TtsConfig};
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{Preset, Regularisation, SpeakerClassifier, sid};
use vocable_train::{Optimiser, OptimiserConfig};

use super::tiny::*;

/// Trains on one batch; returns the first and the last value of every term.
fn learn<M: Module>(
    mut model: M,
    updates: usize,
    rate: f64,
    loss: impl Fn(&M, Mode) -> Losses,
) -> Vec<(String, f64, f64)> {
    let recipe = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.0, clip: 1.0 };
    let mut optimiser = Optimiser::new(&recipe);
    let mut first = None;
    let mut last = Vec::new();
    for update in 0..updates {
        let losses = loss(&model, Mode::Train(Key::new(9).fold(update)));
        let gradients = GradientsParams::from_grads(losses.total.backward(), &model);
        model = optimiser.step(model, gradients, 1.0, rate).0;
        first.get_or_insert_with(|| losses.terms.clone());
        last = losses.terms;
    }
    let first = first.unwrap();
    first.into_iter().zip(last).map(|((name, first), (_, last))| (name, first, last)).collect()
}

fn last(terms: &[(String, f64, f64)], name: &str) -> f64 {
    terms.iter().find(|(term, ..)| term == name).unwrap_or_else(|| panic!("{name} is not reported")).2
}

#[test]
fn recognition() {
    let recipe = AsrConfig { regularisation: Regularisation::none(), ..AsrConfig::base(Preset::Paper) };
    let model = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let batch = asr_batch();
    let terms = learn(model, 200, 3e-3, |model, mode| recipe.pass(model, &batch, EOS, BLANK, false, mode).losses);
    // Sums over about four tokens of an utterance, from 10 to 12 nats at first.
    assert!(last(&terms, "asr/cross_entropy") < 0.2, "{terms:?}");
    assert!(last(&terms, "asr/ctc") < 0.5, "{terms:?}");
    assert_eq!(last(&terms, "asr/accuracy"), 1.0);
}

#[test]
pub fn conversion() {
    let recipe = VcConfig { regularisation: Regularisation::none(), ..VcConfig::base(Preset::Paper) };
    let model = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let batch = vc_batch();
    let terms = learn(model, 300, 3e-3, |model, mode| recipe.pass(model, &batch, None, mode).losses);
    // Tones have log-mels of about −3 on average: a mean error of a tenth is a drawing of them.
    for name in ["vc/spectrogram_before", "vc/spectrogram_after"] {
        assert!(last(&terms, name) < 0.15, "{terms:?}");
    }
    assert!(last(&terms, "vc/stop") < 0.05, "{terms:?}");
}

#[test]
fn translation() {
    let base = StConfig::base(Preset::Paper);
    let recipe = StConfig { regularisation: Regularisation::none(), label_smoothing: 0.0, ..base };
    let model = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let batch = asr_batch();
    let terms = learn(model, 200, 3e-3, |model, mode| recipe.pass(model, &batch, EOS, BLANK, false, mode).losses);
    // A sum over about four tokens of an utterance.
    assert!(last(&terms, "st/cross_entropy") < 0.2, "{terms:?}");
    assert_eq!(last(&terms, "st/accuracy"), 1.0);
}

#[test]
fn synthesis() {
    let recipe = TtsConfig { regularisation: Regularisation::none(), ..TtsConfig::base(Preset::Paper) };
    let model = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let texts: [Vec<u32>; 2] = [vec![5, 6, 7, 6, EOS], vec![8, 9, EOS]];
    let batch = TtsBatch { input: Tokens::new(&texts, PAD, &device()), target: target(2) };
    let terms = learn(model, 300, 3e-3, |model, mode| recipe.pass(model, &batch, None, mode).losses);
    // As in conversion.
    for name in ["tts/spectrogram_before", "tts/spectrogram_after"] {
        assert!(last(&terms, name) < 0.15, "{terms:?}");
    }
    assert!(last(&terms, "tts/stop") < 0.05, "{terms:?}");
}

#[test]
fn enhancement() {
    for predict in [Prediction::Target, Prediction::Masking, Prediction::Delta] {
        let base = SeConfig::base(Preset::Paper);
        let input = Noisy { predict, ..base.input.clone() };
        let recipe = SeConfig { regularisation: Regularisation::none(), input, ..base };
        let model = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
        // A mask of a half, or the negative of a half, is what makes the target of this.
        let clean = target(2);
        let noisy = clean.frames.clone().mul_scalar(2.0);
        let batch = SeBatch { input: waveforms(2), target: clean.guided(Guide::new(predict, noisy)) };
        let terms = learn(model, 300, 3e-3, |model, mode| recipe.pass(model, &batch, None, mode).losses);
        for name in ["se/spectrogram_before", "se/spectrogram_after"] {
            assert!(last(&terms, name) < 0.15, "{predict:?}: {terms:?}");
        }
        assert!(last(&terms, "se/stop") < 0.05, "{predict:?}: {terms:?}");
    }
}

#[test]
fn identification() {
    let core = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let model = SpeakerClassifier::new(core, 32, 10, &config().initial(Key::new(2), &device()));
    let sound = waveforms(3);
    for margin in [None, Some(Margin::usual()), Some(Margin::AamSoftmax { margin: 0.2, scale: 30.0 })] {
        let terms = learn(model.clone(), 100, 3e-3, |model, mode| sid::pass(model, &sound, &[4, 6, 9], margin, mode));
        assert!(last(&terms, "sid/cross_entropy") < 0.05, "{margin:?}: {terms:?}");
        assert_eq!(last(&terms, "sid/accuracy"), 1.0);
    }
}

#[test]
fn pretraining_on_speech_and_text() {
    let recipe = pretraining();
    let model = pretrainer(&recipe);
    let (speech, text) = (speech_batch(), text_batch());
    let part = recipe.speech.clone().unwrap();
    let terms = learn(model, 250, 3e-3, |model, mode| {
        let (hear, _) = model.speech(&recipe, &part, &speech, 0, mode.fold("speech"), None);
        let (read, _) = model.text(&recipe, &text, 0, mode.fold("text"), None);
        Losses { total: hear.total + read.total, terms: [hear.terms, read.terms].concat() }
    });
    assert!(last(&terms, "speech/mlm") < 0.3, "{terms:?}");
    assert!(last(&terms, "speech/spectrogram_after") < 0.3, "{terms:?}");
    // A tenth of the states is replaced by codes, which costs some certainty.
    assert!(last(&terms, "text/cross_entropy") < 0.3, "{terms:?}");
}
