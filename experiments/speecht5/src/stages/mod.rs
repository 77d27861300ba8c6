//! What the stages of all recipes share: the device, the step loop under the lab's eyes, starting weights.

pub mod asr;
pub mod checkpoint;
pub mod data;
pub mod decoder;
pub mod hubert;
pub mod judge;
pub mod lm;
pub mod picture;
pub mod pretrain;
pub mod scored;
pub mod sid;
pub mod speech;
pub mod st;
pub mod units;

use std::sync::Arc;

use anyhow::bail;
use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;
use vocable_lab::{Interrupted, Stage, StageRun};
use vocable_random::Key;
use vocable_speecht5::data::Dataset;
use vocable_speecht5::{ModelConfig, Regularisation, SpeechT5};
use vocable_text::CharVocabulary;
use vocable_train::{
    Checkpoints, Event, EventWriter, Objective, Outcome, Record, TrainConfig, TrainError, load_model, ranks,
    train_together,
};

use self::data::Datasets;
use crate::config::{Recipe, RunConfig};
use crate::pipeline::Inputs;

/// Where a finished training stage leaves its weights.
pub const MODEL: &str = "model.safetensors";

/// The kind of device that the build's features choose.
pub const DEVICE: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "wgpu") {
    "wgpu"
} else {
    "flex"
};

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

/// A fine-tuning stage: from pre-trained weights, or initial ones where there is no pre-training, to trained ones.
///
/// `heard` bounds the samples and utterances of an update, for the estimate. `learn` gets the model to start from, the
/// corpus and the run's key, and leaves its weights under [`MODEL`].
pub fn finetune<T: Serialize>(
    kind: impl Into<String>,
    c: &RunConfig,
    recipe: &Recipe<T>,
    regularisation: &Regularisation,
    heard: (usize, usize),
    inputs: Inputs,
    datasets: &Arc<Datasets>,
    learn: impl Fn(&StageRun, SpeechT5, Arc<Dataset>, Key) -> anyhow::Result<()> + Send + Sync + 'static,
) -> Arc<Stage> {
    let (model, seed, datasets) = (c.trained_model(), c.seed, Arc::clone(datasets));
    let stage = Stage::new(kind, 2, (&model, recipe, seed, c.evaluation.validation))
        .input("prepare", &inputs.prepare)
        .input_if_any("noise", inputs.noise.as_ref())
        .input_if_any("pretrain", inputs.pretrain.as_ref())
        .input_if_any("vocabulary", inputs.vocabulary.as_ref())
        .cost(inputs.cost.of(&recipe.train, heard.0, heard.1));
    let (pretrained, regularisation) = (inputs.pretrain.is_some(), regularisation.clone());
    stage.run(move |run| {
        let dataset = datasets.open(run, model.speaker)?;
        let (key, vocabulary) = (Key::new(seed), &dataset.vocabulary);
        let initial = key.fold("model");
        let start = model.init(vocabulary.len(), vocabulary.pad(), &regularisation, initial, &device());
        let start = match pretrained {
            true => load_model(start, &run.input("pretrain").join(MODEL))?,
            false => start,
        };
        learn(run, start, dataset, key)
    })
}

/// The model that the stage behind an input trained, for inference.
pub fn trained(
    run: &StageRun,
    input: &str,
    config: &ModelConfig,
    dataset: &Dataset,
    seed: u64,
) -> anyhow::Result<SpeechT5> {
    weights(run, input, initial(config, &dataset.vocabulary, seed))
}

/// A model with the initial weights of a seed, in the characters of a corpus, for inference.
pub fn initial(config: &ModelConfig, vocabulary: &CharVocabulary, seed: u64) -> SpeechT5 {
    let key = Key::new(seed).fold("model");
    config.init(vocabulary.len(), vocabulary.pad(), &Regularisation::none(), key, &device().inner())
}

/// A model for inference, with the weights that the stage behind an input trained.
pub fn weights(run: &StageRun, input: &str, model: SpeechT5) -> anyhow::Result<SpeechT5> {
    Ok(load_model(model, &run.input(input).join(MODEL))?.valid())
}

/// Runs the step loop in a stage's directory with its progress, and returns the model that the recipe takes for the result.
///
/// Where this process has joined an MPI job, its ranks share the updates: rank 0 announces the stage, and the others, which
/// run the same body, end here with [`Interrupted`].
pub fn train<M: Module, O: Objective<M>>(
    run: &StageRun,
    config: &TrainConfig,
    seed: u64,
    model: M,
    objective: &O,
) -> anyhow::Result<M> {
    if matches!(config.outcome, Outcome::Best(_)) && objective.validation_batches() == 0 {
        bail!(
            "the best checkpoint is chosen on the `valid` split, which has nothing for this task (or evaluation.validation is \
             0): add utterances to it, or take the last checkpoint with TASK.train.outcome.kind=last"
        );
    }
    let (ranks, interrupt) = (ranks::joined(), run.interrupt_flag());
    if ranks.rank() > 0 {
        // Rank 0 hears of what goes wrong here, and says it.
        let _ = train_together(&*ranks, config, seed, model, objective, run.dir(), &interrupt, &mut |_| ());
        return Err(Interrupted.into());
    }
    if ranks.size() > 1 {
        if rayon::current_thread_index().is_some() {
            bail!("{} ranks share the updates of one stage at a time: leave out --jobs", ranks.size());
        }
        run.log(format!("{} ranks share the updates", ranks.size()))?;
    }
    for note in objective.notes() {
        run.log(note)?;
    }
    // From here on the other ranks hear what goes wrong here from the step loop alone.
    let name = run.dir().file_name().expect("a stage has a directory");
    ranks::announce(&*ranks, &name.to_string_lossy());
    run.progress().start(config.updates as u64, "updates");
    let (mut log_error, mut curves) = (None, None);
    let mut observe = |event: Event| {
        if let Err(error) = hear(run, &event).and_then(|()| draw(run, &mut curves, &event)) {
            log_error.get_or_insert(error);
        }
    };
    let trained = train_together(&*ranks, config, seed, model, objective, run.dir(), &interrupt, &mut observe);
    match (trained, log_error) {
        (Err(TrainError::Interrupted { .. }), None) => Err(Interrupted.into()),
        (Ok(model), None) => Ok(Checkpoints::open(&run.checkpoints())?.outcome(config, model)?),
        (Ok(_) | Err(TrainError::Interrupted { .. }), Some(error)) => Err(error),
        (Err(error), _) => Err(error.into()),
    }
}

/// Writes what happens in a step loop for TensorBoard.
fn draw(run: &StageRun, curves: &mut Option<EventWriter>, event: &Event) -> anyhow::Result<()> {
    match (event, curves) {
        (Event::Started { update, .. }, curves) => {
            *curves = Some(EventWriter::create(&run.dir().join("tensorboard"), *update)?);
        }
        (Event::Recorded { record, .. }, Some(curves)) => curves.add(record)?,
        _ => {}
    }
    Ok(())
}

/// Shows and logs what happens in a step loop.
fn hear(run: &StageRun, event: &Event) -> anyhow::Result<()> {
    match event {
        Event::Damaged { path, reason } => run.log(format!("passed over {}: {reason}", path.display()))?,
        Event::NotPruned { error } => run.log(format!("old checkpoints stay: {error}"))?,
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
        Event::Recorded { record: Record::LeftOut { update, utterance, reason }, .. } => {
            run.log(format!("update {update} without {utterance}: {reason}"))?;
        }
        Event::Recorded { record: Record::Validation { update, numbers, seconds, .. }, .. } => {
            let numbers: Vec<String> = numbers.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            run.log(format!("update {update}: {} ({seconds:.1} s)", numbers.join(", ")))?;
        }
        Event::Saved { path } => run.log(format!("saved {}", path.display()))?,
    }
    Ok(())
}
