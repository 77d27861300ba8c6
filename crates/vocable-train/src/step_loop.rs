//! The loop over updates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};

use crate::checkpoint::{BestSoFar, State};
use crate::loader::{self, Loaded, Loader};
use crate::means::Means;
use crate::memory;
use crate::parameters::parameters;
use crate::records::{Record, Writer};
use crate::{Batch, BatchId, Checkpoints, LeftOut, Objective, Optimiser, Sequences, TrainConfig, TrainError, Unusable};

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
/// Batches are prepared on other threads ahead of their turn, as [`TrainConfig::loading`] says.
///
/// Utterances whose files cannot be used any more are left out of their batches and recorded, up to
/// [`Loading::bad_files`](crate::Loading::bad_files). An update whose loss or gradient norm is not finite, or of which a
/// micro-batch has nothing left, is skipped: no parameter changes and the next update sees the next batches. When `interrupt` becomes true, the update is finished and saved, and [`TrainError::Interrupted`]
/// returned.
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
    config.check()?;
    check_model(&model)?;
    if objective.micro_batches() == 0 {
        return Err(TrainError::Config("the objective has no micro-batches".into()));
    }
    if config.best().is_some() && objective.validation_batches() == 0 {
        let message = "the best checkpoint is chosen in validation, but there is nothing to validate on: add held-out \
                       data, or take the last checkpoint with outcome.kind=last";
        return Err(TrainError::Config(message.into()));
    }
    let (mut run, mut model) = Run::open(config, seed, model, objective, directory, observe)?;
    thread::scope(|scope| {
        let order = loader::order(
            run.state.update,
            config.updates,
            objective.micro_batches(),
            objective.validation_batches(),
            |done| config.validates_after(done),
        );
        let mut loader = Loader::start(scope, config.loading, order, |id| objective.prepare(id));
        while run.state.update < config.updates {
            model = run.update(model, &mut loader)?;
            if config.validates_after(run.state.update) && objective.validation_batches() > 0 {
                run.validate(&model, &mut loader)?;
            }
            if config.saves_after(run.state.update) {
                run.save(&model)?;
            }
            if interrupt.load(Ordering::Relaxed) && run.state.update < config.updates {
                let checkpoint = run.save(&model)?;
                return Err(TrainError::Interrupted { update: run.state.update, checkpoint });
            }
        }
        Ok(model)
    })
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
    config: &'a TrainConfig,
    objective: &'a O,
    observe: &'a mut dyn FnMut(Event),
    optimiser: Optimiser,
    state: State,
    checkpoints: Checkpoints,
    records: Writer,
    /// The update of the newest checkpoint.
    saved: Option<usize>,
    /// When this process began and with which update, for the estimate of the remaining time.
    began: (Instant, usize),
}

impl<'a, O> Run<'a, O> {
    /// Starts a run, or takes it and its model up where the newest intact checkpoint left them.
    fn open<M: Module>(
        config: &'a TrainConfig,
        seed: u64,
        model: M,
        objective: &'a O,
        directory: &Path,
        observe: &'a mut dyn FnMut(Event),
    ) -> Result<(Self, M), TrainError> {
        let checkpoints = Checkpoints::open(&directory.join("checkpoints"))?;
        let checkpoint = checkpoints.newest_intact(|path, reason| observe(Event::Damaged { path, reason }))?;
        let mut optimiser = Optimiser::new(&config.optimiser);
        let (model, state) = match &checkpoint {
            Some(checkpoint) => {
                let state = checkpoint.state.clone();
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
                };
                (model, state)
            }
        };
        let records = Writer::open(directory.join("metrics.jsonl"), state.metrics_bytes)?;
        let from = checkpoint.as_ref().map(|checkpoint| checkpoint.path.as_path());
        observe(Event::Started { update: state.update, from });
        let (saved, began) = (from.map(|_| state.update), (Instant::now(), state.update));
        Ok((Self { config, objective, observe, optimiser, state, checkpoints, records, saved, began }, model))
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

        let (mut total, mut terms) = (0.0, Means::default());
        let mut contents = Contents::default();
        let mut gradients = GradientsAccumulator::new();
        let mut reason = None;
        for micro in 0..micro_batches {
            let failed = |source| TrainError::Loss { update, micro, source };
            let batch = match self.taken(timed(&mut waited, || loader.next()))? {
                Ok(batch) => batch,
                Err(source) => match source.downcast::<Unusable>() {
                    Ok(unusable) => {
                        reason.get_or_insert(format!("micro-batch {micro}: {unusable}"));
                        contents.utterances.extend(unusable.0.into_iter().map(|left| left.utterance));
                        continue;
                    }
                    Err(source) => return Err(failed(source)),
                },
            };
            contents.add(&batch);
            if reason.is_some() {
                continue;
            }
            let id = BatchId::Train { update: index, micro };
            let loss = self.objective.losses(&model, &batch.data, id).map_err(failed)?;
            drop(batch);
            let value = f64::from(loss.total.clone().into_scalar::<f32>());
            total += value;
            terms.add(1.0, loss.terms);
            if !value.is_finite() {
                reason = Some(format!("the loss of micro-batch {micro} is {value}"));
                continue;
            }
            // A loss without any trainable part, such as one of frozen weights, has no graph.
            if loss.total.is_tracked() {
                let gradient = GradientsParams::from_grads(loss.total.backward(), &model);
                gradients.accumulate(&model, gradient);
            }
        }

        let learning_rate = self.config.schedule.rate(index, self.config.updates, self.config.learning_rate);
        let mut gradient_norm = 0.0;
        if reason.is_none() {
            (model, gradient_norm) = self.optimiser.step(model, gradients.grads(), micro_batches, learning_rate);
            if !gradient_norm.is_finite() {
                reason = Some(format!("the gradient norm is {gradient_norm}"));
            }
        }

        let (seconds, waited) = (start.elapsed().as_secs_f64(), waited.as_secs_f64());
        match reason {
            None => {
                self.state.skipped_in_a_row = 0;
                self.record(Record::Update {
                    update,
                    loss: total / micro_batches as f64,
                    terms: terms.finish(),
                    gradient_norm,
                    learning_rate,
                    utterances: contents.utterances.len(),
                    frames: contents.frames,
                    padding: contents.padding(),
                    seconds,
                    waited,
                    memory: memory::memory(),
                })?;
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

    /// Validates, records the numbers, and saves if they are the best so far.
    fn validate<M: Module>(&mut self, model: &M, loader: &mut Loader<O::Data>) -> Result<(), TrainError>
    where
        O: Objective<M>,
    {
        let (start, mut waited) = (Instant::now(), Duration::ZERO);
        let update = self.state.update;
        let failed = |source| TrainError::Validation { update, source };
        let (plain, mut means) = (model.valid(), Means::default());
        for index in 0..self.objective.validation_batches() {
            let batch = match self.taken(timed(&mut waited, || loader.next()))? {
                Ok(batch) => batch,
                // The mean is over what is left.
                Err(source) if source.is::<Unusable>() => continue,
                Err(source) => return Err(failed(source)),
            };
            let losses = self.objective.losses(&plain, &batch.data, BatchId::Valid(index)).map_err(failed)?;
            means.add(batch.utterances.len() as f64, losses.terms);
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

    /// Counts and records what is left out of a batch that was loaded, and passes it on.
    fn taken<T>(&mut self, loaded: Loaded<T>) -> Result<Loaded<T>, TrainError> {
        let left_out = match &loaded {
            Ok(batch) => batch.left_out.as_slice(),
            Err(error) => error.downcast_ref::<Unusable>().map_or(&[][..], |unusable| &unusable.0),
        };
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
        Ok(loaded)
    }

    fn record(&mut self, record: Record) -> Result<(), TrainError> {
        self.records.write(&record)?;
        let (began, first) = self.began;
        let done = self.state.update - first;
        let remaining = began.elapsed().mul_f64((self.config.updates - self.state.update) as f64 / done as f64);
        (self.observe)(Event::Recorded { record: &record, remaining });
        Ok(())
    }

    /// Saves the run as it stands, once per update, and returns where.
    fn save<M: Module>(&mut self, model: &M) -> Result<PathBuf, TrainError> {
        if self.saved == Some(self.state.update) {
            return Ok(self.checkpoints.path(self.state.update));
        }
        self.state.metrics_bytes = self.records.sync()?;
        let path = self.checkpoints.save(model, &self.optimiser, &self.state)?;
        self.saved = Some(self.state.update);
        self.checkpoints.prune(self.config.keep_last, self.state.best.as_ref().map(|best| best.update))?;
        (self.observe)(Event::Saved { path: &path });
        Ok(path)
    }
}

/// What the batches of an update hold.
#[derive(Default)]
struct Contents {
    utterances: Vec<String>,
    frames: usize,
    sequences: Vec<Sequences>,
}

impl Contents {
    fn add<T>(&mut self, batch: &Batch<T>) {
        self.utterances.extend(batch.utterances.iter().cloned());
        self.frames += batch.sequences.first().map_or(0, |input| input.valid);
        for &more in &batch.sequences {
            match self.sequences.iter_mut().find(|known| known.name == more.name) {
                Some(known) => (known.valid, known.padded) = (known.valid + more.valid, known.padded + more.padded),
                None => self.sequences.push(more),
            }
        }
    }

    /// The share of padding in each kind of sequence.
    fn padding(&self) -> Vec<(String, f64)> {
        self.sequences.iter().map(|sequences| (sequences.name.to_owned(), sequences.padding())).collect()
    }
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
