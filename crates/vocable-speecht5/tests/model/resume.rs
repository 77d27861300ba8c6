//! An interrupted run ends as an uninterrupted one, bit for bit: dropout, batch norm's running statistics and all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use vocable_nn::Mode;
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, SpeechT5};
use vocable_train::{
    Batch, BatchId, Event, Objective, ObjectiveError, OptimiserConfig, Record, Schedule, TrainConfig, TrainError,
    save_model,
};

use super::tiny::{PAD, VOCABULARY, config, device, vc_batch};

/// Conversion of one batch with all the noise of a real recipe.
struct Noisy(VcConfig);

impl Objective<SpeechT5> for Noisy {
    type Data = Key;

    fn prepare(&self, id: BatchId) -> Result<Batch<Key>, ObjectiveError> {
        let BatchId::Train { update, .. } = id else { panic!("there is nothing to validate on") };
        Ok(Batch {
            data: Key::new(3).fold(update),
            utterances: Vec::new(),
            sequences: Vec::new(),
            bytes: 0,
            left_out: Vec::new(),
        })
    }

    fn losses(&self, model: &SpeechT5, key: &Key, _: BatchId) -> Result<Losses, ObjectiveError> {
        Ok(self.0.pass(model, &vc_batch(), Some(key.fold("prenet")), Mode::Train(*key)).losses)
    }
}

fn run(folder: &Path, stop_after: Option<usize>) -> Result<SpeechT5, TrainError> {
    let recipe = VcConfig::base(Preset::Paper);
    let noisy = ModelConfig { prenet_dropout: 0.5, positional_dropout: 0.1, postnet_dropout: 0.5, ..config() };
    let model = noisy.init(VOCABULARY, PAD, &recipe.regularisation, Key::new(1), &device());
    let optimiser = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.1, clip: 1.0 };
    let train = TrainConfig::new(8, 1e-3, Schedule::InverseSqrt { warmup: 0.2 }, optimiser);
    let interrupt = AtomicBool::new(false);
    let mut observe = |event: Event| {
        if let Event::Recorded { record: Record::Update { update, .. }, .. } = event {
            interrupt.store(Some(*update) == stop_after, Ordering::Relaxed);
        }
    };
    vocable_train::train(&train, 1, model, &Noisy(recipe), folder, &interrupt, &mut observe)
}

#[test]
fn eight_updates_equal_three_and_five() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    save_model(&run(&whole, None).unwrap(), &folder.path().join("whole.safetensors")).unwrap();
    assert!(matches!(run(&parts, Some(3)), Err(TrainError::Interrupted { update: 3, .. })));
    save_model(&run(&parts, None).unwrap(), &folder.path().join("parts.safetensors")).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("whole.safetensors"), read("parts.safetensors"));
}
