//! Whole runs of a tiny model: interrupted, killed, damaged, poisoned.

use std::fs;

use tempfile::tempdir;
use vocable_objectives::Losses;

use super::*;
use crate::testing::{Regression, Tiny, config};
use crate::{Batch, Best, Direction, Loading, LossScale, ObjectiveError, Outcome, Schedule, records};

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
    let result = train(config, 7, model, objective, directory, &interrupt, &mut observe);
    (result, heard)
}

/// Everything a finished run leaves that may not depend on how often it was interrupted.
pub(super) fn outcome(directory: &Path, update: usize) -> (Vec<u8>, Vec<u8>, Vec<Record>) {
    let checkpoint = Checkpoints::open(&directory.join("checkpoints")).unwrap().path(update);
    let mut lines = records::read(&directory.join("metrics.jsonl")).unwrap();
    for line in &mut lines {
        match line {
            Record::Update { seconds, waited, memory, .. } => (*seconds, *waited, *memory) = (0.0, 0.0, None),
            Record::Skipped { seconds, .. } => *seconds = 0.0,
            Record::LeftOut { .. } => {}
            Record::Validation { seconds, waited, .. } => (*seconds, *waited) = (0.0, 0.0),
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
fn an_old_checkpoint_that_cannot_be_read_ends_no_run_and_keeps_all() {
    let (config, objective) = (TrainConfig { keep_last: 3, ..config() }, Regression::new(7));
    let directory = tempdir().unwrap();
    run(&config, &objective, directory.path(), Some(10)).0.unwrap_err();
    // A folder cannot be read as a file, by whomever.
    let checkpoints = directory.path().join("checkpoints");
    let state = checkpoints.join("step-000005/state.json");
    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
    let (model, heard) = run(&config, &objective, directory.path(), None);
    model.unwrap();
    let said = heard.iter().filter(|event| event.starts_with("NotPruned") && event.contains("step-000005/state.json"));
    assert_eq!(said.count(), 1, "of 5, 10 and 15 it is one, of 10, 15 and 20 it is none: {heard:?}");
    assert!(uninterrupted(&config, &objective) == outcome(directory.path(), 20));
    assert_eq!(Checkpoints::open(&checkpoints).unwrap().updates().unwrap(), [10, 15, 20]);
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
fn how_batches_are_loaded_changes_nothing() {
    let objective = Regression::new(7);
    let with = |ahead, threads, kept| {
        uninterrupted(&TrainConfig { loading: Loading { ahead, threads, kept, bad_files: 0 }, ..config() }, &objective)
    };
    let inline = with(0, 1, 0);
    assert_eq!(inline.2.len(), 20 + 4);
    for (ahead, threads, kept) in [(4, 1, 0), (4, 1, 1 << 20), (1, 4, 1500), (7, 3, 1 << 20)] {
        assert!(inline == with(ahead, threads, kept), "{ahead} ahead on {threads} threads, {kept} bytes kept");
    }
    // An interruption leaves batches behind that are prepared again.
    let ahead = TrainConfig { loading: Loading { ahead: 5, threads: 2, kept: 1 << 20, bad_files: 0 }, ..config() };
    let directory = tempdir().unwrap();
    run(&ahead, &objective, directory.path(), Some(7)).0.unwrap_err();
    run(&ahead, &objective, directory.path(), None).0.unwrap();
    assert!(inline == outcome(directory.path(), 20));
}

#[test]
fn a_thread_that_panics_ends_the_run_with_its_panic() {
    struct Bug;
    impl Objective<Tiny> for Bug {
        type Data = ();
        fn prepare(&self, id: BatchId) -> Result<Batch<()>, ObjectiveError> {
            assert!(id != BatchId::Train { update: 2, micro: 0 }, "a bug in update 2");
            Ok(Batch { data: (), utterances: Vec::new(), sequences: Vec::new(), bytes: 0, left_out: Vec::new() })
        }
        fn losses(&self, model: &Tiny, _: &(), _: BatchId) -> Result<Losses, ObjectiveError> {
            Ok(Losses::new(&model.hidden.val().device()).add("sum", 1.0, model.hidden.val().sum()))
        }
    }
    let directory = tempdir().unwrap();
    let path = directory.path();
    let attempt = std::panic::AssertUnwindSafe(|| {
        train(&config(), 1, Tiny::new(1), &Bug, path, &AtomicBool::new(false), &mut |_| ())
    });
    let panic = std::panic::catch_unwind(attempt).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a bug in update 2"));
    assert_eq!(records::read(&path.join("metrics.jsonl")).unwrap().last().unwrap().update(), 2);
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
    train(&config, 7, Tiny::new(7), &objective, directory.path(), &AtomicBool::new(false), quiet).unwrap();
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
    let Record::Update { update, loss, terms, gradient_norm, learning_rate, utterances, frames, padding, .. } =
        &lines[2]
    else {
        panic!("{:?}", lines[2])
    };
    assert_eq!(*padding, [("points".to_owned(), 0.25)]);
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
        type Data = usize;
        fn micro_batches(&self) -> usize {
            self.0.len()
        }
        fn prepare(&self, id: BatchId) -> Result<Batch<usize>, ObjectiveError> {
            let BatchId::Train { micro, .. } = id else { panic!("there is nothing to validate on") };
            Ok(Batch { data: micro, utterances: Vec::new(), sequences: Vec::new(), bytes: 0, left_out: Vec::new() })
        }
        fn losses(&self, model: &Tiny, &micro: &usize, _: BatchId) -> Result<Losses, ObjectiveError> {
            let losses = Losses::new(&model.hidden.val().device());
            let losses = losses.add("pull", self.0[micro], model.hidden.val().sum());
            Ok(if micro == 1 { losses.add("rare", 4.0, model.rare.val().sum()) } else { losses })
        }
    }
    let norm = |pulls: Vec<f64>| {
        let directory = tempdir().unwrap();
        let config = TrainConfig { updates: 1, validate_every: 0, ..config() };
        let quiet = &mut |_: Event| {};
        train(&config, 1, Tiny::new(1), &Pull(pulls), directory.path(), &AtomicBool::new(false), quiet).unwrap();
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
    let weights = |update| fs::read(directory.path().join(format!("checkpoints/step-00000{update}/model.safetensors")));
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

/// A regression some of whose files vanish while it runs.
struct Vanishing {
    regression: Regression,
    /// In these updates a file more is missing beside what is used.
    missing: Vec<usize>,
    /// In these updates and this validation batch nothing is left.
    empty: Vec<BatchId>,
}

impl Objective<Tiny> for Vanishing {
    type Data = crate::testing::Points;

    fn micro_batches(&self) -> usize {
        self.regression.micro_batches()
    }

    fn validation_batches(&self) -> usize {
        self.regression.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Self::Data>, ObjectiveError> {
        let left = |name: String| LeftOut { reason: format!("{name}.wav: no such file"), utterance: name };
        if self.empty.contains(&id) {
            return Err(Unusable(vec![left("all".into())]).into());
        }
        let batch = self.regression.prepare(id)?;
        Ok(match id {
            // Two files, each of them missed in both micro-batches.
            BatchId::Train { update, .. } if self.missing.contains(&update) => {
                Batch { left_out: vec![left("one".into()), left(format!("of {update}"))], ..batch }
            }
            _ => batch,
        })
    }

    fn losses(&self, model: &Tiny, data: &Self::Data, id: BatchId) -> Result<Losses, ObjectiveError> {
        self.regression.losses(model, data, id)
    }
}

#[test]
fn bad_files_are_left_out_by_name_up_to_the_limit() {
    let config = |bad_files| TrainConfig { loading: Loading { bad_files, ..Loading::default() }, ..config() };
    let objective = Vanishing {
        regression: Regression::new(7),
        missing: vec![2, 9],
        empty: vec![BatchId::Train { update: 4, micro: 1 }, BatchId::Valid(1)],
    };
    let run = |bad_files, directory: &Path, stop: Option<usize>| {
        let interrupt = AtomicBool::new(false);
        let mut observe = |event: Event| {
            if let Event::Recorded { record, .. } = event {
                interrupt.fetch_or(Some(record.update()) == stop, Ordering::Relaxed);
            }
        };
        train(&config(bad_files), 7, Tiny::new(7), &objective, directory, &interrupt, &mut observe)
    };
    let directory = tempdir().unwrap();
    run(4, directory.path(), None).unwrap();
    let whole = outcome(directory.path(), 20);
    let of = |records: &[Record], kind: fn(&Record) -> bool| -> Vec<Record> {
        records.iter().filter(|record| kind(record)).cloned().collect()
    };
    let left = |update, name: &str| Record::LeftOut {
        update,
        utterance: name.to_owned(),
        reason: format!("{name}.wav: no such file"),
    };
    let expected = [left(3, "one"), left(3, "of 2"), left(5, "all"), left(10, "of 9")];
    assert_eq!(of(&whole.2, |record| matches!(record, Record::LeftOut { .. })), expected);
    let skipped = of(&whole.2, |record| matches!(record, Record::Skipped { .. }));
    let [Record::Skipped { update: 5, reason, utterances, .. }] = &skipped[..] else { panic!("{skipped:?}") };
    assert_eq!(reason, "micro-batch 1: nothing of the batch can be used: all.wav: no such file");
    assert_eq!(utterances, &["u4-0", "all"]);
    // Interrupted with one of them counted already.
    let halves = tempdir().unwrap();
    run(4, halves.path(), Some(6)).unwrap_err();
    run(4, halves.path(), None).unwrap();
    assert!(whole == outcome(halves.path(), 20));
    let error = run(3, tempdir().unwrap().path(), None).unwrap_err();
    assert!(matches!(error, TrainError::BadFiles { update: 10, limit: 3, .. }), "{error}");
    assert!(error.to_string().contains("4 files") && error.to_string().contains("of 9.wav: no such file"), "{error}");
    let stopped = tempdir().unwrap();
    run(3, stopped.path(), Some(7)).unwrap_err();
    let error = run(3, stopped.path(), None).unwrap_err();
    assert!(matches!(error, TrainError::BadFiles { update: 10, limit: 3, .. }), "{error}");
}

#[test]
fn the_best_checkpoint_stays() {
    let best = |metric: &str, direction| Outcome::Best(Best { metric: metric.into(), direction });
    let objective = Regression::new(7);
    // Of equal numbers the first is the best.
    let config =
        TrainConfig { keep_last: 1, checkpoint_every: 2, outcome: best("constant", Direction::Higher), ..config() };
    let directory = tempdir().unwrap();
    run(&config, &objective, directory.path(), Some(12)).0.unwrap_err();
    run(&config, &objective, directory.path(), None).0.unwrap();
    let checkpoints = Checkpoints::open(&directory.path().join("checkpoints")).unwrap();
    assert_eq!(checkpoints.updates().unwrap(), [5, 20]);
    let state = crate::Checkpoint::read(&checkpoints.path(20)).unwrap().state;
    assert_eq!(state.best, Some(BestSoFar { update: 5, value: 1.0 }));

    let config = TrainConfig { outcome: best("square", Direction::Lower), ..config };
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

    let config = TrainConfig { outcome: best("wer", Direction::Lower), ..config };
    let error = run(&config, &objective, tempdir().unwrap().path(), None).0.unwrap_err().to_string();
    assert!(error.contains("\"wer\"") && error.contains("square, constant"), "{error}");
}

#[test]
fn batches_without_names_are_validated_on_and_a_best_that_never_was_is_an_error() {
    struct Unnamed(Regression, f64);
    impl Objective<Tiny> for Unnamed {
        type Data = <Regression as Objective<Tiny>>::Data;
        fn validation_batches(&self) -> usize {
            self.0.validation_batches()
        }
        fn prepare(&self, id: BatchId) -> Result<Batch<Self::Data>, ObjectiveError> {
            Ok(Batch { utterances: Vec::new(), ..self.0.prepare(id)? })
        }
        fn losses(&self, model: &Tiny, data: &Self::Data, id: BatchId) -> Result<Losses, ObjectiveError> {
            Ok(self.0.losses(model, data, id)?.log("named", self.1))
        }
    }
    let outcome = Outcome::Best(Best { metric: "named".into(), direction: Direction::Lower });
    let config = TrainConfig { outcome, ..config() };
    let trained = |value: f64| {
        let (directory, flag) = (tempdir().unwrap(), AtomicBool::new(false));
        let objective = Unnamed(Regression::new(7), value);
        let model = train(&config, 7, Tiny::new(7), &objective, directory.path(), &flag, &mut |_| ()).unwrap();
        Checkpoints::open(&directory.path().join("checkpoints")).unwrap().outcome(&config, model)
    };
    assert!(trained(1.0).is_ok());
    let error = trained(f64::NAN).unwrap_err().to_string();
    assert!(error.contains("finite number") && error.contains("outcome.kind=last"), "{error}");
}

#[test]
fn another_run_is_not_continued() {
    let objective = Regression::new(7);
    let directory = tempdir().unwrap();
    run(&config(), &objective, directory.path(), Some(10)).0.unwrap_err();
    let model = Tiny::new(2);
    let interrupt = AtomicBool::new(false);
    let error =
        train(&config(), 2, model, &objective, directory.path(), &interrupt, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("step-000010") && error.contains("seed 7"), "{error}");
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
        let result = train(config, 7, model, &Regression::new(7), directory.path(), &interrupt, quiet);
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

#[test]
fn the_mean_of_the_last_checkpoints_is_an_outcome() {
    let objective = Regression::new(7);
    let outcome = Outcome::Mean { checkpoints: 3 };
    let config = TrainConfig { keep_last: 3, checkpoint_every: 2, outcome: outcome.clone(), ..config() };
    let directory = tempdir().unwrap();
    let model = run(&config, &objective, directory.path(), None).0.unwrap();
    let checkpoints = Checkpoints::open(&directory.path().join("checkpoints")).unwrap();
    assert_eq!(checkpoints.updates().unwrap(), [16, 18, 20]);
    let values = |model: &Tiny| model.hidden.val().try_into_vec_as::<f32>().unwrap();
    let of = |update: usize| {
        values(&crate::Checkpoint::read(&checkpoints.path(update)).unwrap().restore_model(Tiny::new(2)).unwrap())
    };
    let parts = [16, 18, 20].map(of);
    assert_ne!(parts[0], parts[2]);
    let mean = values(&checkpoints.outcome(&config, model.clone()).unwrap());
    for (n, mean) in mean.iter().enumerate() {
        let expected: f64 = parts.iter().map(|part| f64::from(part[n])).sum::<f64>() / 3.0;
        assert_eq!(*mean, expected as f32);
    }
    let last = TrainConfig { outcome: Outcome::Last, ..config.clone() };
    assert_eq!(values(&checkpoints.outcome(&last, model.clone()).unwrap()), parts[2]);

    // Interruptions between the checkpoints, also one before the last, leave checkpoints that do not count.
    let elsewhere = tempdir().unwrap();
    for stop in [11, 13, 19] {
        run(&config, &objective, elsewhere.path(), Some(stop)).0.unwrap_err();
    }
    let again = run(&config, &objective, elsewhere.path(), None).0.unwrap();
    let others = Checkpoints::open(&elsewhere.path().join("checkpoints")).unwrap();
    assert_eq!(others.updates().unwrap(), [16, 18, 20]);
    assert_eq!(values(&others.outcome(&config, again.clone()).unwrap()), mean);
    // Neither does one that is still there.
    let state = crate::Checkpoint::read(&others.path(20)).unwrap().state;
    others.save(&Tiny::new(2), &Optimiser::new(&config.optimiser), &State { update: 19, ..state }).unwrap();
    assert_eq!(values(&others.outcome(&config, again).unwrap()), mean);

    std::fs::write(checkpoints.path(18).join("model.safetensors"), b"nothing").unwrap();
    let error = checkpoints.outcome(&config, model).unwrap_err().to_string();
    assert!(error.contains("step-000018") && error.contains("checksum"), "{error}");
    let short = TrainConfig { keep_last: 2, ..config };
    assert!(short.check().unwrap_err().to_string().contains("keep_last is 2"));
}

#[test]
fn a_scale_that_overflows_is_halved_until_f16_can_hold_the_gradients() {
    let exact = Regression::new(7);
    let half = Regression { half: true, ..Regression::new(7) };
    // Gradients of about 1 overflow f16 for scales above 65504: the first updates are skipped, more of them in a row than
    // are allowed to go wrong. Then the scale doubles every eight updates.
    let loss_scale = Some(LossScale { initial: (1_u64 << 24) as f64, growth_every: 8 });
    let scaled = TrainConfig { loss_scale, max_skipped: 2, updates: 40, ..config() };
    let directory = tempdir().unwrap();
    let model = run(&scaled, &half, directory.path(), None).0.unwrap();
    let lines = records::read(&directory.path().join("metrics.jsonl")).unwrap();
    let skipped: Vec<&String> = lines
        .iter()
        .filter_map(|line| if let Record::Skipped { reason, .. } = line { Some(reason) } else { None })
        .collect();
    assert!((4..20).contains(&skipped.len()), "{skipped:?}");
    assert!(skipped[0].contains("with a loss scaled by 16777216, now by 8388608"), "{}", skipped[0]);
    let scale =
        Checkpoints::open(&directory.path().join("checkpoints")).unwrap().newest_intact(|_, _| ()).unwrap().unwrap();
    let scale = scale.state.loss_scale.unwrap();
    assert!(scale.scale > 1.0 && scale.scale < (1_u64 << 24) as f64, "{scale:?}");

    // As many updates as were made here, in f32.
    let plain = TrainConfig { updates: 40, ..config() };
    let elsewhere = tempdir().unwrap();
    let reference = run(&plain, &exact, elsewhere.path(), None).0.unwrap();
    let error = |model: &Tiny| {
        let loss =
            exact.losses(&model.valid(), &exact.prepare(BatchId::Valid(0)).unwrap().data, BatchId::Valid(0)).unwrap();
        loss.total.into_scalar::<f32>()
    };
    // Both learn; the one that skipped its first updates is behind by these.
    let (start, end, reference) = (error(&Tiny::new(7)), error(&model), error(&reference));
    assert!(end < 0.5 * start && reference < 0.5 * start, "{start} → {end}, {reference} in f32");

    // The scale and its count are saved: an interrupted run continues to the same end.
    let interrupted = tempdir().unwrap();
    for stop in [3, 17, 30] {
        run(&scaled, &half, interrupted.path(), Some(stop)).0.unwrap_err();
    }
    run(&scaled, &half, interrupted.path(), None).0.unwrap();
    assert!(outcome(directory.path(), 40) == outcome(interrupted.path(), 40));
}

#[test]
fn a_run_goes_on_with_a_scale_or_without_as_it_is_told() {
    let scale = |updates: usize, loss_scale: Option<LossScale>, directory: &Path| {
        run(&TrainConfig { updates, loss_scale, ..config() }, &Regression::new(7), directory, None).0.unwrap();
        let checkpoint =
            crate::Checkpoint::read(&Checkpoints::at(&directory.join("checkpoints")).path(updates)).unwrap();
        checkpoint.state.loss_scale.map(|state| (state.scale, state.good))
    };
    let (directory, adaptive) = (tempdir().unwrap(), LossScale { initial: 8.0, growth_every: 3 });
    assert_eq!(scale(2, None, directory.path()), None);
    assert_eq!(scale(4, Some(adaptive), directory.path()), Some((8.0, 2)));
    assert_eq!(scale(6, Some(adaptive), directory.path()), Some((16.0, 1)));
    assert_eq!(scale(8, None, directory.path()), None);
    for wrong in [LossScale { initial: 0.0, ..adaptive }, LossScale { growth_every: 0, ..adaptive }] {
        let error = TrainConfig { loss_scale: Some(wrong), ..config() }.check().unwrap_err().to_string();
        assert!(error.contains("loss_scale."), "{error}");
    }
}

#[test]
fn a_scale_hides_no_loss_that_is_not_a_number() {
    let loss_scale = Some(LossScale { initial: 1024.0, growth_every: 1000 });
    let config = TrainConfig { loss_scale, max_skipped: 1, ..config() };
    let objective = Regression { poisoned: vec![4, 5, 6], ..Regression::new(7) };
    let error = run(&config, &objective, tempdir().unwrap().path(), None).0.unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { update: 6, in_a_row: 2, .. }), "{error}");
}
