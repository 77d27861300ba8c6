//! The loop over updates.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};

use crate::checkpoint::{BestSoFar, State};
use crate::parameters::parameters;
use crate::records::{Record, Writer};
use crate::{Batch, Checkpoints, Objective, Optimiser, TrainConfig, TrainError};

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
/// `directory` receives `metrics.jsonl` (one [`Record`] per line) and `checkpoints/` (see [`crate::checkpoint`]). The
/// model is on an autodiff device. A checkpoint restores weights, moments, schedule and records, and the objective is a
/// pure function of the update, so a run that was interrupted or killed ends bit for bit as if it had not been, on
/// devices whose arithmetic is deterministic.
///
/// An update whose loss or gradient norm is not finite is skipped: no parameter changes and the next update sees the
/// next batches. When `interrupt` becomes true, the update is finished and saved, and [`TrainError::Interrupted`]
/// returned.
///
/// # Errors
///
/// A configuration out of range, an objective's error, too many skipped updates in a row, a checkpoint that does not
/// belong to the run, and whatever the file system refuses.
pub fn train<M: Module, O: Objective<M>>(
    config: &TrainConfig,
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
    let (mut run, mut model) = Run::open(config, model, objective, directory, observe)?;
    while run.state.update < config.updates {
        model = run.update(model)?;
        if run.due(config.validate_every) {
            run.validate(&model)?;
        }
        if run.due(config.checkpoint_every) {
            run.save(&model)?;
        }
        if interrupt.load(Ordering::Relaxed) && run.state.update < config.updates {
            let checkpoint = run.save(&model)?;
            return Err(TrainError::Interrupted { update: run.state.update, checkpoint });
        }
    }
    Ok(model)
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
                if state.seed != config.seed || state.update > config.updates {
                    return Err(TrainError::Checkpoint {
                        path: checkpoint.path.clone(),
                        reason: format!(
                            "saved by another run (seed {}, update {}; this run has seed {} and {} updates): \
                             use another directory",
                            state.seed, state.update, config.seed, config.updates
                        ),
                    });
                }
                let model = checkpoint.restore_model(model)?;
                checkpoint.restore_optimiser(&model, &mut optimiser)?;
                (model, state)
            }
            None => {
                let state = State { update: 0, seed: config.seed, metrics_bytes: 0, skipped_in_a_row: 0, best: None };
                (model, state)
            }
        };
        let records = Writer::open(directory.join("metrics.jsonl"), state.metrics_bytes)?;
        let from = checkpoint.as_ref().map(|checkpoint| checkpoint.path.as_path());
        observe(Event::Started { update: state.update, from });
        let (saved, began) = (from.map(|_| state.update), (Instant::now(), state.update));
        Ok((Self { config, objective, observe, optimiser, state, checkpoints, records, saved, began }, model))
    }

    /// Whether something that happens after every `every` updates, and at the end, happens now.
    fn due(&self, every: usize) -> bool {
        let Self { state, config, .. } = self;
        state.update == config.updates || (every > 0 && state.update.is_multiple_of(every))
    }

    /// Makes or skips one update, and records it.
    fn update<M: Module>(&mut self, mut model: M) -> Result<M, TrainError>
    where
        O: Objective<M>,
    {
        let start = Instant::now();
        let (index, micro_batches) = (self.state.update, self.objective.micro_batches());
        self.state.update += 1;
        let update = self.state.update;

        let mut losses = MeanLosses::default();
        let mut gradients = GradientsAccumulator::new();
        let mut reason = None;
        for micro in 0..micro_batches {
            let loss = self.objective.loss(&model, index, micro).map_err(|source| TrainError::Loss {
                update,
                micro,
                source,
            })?;
            let value = f64::from(loss.total.clone().into_scalar::<f32>());
            losses.add(value, loss.terms);
            if !value.is_finite() {
                reason = Some(format!("the loss of micro-batch {micro} is {value}"));
                break;
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

        let batches: Vec<Batch> = (0..micro_batches).map(|micro| self.objective.batch(index, micro)).collect();
        let seconds = start.elapsed().as_secs_f64();
        match reason {
            None => {
                self.state.skipped_in_a_row = 0;
                let (loss, terms) = losses.mean(micro_batches);
                self.record(Record::Update {
                    update,
                    loss,
                    terms,
                    gradient_norm,
                    learning_rate,
                    utterances: batches.iter().map(|batch| batch.utterances.len()).sum(),
                    frames: batches.iter().map(|batch| batch.frames).sum(),
                    seconds,
                })?;
            }
            Some(reason) => {
                self.state.skipped_in_a_row += 1;
                let utterances: Vec<String> = batches.into_iter().flat_map(|batch| batch.utterances).collect();
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
    fn validate<M: Module>(&mut self, model: &M) -> Result<(), TrainError>
    where
        O: Objective<M>,
    {
        let start = Instant::now();
        let update = self.state.update;
        let numbers =
            self.objective.validate(&model.valid()).map_err(|source| TrainError::Validation { update, source })?;
        let seconds = start.elapsed().as_secs_f64();
        let chosen = match &self.config.best {
            Some(best) => {
                let value = numbers.iter().find(|(name, _)| *name == best.metric).map(|&(_, value)| value);
                let value = value.ok_or_else(|| {
                    let names: Vec<&str> = numbers.iter().map(|(name, _)| name.as_str()).collect();
                    TrainError::Config(format!(
                        "best.metric is {:?}, but validation reports {}",
                        best.metric,
                        names.join(", ")
                    ))
                })?;
                let before = self.state.best.as_ref().map(|best| best.value);
                before.map_or(value.is_finite(), |before| best.direction.improves(value, before)).then_some(value)
            }
            None => None,
        };
        self.record(Record::Validation { update, numbers, seconds })?;
        if let Some(value) = chosen {
            self.state.best = Some(BestSoFar { update, value });
            self.save(model)?;
        }
        Ok(())
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

/// Losses and terms summed over the micro-batches of one update.
#[derive(Default)]
struct MeanLosses {
    total: f64,
    /// Name, sum, and how many micro-batches reported it.
    terms: Vec<(String, f64, usize)>,
}

impl MeanLosses {
    fn add(&mut self, total: f64, terms: Vec<(String, f64)>) {
        self.total += total;
        for (name, value) in terms {
            match self.terms.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => self.terms.push((name, value, 1)),
            }
        }
    }

    fn mean(self, micro_batches: usize) -> (f64, Vec<(String, f64)>) {
        let terms = self.terms.into_iter().map(|(name, sum, count)| (name, sum / count as f64));
        (self.total / micro_batches as f64, terms.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::*;
    use crate::testing::{Regression, Tiny, config};
    use crate::{Best, Direction, Schedule, records};

    /// Runs with seed 7 from wherever `directory` stands, setting the interrupt flag after the update `stop`.
    fn run(
        config: &TrainConfig,
        objective: &Regression,
        directory: &Path,
        stop: Option<usize>,
    ) -> (Result<Tiny, TrainError>, Vec<String>) {
        let interrupt = AtomicBool::new(false);
        let mut heard = Vec::new();
        let mut observe = |event: Event| {
            if let Event::Recorded { record, .. } = event
                && Some(record.update()) == stop
            {
                interrupt.store(true, Ordering::Relaxed);
            }
            heard.push(format!("{event:?}"));
        };
        // Initial weights of another seed after the first start: a resumed run must not depend on them.
        let fresh =
            !directory.join("checkpoints").join("step-000005").exists() && !directory.join("metrics.jsonl").exists();
        let model = Tiny::new(if fresh { 7 } else { 8 });
        let result = train(config, model, objective, directory, &interrupt, &mut observe);
        (result, heard)
    }

    /// Everything a finished run leaves that may not depend on how often it was interrupted.
    fn outcome(directory: &Path, update: usize) -> (Vec<u8>, Vec<u8>, Vec<Record>) {
        let checkpoint = Checkpoints::open(&directory.join("checkpoints")).unwrap().path(update);
        let mut lines = records::read(&directory.join("metrics.jsonl")).unwrap();
        for line in &mut lines {
            match line {
                Record::Update { seconds, .. }
                | Record::Skipped { seconds, .. }
                | Record::Validation { seconds, .. } => *seconds = 0.0,
            }
        }
        let file = |name: &str| fs::read(checkpoint.join(name)).unwrap();
        (file("model.safetensors"), file("optimiser.safetensors"), lines)
    }

    fn uninterrupted(config: &TrainConfig, objective: &Regression) -> (Vec<u8>, Vec<u8>, Vec<Record>) {
        let directory = tempdir().unwrap();
        run(config, objective, directory.path(), None).0.unwrap();
        outcome(directory.path(), config.updates)
    }

    #[test]
    fn ten_and_ten_updates_are_twenty() {
        let (config, objective) = (config(), Regression::new(7));
        let directory = tempdir().unwrap();
        let error = run(&config, &objective, directory.path(), Some(10)).0.unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { update: 10, .. }), "{error}");
        let (model, heard) = run(&config, &objective, directory.path(), None);
        model.unwrap();
        assert!(heard[0].contains("Started { update: 10") && heard[0].contains("step-000010"), "{}", heard[0]);
        let (whole, halves) = (uninterrupted(&config, &objective), outcome(directory.path(), 20));
        assert!(whole == halves, "weights, moments or records differ");
        assert_eq!(whole.2.len(), 20 + 4);
    }

    #[test]
    fn interrupting_after_every_update_changes_nothing() {
        let config = TrainConfig { keep_last: 1, ..config() };
        let objective = Regression { poisoned: vec![7], ..Regression::new(7) };
        let directory = tempdir().unwrap();
        for stop in 1..20 {
            let error = run(&config, &objective, directory.path(), Some(stop)).0.unwrap_err();
            assert!(matches!(error, TrainError::Interrupted { update, .. } if update == stop), "{error}");
        }
        run(&config, &objective, directory.path(), Some(20)).0.unwrap();
        assert!(uninterrupted(&config, &objective) == outcome(directory.path(), 20));
    }

    #[test]
    fn a_run_that_died_between_checkpoints_repeats_the_lost_updates_without_duplicates() {
        let (config, objective) = (config(), Regression::new(7));
        let directory = tempdir().unwrap();
        // Dies in update 14, before anything was saved again.
        let broken = Regression { broken: Some(13), ..Regression::new(7) };
        let error = run(&config, &broken, directory.path(), None).0.unwrap_err();
        assert_eq!(error.to_string(), "no loss for micro-batch 0 of update 14");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the audio is gone");
        assert_eq!(records::read(&directory.path().join("metrics.jsonl")).unwrap().last().unwrap().update(), 13);
        run(&config, &objective, directory.path(), None).0.unwrap();
        assert!(uninterrupted(&config, &objective) == outcome(directory.path(), 20));
    }

    #[test]
    fn a_run_that_died_before_its_first_checkpoint_starts_over() {
        let (config, objective) = (config(), Regression::new(7));
        let directory = tempdir().unwrap();
        let broken = Regression { broken: Some(3), ..Regression::new(7) };
        run(&config, &broken, directory.path(), None).0.unwrap_err();
        let quiet = &mut |_: Event| {};
        train(&config, Tiny::new(7), &objective, directory.path(), &AtomicBool::new(false), quiet).unwrap();
        assert!(uninterrupted(&config, &objective) == outcome(directory.path(), 20));
    }

    #[test]
    fn a_damaged_checkpoint_costs_time_and_nothing_else() {
        let (config, objective) = (config(), Regression::new(7));
        let directory = tempdir().unwrap();
        run(&config, &objective, directory.path(), Some(15)).0.unwrap_err();
        let weights = directory.path().join("checkpoints/step-000015/model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&weights, bytes).unwrap();
        let (model, heard) = run(&config, &objective, directory.path(), None);
        model.unwrap();
        assert!(heard[0].contains("Damaged") && heard[0].contains("step-000015"), "{}", heard[0]);
        assert!(heard[0].contains("model.safetensors does not match its checksum"), "{}", heard[0]);
        assert!(heard[1].contains("Started { update: 10"), "{}", heard[1]);
        assert!(uninterrupted(&config, &objective) == outcome(directory.path(), 20));
    }

    #[test]
    fn a_finished_run_only_returns_its_model() {
        let (config, objective) = (config(), Regression::new(7));
        let directory = tempdir().unwrap();
        run(&config, &objective, directory.path(), None).0.unwrap();
        let before = outcome(directory.path(), 20);
        let (model, heard) = run(&config, &objective, directory.path(), None);
        assert_eq!(heard.len(), 1);
        assert!(before == outcome(directory.path(), 20));
        let again = tempdir().unwrap();
        crate::save_model(&model.unwrap(), &again.path().join("model.safetensors")).unwrap();
        assert!(fs::read(again.path().join("model.safetensors")).unwrap() == before.0);
    }

    #[test]
    fn records_carry_every_number() {
        let (config, objective) = (config(), Regression::new(7));
        let (_, _, lines) = uninterrupted(&config, &objective);
        let Record::Update { update, loss, terms, gradient_norm, learning_rate, utterances, frames, .. } = &lines[2]
        else {
            panic!("{:?}", lines[2])
        };
        assert_eq!((*update, *utterances, *frames), (3, 2, 12));
        assert_eq!(*learning_rate, 0.05 * 2.0 / 4.0);
        assert!(*gradient_norm > 0.0);
        // The rare term is in one of the two micro-batches: reported as it is there, half of it in the loss.
        let value = |name: &str| terms.iter().find(|(term, _)| term == name).unwrap().1;
        assert!((loss - (value("square") + 0.05 * value("rare"))).abs() < 1e-6);
        let Record::Validation { update, numbers, .. } = &lines[5] else { panic!("{:?}", lines[5]) };
        assert_eq!((*update, numbers.len()), (5, 2));
    }

    #[test]
    fn the_model_learns() {
        let config = TrainConfig { updates: 200, schedule: Schedule::Constant, validate_every: 100, ..config() };
        let (_, _, lines) = uninterrupted(&config, &Regression::new(7));
        let Some(Record::Validation { numbers, .. }) = lines.last() else { panic!() };
        // The target's variance is 5/3, that of its noise 3e-5; dropout keeps the fit from the latter.
        assert!(numbers[0].1 < 0.1, "{numbers:?}");
    }

    #[test]
    fn micro_batches_are_averaged() {
        /// Pulls towards 1 in the first and towards 3 in the second micro-batch; the rare weight only in the second.
        struct Pull(Vec<f64>);
        impl Objective<Tiny> for Pull {
            fn micro_batches(&self) -> usize {
                self.0.len()
            }
            fn loss(
                &self,
                model: &Tiny,
                _: usize,
                micro: usize,
            ) -> Result<vocable_objectives::Losses, crate::ObjectiveError> {
                let losses = vocable_objectives::Losses::new(&model.hidden.val().device());
                let losses = losses.add("pull", self.0[micro], model.hidden.val().sum());
                Ok(if micro == 1 { losses.add("rare", 4.0, model.rare.val().sum()) } else { losses })
            }
        }
        let norm = |pulls: Vec<f64>| {
            let directory = tempdir().unwrap();
            let config = TrainConfig { updates: 1, validate_every: 0, ..config() };
            let quiet = &mut |_: Event| {};
            train(&config, Tiny::new(1), &Pull(pulls), directory.path(), &AtomicBool::new(false), quiet).unwrap();
            let Record::Update { gradient_norm, .. } =
                records::read(&directory.path().join("metrics.jsonl")).unwrap().remove(0)
            else {
                panic!()
            };
            gradient_norm
        };
        // 32 weights whose mean gradient is (1 + 3) / 2, and one whose gradients are 0 and 4.
        assert!((norm(vec![1.0, 3.0]) - (32.0 * 4.0 + 4.0_f64).sqrt()).abs() < 1e-6);
        // A micro-batch without any gradient still counts.
        assert!((norm(vec![0.0, 3.0, 0.0]) - (32.0 + 16.0 / 9.0_f64).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_poisoned_update_is_skipped_and_recorded() {
        let config = TrainConfig { updates: 4, schedule: Schedule::Constant, checkpoint_every: 1, ..config() };
        let objective = Regression { poisoned: vec![1, 2], ..Regression::new(7) };
        let directory = tempdir().unwrap();
        run(&config, &objective, directory.path(), None).0.unwrap();
        let (_, _, lines) = outcome(directory.path(), 4);
        let Record::Skipped { update, reason, utterances, .. } = &lines[1] else { panic!("{:?}", lines[1]) };
        assert_eq!((*update, reason.as_str()), (2, "the loss of micro-batch 0 is NaN"));
        assert_eq!(*utterances, ["u1-0", "u1-1"]);
        let weights =
            |update| fs::read(directory.path().join(format!("checkpoints/step-00000{update}/model.safetensors")));
        assert!(weights(1).unwrap() == weights(3).unwrap(), "skipped updates changed the weights");
        assert!(weights(3).unwrap() != weights(4).unwrap());
    }

    #[test]
    fn too_many_skips_in_a_row_name_step_and_utterances() {
        let config = TrainConfig { max_skipped: 2, ..config() };
        let objective = Regression { poisoned: vec![0, 1, 5, 6, 7], ..Regression::new(7) };
        let directory = tempdir().unwrap();
        // The count survives an interruption in the middle of the row.
        run(&config, &objective, directory.path(), Some(7)).0.unwrap_err();
        let error = run(&config, &objective, directory.path(), None).0.unwrap_err();
        assert!(matches!(error, TrainError::NonFinite { update: 8, in_a_row: 3, .. }), "{error}");
        assert!(error.to_string().contains("u7-0, u7-1"), "{error}");
    }

    #[test]
    fn the_best_checkpoint_stays() {
        let best = |metric: &str, direction| Some(Best { metric: metric.into(), direction });
        let objective = Regression::new(7);
        // Of equal numbers the first is the best.
        let config =
            TrainConfig { keep_last: 1, checkpoint_every: 2, best: best("constant", Direction::Higher), ..config() };
        let directory = tempdir().unwrap();
        run(&config, &objective, directory.path(), Some(12)).0.unwrap_err();
        run(&config, &objective, directory.path(), None).0.unwrap();
        let checkpoints = Checkpoints::open(&directory.path().join("checkpoints")).unwrap();
        assert_eq!(checkpoints.updates().unwrap(), [5, 20]);
        let state = crate::Checkpoint::read(&checkpoints.path(20)).unwrap().state;
        assert_eq!(state.best, Some(BestSoFar { update: 5, value: 1.0 }));

        let config = TrainConfig { best: best("square", Direction::Lower), ..config };
        let directory = tempdir().unwrap();
        run(&config, &objective, directory.path(), None).0.unwrap();
        let validations: Vec<(usize, f64)> = outcome(directory.path(), 20)
            .2
            .into_iter()
            .filter_map(|line| match line {
                Record::Validation { update, numbers, .. } => Some((update, numbers[0].1)),
                _ => None,
            })
            .collect();
        let lowest = validations.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let checkpoints = Checkpoints::open(&directory.path().join("checkpoints")).unwrap();
        let state = crate::Checkpoint::read(&checkpoints.path(20)).unwrap().state;
        assert_eq!(state.best, Some(BestSoFar { update: lowest.0, value: lowest.1 }));
        assert!(checkpoints.updates().unwrap().contains(&lowest.0));

        let config = TrainConfig { best: best("wer", Direction::Lower), ..config };
        let error = run(&config, &objective, tempdir().unwrap().path(), None).0.unwrap_err().to_string();
        assert!(error.contains("\"wer\"") && error.contains("square, constant"), "{error}");
    }

    #[test]
    fn another_run_is_not_continued() {
        let objective = Regression::new(7);
        let directory = tempdir().unwrap();
        run(&config(), &objective, directory.path(), Some(10)).0.unwrap_err();
        let other = TrainConfig { seed: 2, ..config() };
        let error = run(&other, &objective, directory.path(), None).0.unwrap_err().to_string();
        assert!(error.contains("step-000010") && error.contains("seed 1"), "{error}");
        let shorter = TrainConfig { updates: 5, ..config() };
        let error = run(&shorter, &objective, directory.path(), None).0.unwrap_err().to_string();
        assert!(error.contains("5 updates"), "{error}");
        fs::write(directory.path().join("metrics.jsonl"), b"").unwrap();
        let error = run(&config(), &objective, directory.path(), None).0.unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl"), "{error}");
    }

    #[test]
    fn a_model_that_cannot_train_is_refused() {
        let quiet = &mut |_: Event| {};
        let interrupt = AtomicBool::new(false);
        let directory = tempdir().unwrap();
        let mut attempt = |config: &TrainConfig, model: Tiny| {
            let result = train(config, model, &Regression::new(7), directory.path(), &interrupt, quiet);
            result.unwrap_err().to_string()
        };
        assert!(attempt(&config(), Tiny::new(1).valid()).contains("autodiff"));
        let mut tied = Tiny::new(1);
        tied.heads.push(tied.heads[0].clone());
        assert!(attempt(&config(), tied).contains("heads.0 and heads.1"));
        let nothing_kept = TrainConfig { keep_last: 0, ..config() };
        assert!(attempt(&nothing_kept, Tiny::new(1)).contains("keep_last"));
        let steep = TrainConfig { schedule: Schedule::Linear { warmup: 2.0 }, ..config() };
        assert!(attempt(&steep, Tiny::new(1)).contains("schedule.warmup"));
        let mut wild = config();
        wild.optimiser.beta2 = 1.0;
        assert!(attempt(&wild, Tiny::new(1)).contains("optimiser.beta2"));
    }
}
