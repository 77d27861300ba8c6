//! The loop over updates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};

use crate::checkpoint::{BestSoFar, State};
use crate::loader::{self, Loader};
use crate::means::Means;
use crate::memory;
use crate::parameters::parameters;
use crate::ranks::{self, Alone, Ranks};
use crate::records::{Record, Writer};
use crate::{
    BatchId, Checkpoint, Checkpoints, LeftOut, Objective, Optimiser, ScaleState, TrainConfig, TrainError, Unusable,
};

mod micro;

use micro::{Contents, Micro};

/// What an observer hears of a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A newer checkpoint is damaged and was passed over.
    Damaged {
        /// The checkpoint.
        path: &'a Path,
        /// What is missing or altered.
        reason: &'a str,
    },
    /// The loop begins, or continues from a checkpoint.
    Started {
        /// Updates done so far.
        update: usize,
        /// The checkpoint the run continues from.
        from: Option<&'a Path>,
    },
    /// A line was added to `metrics.jsonl`.
    Recorded {
        /// The line.
        record: &'a Record,
        /// Estimated time to the end of the run, validation and saving included.
        remaining: Duration,
    },
    /// A checkpoint was saved.
    Saved {
        /// The checkpoint.
        path: &'a Path,
    },
    /// After it older checkpoints could not be removed, or not be told from those that are needed.
    NotPruned {
        /// What the file system refused.
        error: &'a TrainError,
    },
}

/// Trains `model` up to `config.updates` updates and returns it, continuing from the newest intact checkpoint if
/// `directory` holds one.
///
/// `seed` is the one that the model and the objective draw from; it is kept in checkpoints, and a run does not continue
/// under another one.
///
/// `directory` receives `metrics.jsonl` (one [`Record`] per line) and `checkpoints/` (see [`crate::checkpoint`]). The
/// model is on an autodiff device. A checkpoint restores weights, moments, schedule and records, and the objective is a
/// pure function of the update, so a run that was interrupted or killed ends bit for bit as if it had not been, on
/// devices whose arithmetic is deterministic.
///
/// The caller keeps every other run out of `directory` (`vocable-lab` locks a stage's): nothing here does, and a second one would
/// remove the checkpoint that the first is writing and cut its records off.
///
/// Batches are prepared on other threads ahead of their turn, as [`TrainConfig::loading`] says.
///
/// Utterances whose files cannot be used any more are left out of their batches and recorded, up to
/// [`Loading::bad_files`](crate::Loading::bad_files). An update whose loss or gradient norm is not finite, or of which a
/// micro-batch has nothing left, is skipped: no parameter and no running statistic changes, and the next update sees the next
/// batches. When `interrupt` becomes true, the update is finished and saved, and [`TrainError::Interrupted`] returned.
///
/// # Errors
///
/// A configuration out of range, an objective's error, too many bad files or skipped updates in a row, a checkpoint that does not
/// belong to the run, and whatever the file system refuses.
pub fn train<M: Module, O: Objective<M>>(
    config: &TrainConfig,
    seed: u64,
    model: M,
    objective: &O,
    directory: &Path,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(Event),
) -> Result<M, TrainError> {
    train_together(&Alone, config, seed, model, objective, directory, interrupt, observe)
}

/// [`train`] with the work of every update shared by `ranks`, all of which call this with the same arguments and return
/// the same model.
///
/// `directory` is one that all ranks see; rank 0 alone writes there. It gives the others its weights at the beginning, and
/// all compare theirs whenever rank 0 saves. An update is that of one process up to the order in which gradients are added, and
/// up to running statistics: they become the mean of what those ranks have whose micro-batches changed them. The interrupt of
/// any rank counts.
///
/// # Errors
///
/// Those of [`train`]; what happens to one rank ends the loop of all of them, with [`TrainError::Rank`] on the others.
pub fn train_together<M: Module, O: Objective<M>>(
    ranks: &dyn Ranks,
    config: &TrainConfig,
    seed: u64,
    model: M,
    objective: &O,
    directory: &Path,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(Event),
) -> Result<M, TrainError> {
    let _told = TellsPanic(ranks);
    let trained = check(config, &model, objective)
        .and_then(|()| Run::open(ranks, config, seed, model, objective, directory, observe))
        .and_then(|(run, model)| run.finish(model, interrupt));
    match &trained {
        // All ranks know of these.
        Ok(_) | Err(TrainError::Interrupted { .. } | TrainError::Rank { .. } | TrainError::Diverged { .. }) => {}
        Err(error) => ranks::fail(ranks, &error.to_string()),
    }
    trained
}

/// Tells the other ranks of a panic that unwinds through it, so that they do not wait for this one for ever.
struct TellsPanic<'a>(&'a dyn Ranks);

impl Drop for TellsPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            ranks::fail(self.0, "it panicked");
        }
    }
}

/// What is known to be wrong before anything is read or written.
fn check<M: Module, O: Objective<M>>(config: &TrainConfig, model: &M, objective: &O) -> Result<(), TrainError> {
    config.check()?;
    check_model(model)?;
    if objective.micro_batches() == 0 {
        return Err(TrainError::Config("the objective has no micro-batches".into()));
    }
    if config.best().is_some() && objective.validation_batches() == 0 {
        let message = "the best checkpoint is chosen in validation, but there is nothing to validate on: add held-out \
                       data, or take the last checkpoint with outcome.kind=last";
        return Err(TrainError::Config(message.into()));
    }
    Ok(())
}

/// Names must be unique and something must be trainable.
fn check_model<M: Module>(model: &M) -> Result<(), TrainError> {
    let all = parameters(model);
    if !all.iter().any(|parameter| parameter.trainable) {
        let message = "no parameter keeps gradients: create the model on `device.autodiff()`".into();
        return Err(TrainError::Config(message));
    }
    for (index, parameter) in all.iter().enumerate() {
        if let Some(twin) = all[..index].iter().find(|other| other.id == parameter.id) {
            // The optimiser would update one of the two and leave the other behind.
            return Err(TrainError::Config(format!(
                "{} and {} are clones of one parameter: keep one, and lend it to whoever shares it",
                twin.name, parameter.name
            )));
        }
    }
    Ok(())
}

/// A run between two updates.
struct Run<'a, O> {
    ranks: &'a dyn Ranks,
    config: &'a TrainConfig,
    objective: &'a O,
    observe: &'a mut dyn FnMut(Event),
    optimiser: Optimiser,
    state: State,
    checkpoints: Checkpoints,
    /// Rank 0's.
    records: Option<Writer>,
    /// The update of the newest checkpoint.
    saved: Option<usize>,
    /// When this process began and with which update, for the estimate of the remaining time.
    began: (Instant, usize),
}

impl<'a, O> Run<'a, O> {
    /// Starts a run, or takes it and its model up where the newest intact checkpoint left them.
    fn open<M: Module>(
        ranks: &'a dyn Ranks,
        config: &'a TrainConfig,
        seed: u64,
        model: M,
        objective: &'a O,
        directory: &Path,
        observe: &'a mut dyn FnMut(Event),
    ) -> Result<(Self, M), TrainError> {
        let (checkpoints, checkpoint) = newest_intact(ranks, &directory.join("checkpoints"), observe)?;
        let mut optimiser = Optimiser::new(&config.optimiser);
        let (model, state) = match &checkpoint {
            Some(checkpoint) => {
                let mut state = checkpoint.state.clone();
                // The scale is no part of the recipe: a run may go on with one, or without.
                state.loss_scale =
                    config.loss_scale.as_ref().map(|scale| state.loss_scale.unwrap_or_else(|| ScaleState::new(scale)));
                if state.seed != seed || state.update > config.updates {
                    return Err(TrainError::Checkpoint {
                        path: checkpoint.path.clone(),
                        reason: format!(
                            "saved by another run (seed {}, update {}; this run has seed {} and {} updates): \
                             use another directory",
                            state.seed, state.update, seed, config.updates
                        ),
                    });
                }
                let model = checkpoint.restore_model(model)?;
                checkpoint.restore_optimiser(&model, &mut optimiser)?;
                (model, state)
            }
            None => {
                let state = State {
                    update: 0,
                    seed,
                    metrics_bytes: 0,
                    skipped_in_a_row: 0,
                    best: None,
                    left_out: BTreeSet::new(),
                    loss_scale: config.loss_scale.as_ref().map(ScaleState::new),
                };
                (model, state)
            }
        };
        let records = match ranks.rank() {
            0 => Some(Writer::open(directory.join("metrics.jsonl"), state.metrics_bytes)?),
            _ => None,
        };
        // From here on all ranks have what they need.
        ranks::exchange(ranks, ())?;
        let model = ranks::as_on_rank_0(ranks, model);
        let from = checkpoint.as_ref().map(|checkpoint| checkpoint.path.as_path());
        observe(Event::Started { update: state.update, from });
        let (saved, began) = (from.map(|_| state.update), (Instant::now(), state.update));
        Ok((Self { ranks, config, objective, observe, optimiser, state, checkpoints, records, saved, began }, model))
    }

    /// Makes the updates that are left, unless it is interrupted, and returns the model.
    fn finish<M: Module>(mut self, mut model: M, interrupt: &AtomicBool) -> Result<M, TrainError>
    where
        O: Objective<M>,
    {
        let (config, objective) = (self.config, self.objective);
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        thread::scope(|scope| {
            let order = loader::order(
                self.state.update,
                config.updates,
                objective.micro_batches(),
                objective.validation_batches(),
                |done| config.validates_after(done),
            )
            .filter(move |id| id.position() % size == rank);
            let mut loader = Loader::start(scope, config.loading, order, |id| objective.prepare(id));
            while self.state.update < config.updates {
                model = self.update(model, &mut loader)?;
                if config.validates_after(self.state.update) && objective.validation_batches() > 0 {
                    self.validate(&model, &mut loader)?;
                }
                if config.saves_after(self.state.update) {
                    self.save(&model)?;
                }
                let interrupted = ranks::exchange(self.ranks, interrupt.load(Ordering::Relaxed))?.contains(&true);
                if interrupted && self.state.update < config.updates {
                    let checkpoint = self.save(&model)?;
                    return Err(TrainError::Interrupted { update: self.state.update, checkpoint });
                }
            }
            Ok(model)
        })
    }

    /// Makes or skips one update, and records it.
    fn update<M: Module>(&mut self, mut model: M, loader: &mut Loader<O::Data>) -> Result<M, TrainError>
    where
        O: Objective<M>,
    {
        memory::forget_peak();
        let (start, mut waited) = (Instant::now(), Duration::ZERO);
        let (index, micro_batches) = (self.state.update, self.objective.micro_batches());
        self.state.update += 1;
        let update = self.state.update;

        let fixed = ranks::fixed(&model);
        let scale = self.state.loss_scale.map_or(1.0, |state| state.scale);
        let (own, mut gradients) = self.backward(&model, loader, index, scale, &mut waited)?;
        let touched = ranks::touched(self.ranks, &model, &gradients);
        let told = ranks::exchange(self.ranks, (own, touched))?;
        let touched =
            (0..told[0].1.len()).map(|index| told.iter().any(|(_, touched)| touched[index])).collect::<Vec<_>>();
        let mut micros: Vec<Micro> = told.into_iter().flat_map(|(micros, _)| micros).collect();
        micros.sort_by_key(|micro| micro.index);
        let mut reason = micros.iter().find_map(|micro| micro.reason.clone());

        let learning_rate = self.config.schedule.rate(index, self.config.updates, self.config.learning_rate);
        let mut gradient_norm = 0.0;
        if reason.is_none() {
            gradients = ranks::sum_gradients(self.ranks, &model, gradients, &touched);
            let multiple = micro_batches as f64 * scale;
            (model, gradient_norm) = self.optimiser.step(model, gradients, multiple, learning_rate);
            if !gradient_norm.is_finite() {
                reason = Some(format!("the gradient norm is {gradient_norm}"));
            }
        }
        let scaled = self.rescale(gradient_norm, &mut reason);
        model = match reason {
            None => ranks::mean_of_changed(self.ranks, model, fixed),
            // What spoilt the loss is in the running statistics by now.
            Some(_) => ranks::put_back(model, fixed),
        };

        // What is left to do may fail on rank 0 alone, which the others hear in their next exchange.
        for micro in &micros {
            self.note(&micro.left_out)?;
        }
        let (seconds, waited) = (start.elapsed().as_secs_f64(), waited.as_secs_f64());
        let contents = Contents::of(micros);
        let padding = contents.padding();
        match reason {
            None => {
                self.state.skipped_in_a_row = 0;
                self.record(Record::Update {
                    update,
                    loss: contents.loss / micro_batches as f64,
                    terms: contents.terms.finish(),
                    gradient_norm,
                    learning_rate,
                    utterances: contents.utterances.len(),
                    frames: contents.frames,
                    padding,
                    seconds,
                    waited,
                    memory: memory::memory(),
                })?;
            }
            Some(reason) if scaled => {
                let utterances = contents.utterances;
                self.record(Record::Skipped { update, reason, utterances, seconds })?;
            }
            Some(reason) => {
                self.state.skipped_in_a_row += 1;
                let utterances = contents.utterances;
                let named = if utterances.is_empty() { "an unnamed batch".to_owned() } else { utterances.join(", ") };
                self.record(Record::Skipped { update, reason: reason.clone(), utterances, seconds })?;
                let in_a_row = self.state.skipped_in_a_row;
                if in_a_row > self.config.max_skipped {
                    return Err(TrainError::NonFinite { update, reason, in_a_row, utterances: named });
                }
            }
        }
        Ok(model)
    }

    /// Losses of this rank's micro-batches of the update with that index, and the sum of their gradients, `scale` times as large.
    /// What comes behind a batch that cannot be used is not computed any more.
    fn backward<M: Module>(
        &self,
        model: &M,
        loader: &mut Loader<O::Data>,
        index: usize,
        scale: f64,
        waited: &mut Duration,
    ) -> Result<(Vec<Micro>, GradientsParams), TrainError>
    where
        O: Objective<M>,
    {
        let (update, mut usable) = (index + 1, true);
        let (mut own, mut gradients) = (Vec::new(), GradientsAccumulator::new());
        for micro in (self.ranks.rank()..self.objective.micro_batches()).step_by(self.ranks.size()) {
            let failed = |source| TrainError::Loss { update, micro, source };
            let batch = match timed(waited, || loader.next()) {
                Ok(batch) => batch,
                Err(source) => {
                    let unusable = source.downcast::<Unusable>().map_err(failed)?;
                    usable = false;
                    own.push(Micro::unusable(micro, *unusable));
                    continue;
                }
            };
            let mut done = Micro::new(micro, &batch);
            if usable {
                let id = BatchId::Train { update: index, micro };
                let loss = self.objective.losses(model, &batch.data, id).map_err(failed)?;
                drop(batch);
                usable = done.lost(f64::from(loss.total.clone().into_scalar::<f32>()), loss.terms);
                // A loss without any trainable part, such as one of frozen weights, has no graph.
                if usable && loss.total.is_tracked() {
                    let total = if scale == 1.0 { loss.total } else { loss.total.mul_scalar(scale) };
                    let gradient = GradientsParams::from_grads(total.backward(), model);
                    gradients.accumulate(model, gradient);
                }
            }
            own.push(done);
        }
        Ok((own, gradients.grads()))
    }

    /// Adapts the scale of the loss to the gradient of an update that `reason` did not skip before; whether that explains a
    /// norm that is not finite, so that the update does not count among those that went wrong.
    fn rescale(&mut self, gradient_norm: f64, reason: &mut Option<String>) -> bool {
        let (Some(config), Some(state)) = (&self.config.loss_scale, self.state.loss_scale) else { return false };
        match (reason, gradient_norm.is_finite()) {
            (None, _) => {
                self.state.loss_scale = Some(state.grew(config));
                false
            }
            (Some(_), true) => false,
            (Some(reason), false) => match state.shrunk() {
                Some(smaller) => {
                    *reason += &format!(" with a loss scaled by {}, now by {}", state.scale, smaller.scale);
                    self.state.loss_scale = Some(smaller);
                    true
                }
                None => false,
            },
        }
    }

    /// Validates, records the numbers, and saves if they are the best so far.
    fn validate<M: Module>(&mut self, model: &M, loader: &mut Loader<O::Data>) -> Result<(), TrainError>
    where
        O: Objective<M>,
    {
        let (start, mut waited) = (Instant::now(), Duration::ZERO);
        let update = self.state.update;
        let failed = |source| TrainError::Validation { update, source };
        let (plain, mut own) = (model.valid(), Vec::new());
        for index in (self.ranks.rank()..self.objective.validation_batches()).step_by(self.ranks.size()) {
            own.push(match timed(&mut waited, || loader.next()) {
                Ok(batch) => {
                    let losses = self.objective.losses(&plain, &batch.data, BatchId::Valid(index)).map_err(failed)?;
                    (index, batch.utterances.len(), losses.terms, batch.left_out.clone())
                }
                // The mean is over what is left.
                Err(source) => (index, 0, Vec::new(), source.downcast::<Unusable>().map_err(failed)?.0),
            });
        }
        let mut told: Vec<_> = ranks::exchange(self.ranks, own)?.into_iter().flatten().collect();
        told.sort_by_key(|&(index, ..)| index);
        let mut means = Means::default();
        for (_, utterances, terms, left_out) in told {
            self.note(&left_out)?;
            means.add(utterances.max(1) as f64, terms);
        }
        let numbers = means.finish();
        let (seconds, waited) = (start.elapsed().as_secs_f64(), waited.as_secs_f64());
        let chosen = match self.config.best() {
            Some(best) => {
                let value = numbers.iter().find(|(name, _)| *name == best.metric).map(|&(_, value)| value);
                let value = value.ok_or_else(|| {
                    let names: Vec<&str> = numbers.iter().map(|(name, _)| name.as_str()).collect();
                    TrainError::Config(format!(
                        "outcome.metric is {:?}, but validation reports {}",
                        best.metric,
                        names.join(", ")
                    ))
                })?;
                let before = self.state.best.as_ref().map(|best| best.value);
                before.map_or(value.is_finite(), |before| best.direction.improves(value, before)).then_some(value)
            }
            None => None,
        };
        self.record(Record::Validation { update, numbers, seconds, waited })?;
        if let Some(value) = chosen {
            self.state.best = Some(BestSoFar { update, value });
            self.save(model)?;
        }
        Ok(())
    }

    /// Counts and records what was left out of a batch.
    fn note(&mut self, left_out: &[LeftOut]) -> Result<(), TrainError> {
        let update = self.state.update;
        for LeftOut { utterance, reason } in left_out {
            if self.state.left_out.insert(reason.clone()) {
                self.record(Record::LeftOut { update, utterance: utterance.clone(), reason: reason.clone() })?;
            }
        }
        let limit = self.config.loading.bad_files;
        if !left_out.is_empty() && self.state.left_out.len() > limit {
            let reasons = self.state.left_out.iter().cloned().collect();
            return Err(TrainError::BadFiles { update, limit, reasons });
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), TrainError> {
        if let Some(records) = &mut self.records {
            records.write(&record)?;
        }
        let (began, first) = self.began;
        let done = self.state.update - first;
        let remaining = began.elapsed().mul_f64((self.config.updates - self.state.update) as f64 / done as f64);
        (self.observe)(Event::Recorded { record: &record, remaining });
        Ok(())
    }

    /// Saves the run as it stands, once per update, and returns where.
    fn save<M: Module>(&mut self, model: &M) -> Result<PathBuf, TrainError> {
        let path = self.checkpoints.path(self.state.update);
        if self.saved == Some(self.state.update) {
            return Ok(path);
        }
        ranks::compare_weights(self.ranks, model, self.state.update)?;
        if let Some(records) = &mut self.records {
            self.state.metrics_bytes = records.sync()?;
            self.checkpoints.save(model, &self.optimiser, &self.state)?;
        }
        // Only what is on disk counts as saved, to any rank.
        ranks::exchange(self.ranks, ())?;
        self.saved = Some(self.state.update);
        (self.observe)(Event::Saved { path: &path });
        // Rank 0 alone has checkpoints. That old ones stay is no reason to end a run.
        if self.records.is_some()
            && let Err(error) = self.checkpoints.prune(self.config)
        {
            (self.observe)(Event::NotPruned { error: &error });
        }
        Ok(path)
    }
}

/// The checkpoints of a run and the newest that is intact: rank 0 looks, and the others read what it found.
fn newest_intact(
    ranks: &dyn Ranks,
    directory: &Path,
    observe: &mut dyn FnMut(Event),
) -> Result<(Checkpoints, Option<Checkpoint>), TrainError> {
    let (checkpoints, mut checkpoint) = match ranks.rank() {
        0 => {
            let checkpoints = Checkpoints::open(directory)?;
            let found = checkpoints.newest_intact(|path, reason| observe(Event::Damaged { path, reason }))?;
            (checkpoints, found)
        }
        _ => (Checkpoints::at(directory), None),
    };
    let found = ranks::exchange(ranks, checkpoint.as_ref().map(|checkpoint| checkpoint.state.update))?[0];
    if let (Some(update), None) = (found, &checkpoint) {
        checkpoint = Some(Checkpoint::read(&checkpoints.path(update))?);
    }
    Ok((checkpoints, checkpoint))
}

/// Adds the time that `work` takes to `total`.
fn timed<R>(total: &mut Duration, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod together_tests;
