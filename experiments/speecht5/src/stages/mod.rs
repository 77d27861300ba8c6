//! What the stages of all recipes share: the device, the step loop under the lab's eyes, starting weights.

pub mod asr;
pub mod data;
pub mod pretrain;
pub mod sid;
pub mod units;
pub mod vc;

use std::path::Path;

use anyhow::Context;
use burn::module::Module;
use burn::tensor::Device;
use vocable_lab::{Interrupted, StageRun};
use vocable_random::Key;
use vocable_speecht5::{ModelConfig, Regularisation, SpeechT5};
use vocable_text::CharVocabulary;
use vocable_train::{Checkpoint, Checkpoints, Event, Objective, Record, TrainConfig, TrainError, load_model};

/// Where a finished training stage leaves its weights.
pub const MODEL: &str = "model.safetensors";

/// The device of the build's features, with autodiff.
pub fn device() -> Device {
    #[cfg(feature = "cuda")]
    let device = Device::cuda(0);
    #[cfg(all(feature = "wgpu", not(feature = "cuda")))]
    let device = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    let device = Device::flex();
    device.autodiff()
}

/// The pre-trained core if there is one, else initial weights.
pub fn starting_point(
    run: &StageRun,
    pretrained: bool,
    config: &ModelConfig,
    vocabulary: &CharVocabulary,
    regularisation: &Regularisation,
    key: Key,
) -> anyhow::Result<SpeechT5> {
    let model = config.init(vocabulary.len(), vocabulary.pad(), regularisation, key.fold("model"), &device());
    match pretrained {
        true => Ok(load_model(model, &run.input("pretrain").join(MODEL))?),
        false => Ok(model),
    }
}

/// Runs the step loop in a stage's directory with its progress, and returns the best or else the last model.
pub fn train<M: Module, O: Objective<M>>(
    run: &StageRun,
    config: &TrainConfig,
    model: M,
    objective: &O,
) -> anyhow::Result<M> {
    run.progress().start(config.updates as u64, "updates");
    let interrupt = run.interrupt_flag();
    let mut log_error = None;
    let mut observe = |event: Event| {
        if let Err(error) = hear(run, &event) {
            log_error.get_or_insert(error);
        }
    };
    let trained = vocable_train::train(config, model, objective, run.dir(), &interrupt, &mut observe);
    if let Some(error) = log_error {
        return Err(error);
    }
    match trained {
        Err(TrainError::Interrupted { .. }) => Err(Interrupted.into()),
        Err(error) => Err(error.into()),
        Ok(model) if config.best.is_some() => best(&run.checkpoints(), model),
        Ok(model) => Ok(model),
    }
}

/// The weights of the best checkpoint.
fn best<M: Module>(checkpoints: &Path, model: M) -> anyhow::Result<M> {
    let all = Checkpoints::open(checkpoints)?;
    let newest = all.newest_intact(|_, _| {})?.context("a finished run has a checkpoint")?;
    match newest.state.best {
        None => Ok(model),
        Some(best) => {
            let path = all.path(best.update);
            let best = Checkpoint::read(&path).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display()))?;
            Ok(best.restore_model(model)?)
        }
    }
}

/// Shows and logs what happens in a step loop.
fn hear(run: &StageRun, event: &Event) -> anyhow::Result<()> {
    match event {
        Event::Damaged { path, reason } => run.log(format!("passed over {}: {reason}", path.display()))?,
        Event::Started { update, from } => {
            let from = from.map_or("initial weights".to_owned(), |path| path.display().to_string());
            run.log(format!("starting after update {update} from {from}"))?;
        }
        Event::Recorded { record: Record::Update { update, loss, .. }, .. } => {
            run.progress().step(*update as u64, format!("loss {loss:.3}"));
        }
        Event::Recorded { record: Record::Skipped { update, reason, .. }, .. } => {
            run.log(format!("update {update} skipped: {reason}"))?;
        }
        Event::Recorded { record: Record::Validation { update, numbers, seconds }, .. } => {
            let numbers: Vec<String> = numbers.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            run.log(format!("update {update}: {} ({seconds:.1} s)", numbers.join(", ")))?;
        }
        Event::Saved { path } => run.log(format!("saved {}", path.display()))?,
    }
    Ok(())
}
