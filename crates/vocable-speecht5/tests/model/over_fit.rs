//! One tiny batch of each task is learned by heart (spec section 13.8): every loss reaches every part it should.

use burn::module::Module;
use burn::optim::GradientsParams;
use vocable_nn::Mode;
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
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
        model = optimiser.step(model, gradients, 1, rate).0;
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
fn identification() {
    let core = config().init(VOCABULARY, PAD, &Regularisation::none(), Key::new(1), &device());
    let model = SpeakerClassifier::new(core, 32, 10, &config().initial(Key::new(2), &device()));
    let sound = waveforms(3);
    let terms = learn(model, 100, 3e-3, |model, mode| sid::pass(model, &sound, &[4, 6, 9], mode));
    assert!(last(&terms, "sid/cross_entropy") < 0.05, "{terms:?}");
    assert_eq!(last(&terms, "sid/accuracy"), 1.0);
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
