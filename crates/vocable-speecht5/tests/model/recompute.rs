//! Layers that run again in the backward pass give the losses and gradients of those that keep everything, bit for bit.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use vocable_nn::{Mode, NormPlacement};
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, Pretrainer, Regularisation, SpeechT5};
use vocable_train::memory::memory;

use super::tiny::{
    BLANK, CLUSTERS, EOS, PAD, VOCABULARY, asr_batch, config, device, pretraining, speech_batch, text_batch, vc_batch,
};

/// Dropout everywhere, and layers that are skipped.
fn noisy() -> Regularisation {
    Regularisation::new(0.1, 0.1, [0.2, 0.2], 1.0)
}

/// Deep enough for sums over layers to depend on their order, with relative positions in both stacks.
fn deep(norm: NormPlacement, recompute: bool) -> ModelConfig {
    ModelConfig {
        norm,
        encoder_layers: 4,
        decoder_layers: 4,
        decoder_relative_position: Some(8),
        positional_dropout: 0.1,
        recompute,
        ..config()
    }
}

/// Terms, and the gradients of all parameters in the order of a visit.
type Outcome = (Vec<(String, f64)>, Vec<Option<Vec<f32>>>);

fn outcome<M: Module>(model: &M, losses: Losses) -> Outcome {
    struct All(GradientsParams, Vec<Option<Vec<f32>>>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push(self.0.get::<D>(param.id).map(|gradient| gradient.try_into_vec_as().unwrap()));
        }
    }
    let mut all = All(GradientsParams::from_grads(losses.total.backward(), model), Vec::new());
    model.visit(&mut all);
    (losses.terms, all.1)
}

fn compare(name: &str, outcome: impl Fn(NormPlacement, bool) -> Outcome) {
    for norm in [NormPlacement::Post, NormPlacement::Pre] {
        let (kept, again) = (outcome(norm, false), outcome(norm, true));
        assert_eq!(kept.0, again.0, "{name}, {norm:?}");
        assert!(kept.1.iter().flatten().count() > 50, "{name}: hardly any gradient");
        for (n, (kept, again)) in kept.1.iter().zip(&again.1).enumerate() {
            assert!(kept == again, "{name}, {norm:?}: the gradients of parameter {n} differ");
        }
    }
}

fn core(norm: NormPlacement, recompute: bool) -> SpeechT5 {
    deep(norm, recompute).init(VOCABULARY, PAD, &noisy(), Key::new(1), &device())
}

fn pretrainer(norm: NormPlacement, recompute: bool) -> (PretrainConfig, Pretrainer) {
    let task = PretrainConfig { regularisation: noisy(), ..pretraining() };
    let model = Pretrainer::new(&deep(norm, recompute), &task, VOCABULARY, PAD, CLUSTERS, Key::new(1), &device());
    (task, model)
}

#[test]
fn recognition_is_the_same() {
    let task = AsrConfig::base(Preset::Paper);
    compare("recognition", |norm, recompute| {
        let model = core(norm, recompute);
        let pass = task.pass(&model, &asr_batch(), EOS, BLANK, false, Mode::Train(Key::new(2)));
        outcome(&model, pass.losses)
    });
}

#[test]
fn conversion_is_the_same() {
    // The decoder's attention weights are guided: it keeps what it computes.
    let task = VcConfig::base(Preset::Paper);
    compare("conversion", |norm, recompute| {
        let model = core(norm, recompute);
        let noise = Some(Key::new(4));
        outcome(&model, task.pass(&model, &vc_batch(), noise, Mode::Train(Key::new(2))).losses)
    });
}

#[test]
fn pretraining_on_speech_is_the_same() {
    compare("speech", |norm, recompute| {
        let (task, model) = pretrainer(norm, recompute);
        let part = task.speech.as_ref().unwrap();
        outcome(&model, model.speech(&task, part, &speech_batch(), 0, Mode::Train(Key::new(2)), None).0)
    });
}

#[test]
fn pretraining_on_text_is_the_same() {
    compare("text", |norm, recompute| {
        let (task, model) = pretrainer(norm, recompute);
        outcome(&model, model.text(&task, &text_batch(), 0, Mode::Train(Key::new(2)), None).0)
    });
}

#[test]
fn a_frozen_encoder_hears_the_same_and_learns_nothing() {
    let task = AsrConfig::base(Preset::Paper);
    let model = core(NormPlacement::Post, false);
    let pass = |frozen| task.pass(&model, &asr_batch(), EOS, BLANK, frozen, Mode::Train(Key::new(2)));
    let (free, frozen) = (pass(false), pass(true));
    assert_eq!(free.losses.terms, frozen.losses.terms);
    let gradients = GradientsParams::from_grads(frozen.losses.total.backward(), &model);
    let encoder = [model.encoder.norm.weight.id, model.speech_encoder_prenet.norm.weight.id];
    assert!(encoder.into_iter().all(|id| gradients.get::<1>(id).is_none()));
    assert!(gradients.get::<2>(model.ctc.weight.id).is_some());
    let mut layers = model.decoder.layers.iter();
    assert!(layers.any(|layer| gradients.get::<2>(layer.cross_attention.key.weight.id).is_some()));
}

#[test]
fn what_does_not_learn_leaves_nothing_behind() {
    let task = AsrConfig::base(Preset::Paper);
    let still = Regularisation { extractor_gradient: 0.0, ..noisy() };
    let models = [(core(NormPlacement::Post, false), true), {
        let model = config().init(VOCABULARY, PAD, &still, Key::new(1), &device());
        (model, false)
    }];
    for (model, frozen) in models {
        let update = |n: usize| {
            let pass = task.pass(&model, &asr_batch(), EOS, BLANK, frozen, Mode::Train(Key::new(2).fold(n)));
            drop(pass.losses.total.backward());
        };
        (0..20).for_each(update);
        let before = memory().expect("this is Linux").resident;
        (0..150).for_each(update);
        let grown = memory().unwrap().resident.saturating_sub(before);
        // A graph of the extractor is about 2 MB here; other tests run in this process meanwhile.
        assert!(grown < 60 << 20, "{} MB after 150 updates", grown >> 20);
    }
}
