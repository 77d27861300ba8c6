//! Runs whose updates several ranks share; the ranks are threads here.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};
use tempfile::tempdir;
use vocable_objectives::Losses;

use super::tests::outcome;
use super::*;
use crate::ranks::{fail, from_bytes};
use crate::testing::{Points, Regression, Threads, Tiny, config};
use crate::{Batch, ObjectiveError, records};

/// Runs on `size` ranks with seed 7; rank 0 is told to stop after the update `stop`.
fn run(
    size: usize,
    objective: &impl Objective<Tiny, Data = Points>,
    directory: &Path,
    stop: Option<usize>,
) -> Vec<Result<Tiny, TrainError>> {
    Threads::run(size, |ranks| {
        let interrupt = AtomicBool::new(false);
        let mut observe = |event: Event| {
            if let Event::Recorded { record, .. } = event
                && Some(record.update()) == stop
                && ranks.rank() + 1 == size
            {
                interrupt.store(true, Ordering::Relaxed);
            }
        };
        // Initial weights of its own: they must become rank 0's.
        let model = Tiny::new(7 + ranks.rank() as u64);
        train_together(ranks, &config(), 7, model, objective, directory, &interrupt, &mut observe)
    })
}

fn of(size: usize, objective: &Regression) -> (Vec<u8>, Vec<u8>, Vec<Record>) {
    let directory = tempdir().unwrap();
    for model in run(size, objective, directory.path(), None) {
        model.unwrap();
    }
    outcome(directory.path(), 20)
}

fn floats(weights: &[u8]) -> Vec<f32> {
    let file = safetensors::SafeTensors::deserialize(weights).unwrap();
    let tensors: std::collections::BTreeMap<_, _> = file.tensors().into_iter().collect();
    tensors.values().flat_map(|view| from_bytes(view.data())).collect()
}

#[test]
fn two_micro_batches_on_two_ranks_are_those_on_one_to_the_bit() {
    // The sum of two gradients does not depend on their order; a third rank has nothing to do.
    let objective = Regression { poisoned: vec![7], ..Regression::new(7) };
    let one = of(1, &objective);
    assert_eq!(one.2.len(), 20 + 4);
    for size in [2, 3] {
        assert!(one == of(size, &objective), "{size} ranks");
    }
}

#[test]
fn more_micro_batches_differ_by_the_order_of_additions_only() {
    let objective = Regression { micro_batches: 5, ..Regression::new(7) };
    let (one, two, three) = (of(1, &objective), of(2, &objective), of(3, &objective));
    for other in [two, three] {
        let (a, b) = (floats(&one.0), floats(&other.0));
        assert_eq!(a.len(), b.len());
        // Twenty updates at a rate of 0.05 of gradients that are rounded in another order: some units in the last place.
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
        assert_ne!(a, b, "the order of additions should show");
        for (a, b) in one.2.iter().zip(&other.2) {
            let (Record::Update { utterances: a, frames: f, .. }, Record::Update { utterances: b, frames: g, .. }) =
                (a, b)
            else {
                continue;
            };
            assert_eq!((a, f), (b, g));
        }
    }
}

#[test]
fn a_run_continues_on_another_number_of_ranks() {
    let objective = Regression::new(7);
    let directory = tempdir().unwrap();
    for (size, stop) in [(2, Some(4)), (1, Some(9)), (3, Some(13)), (2, None)] {
        for trained in run(size, &objective, directory.path(), stop) {
            match (stop, trained) {
                (Some(stop), Err(TrainError::Interrupted { update, .. })) => assert_eq!(update, stop),
                (None, Ok(_)) => {}
                (_, Err(error)) => panic!("{error}"),
                (Some(_), Ok(_)) => panic!("not interrupted"),
            }
        }
    }
    assert!(of(1, &objective) == outcome(directory.path(), 20));
}

/// Breaks down in the second micro-batch of an update.
struct Half(Regression, usize);

impl Objective<Tiny> for Half {
    type Data = Points;

    fn micro_batches(&self) -> usize {
        2
    }

    fn validation_batches(&self) -> usize {
        self.0.validation_batches()
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Points>, ObjectiveError> {
        if id == (BatchId::Train { update: self.1, micro: 1 }) {
            return Err("the audio is gone".into());
        }
        self.0.prepare(id)
    }

    fn losses(&self, model: &Tiny, data: &Points, id: BatchId) -> Result<Losses, ObjectiveError> {
        self.0.losses(model, data, id)
    }
}

#[test]
fn what_stops_one_rank_stops_all_and_the_last_checkpoint_continues() {
    let directory = tempdir().unwrap();
    let errors: Vec<String> = run(2, &Half(Regression::new(7), 13), directory.path(), None)
        .into_iter()
        .map(|trained| trained.unwrap_err().to_string())
        .collect();
    assert_eq!(errors[1], "no loss for micro-batch 1 of update 14");
    assert_eq!(errors[0], format!("rank 1: {}", errors[1]));
    assert_eq!(records::read(&directory.path().join("metrics.jsonl")).unwrap().last().unwrap().update(), 13);
    for model in run(2, &Regression::new(7), directory.path(), None) {
        model.unwrap();
    }
    assert!(of(1, &Regression::new(7)) == outcome(directory.path(), 20));
}

#[test]
fn what_rank_0_cannot_write_stops_all() {
    let directory = tempdir().unwrap();
    let errors = Threads::run(2, |ranks| {
        let (objective, flag, path) = (Regression::new(7), AtomicBool::new(false), directory.path());
        let mut observe = |event: Event| {
            if matches!(event, Event::Recorded { record, .. } if record.update() == 8) {
                fs::write(path.join("checkpoints/.step-000010.new"), "in the way").unwrap();
            }
        };
        train_together(ranks, &config(), 7, Tiny::new(7), &objective, path, &flag, &mut observe).unwrap_err()
    });
    assert!(matches!(errors[0], TrainError::Io { .. }), "{}", errors[0]);
    assert_eq!(errors[1].to_string(), format!("rank 0: {}", errors[0]));
    // The checkpoint before is intact.
    fs::remove_file(directory.path().join("checkpoints/.step-000010.new")).unwrap();
    for model in run(2, &Regression::new(7), directory.path(), None) {
        model.unwrap();
    }
    assert!(of(1, &Regression::new(7)) == outcome(directory.path(), 20));
}

#[test]
fn a_rank_that_fails_before_the_loop_is_heard() {
    let directory = tempdir().unwrap();
    let trained = Threads::run(2, |ranks| {
        if ranks.rank() == 1 {
            fail(ranks, "no corpus here");
            return None;
        }
        let (objective, flag) = (Regression::new(7), AtomicBool::new(false));
        let path = directory.path();
        train_together(ranks, &config(), 7, Tiny::new(7), &objective, path, &flag, &mut |_| ()).err()
    });
    assert_eq!(trained[0].as_ref().unwrap().to_string(), "rank 1: no corpus here");
}

/// Panics at the losses of an update's first micro-batch, which is rank 0's.
struct Bug(Regression, usize);

impl Objective<Tiny> for Bug {
    type Data = Points;

    fn micro_batches(&self) -> usize {
        2
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Points>, ObjectiveError> {
        self.0.prepare(id)
    }

    fn losses(&self, model: &Tiny, data: &Points, id: BatchId) -> Result<Losses, ObjectiveError> {
        assert!(id != BatchId::Train { update: self.1, micro: 0 }, "a bug");
        self.0.losses(model, data, id)
    }
}

#[test]
fn a_rank_that_panics_leaves_no_other_waiting() {
    let directory = tempdir().unwrap();
    let trained = Threads::run(2, |ranks| {
        let (objective, flag, path) = (Bug(Regression::new(7), 13), AtomicBool::new(false), directory.path());
        let train = || train_together(ranks, &config(), 7, Tiny::new(7), &objective, path, &flag, &mut |_| ()).err();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(train))
    });
    let [panicked, other] = <[_; 2]>::try_from(trained).unwrap();
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"a bug"));
    assert_eq!(other.unwrap().unwrap().to_string(), "rank 0: it panicked");
}

/// A weight, and the running mean of what it is multiplied by.
#[derive(Module, Debug)]
struct Normed {
    weight: Param<Tensor<1>>,
    mean: RunningState<Tensor<1>>,
}

/// Its training, in the third update of which a micro-batch holds a NaN.
struct Spoilt;

impl Objective<Normed> for Spoilt {
    type Data = f32;

    fn micro_batches(&self) -> usize {
        2
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<f32>, ObjectiveError> {
        let data = match id {
            BatchId::Train { update: 2, micro: 1 } => f32::NAN,
            BatchId::Train { update, micro } => (2 * update + micro) as f32,
            BatchId::Valid(_) => 0.0,
        };
        Ok(Batch { data, utterances: Vec::new(), sequences: Vec::new(), bytes: 0, left_out: Vec::new() })
    }

    fn losses(&self, model: &Normed, data: &f32, _: BatchId) -> Result<Losses, ObjectiveError> {
        model.mean.update(model.mean.value_sync() * 0.5 + 0.5 * *data);
        model.mean.value_sync();
        Ok(Losses::new(&model.weight.val().device()).add("product", 1.0, (model.weight.val() * *data).sum()))
    }
}

/// Four updates on `size` ranks, a checkpoint after each, from a running mean of 0.
fn normed(size: usize, objective: &impl Objective<Normed, Data = f32>, directory: &Path) -> Vec<Normed> {
    let config = TrainConfig { updates: 4, validate_every: 0, checkpoint_every: 1, ..config() };
    Threads::run(size, |ranks| {
        let device = Device::flex().autodiff();
        let tensor = |value: f32| Tensor::<1>::from_floats([value], &device);
        let model = Normed { weight: Param::from_tensor(tensor(1.0)), mean: RunningState::new(tensor(0.0)) };
        train_together(ranks, &config, 7, model, objective, directory, &AtomicBool::new(false), &mut |_| ()).unwrap()
    })
}

/// Moves the running mean half of the way to 1, in the first of every four micro-batches alone.
struct Steady {
    micro_batches: usize,
}

impl Objective<Normed> for Steady {
    type Data = f32;

    fn micro_batches(&self) -> usize {
        self.micro_batches
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<f32>, ObjectiveError> {
        let data = f32::from(u8::from(id.position().is_multiple_of(4)));
        Ok(Batch { data, utterances: Vec::new(), sequences: Vec::new(), bytes: 0, left_out: Vec::new() })
    }

    fn losses(&self, model: &Normed, data: &f32, _: BatchId) -> Result<Losses, ObjectiveError> {
        if *data == 1.0 {
            model.mean.update(model.mean.value_sync() * 0.5 + 0.5);
            model.mean.value_sync();
        }
        Ok(Losses::new(&model.weight.val().device()).add("weight", 1.0, model.weight.val().sum()))
    }
}

#[test]
fn running_statistics_are_the_mean_of_the_ranks_that_changed_them() {
    // Micro-batches that change them, and how many of these a rank with any has in an update.
    for (size, micro_batches, each) in [(1, 4, 1), (2, 4, 1), (4, 24, 6), (8, 24, 3), (8, 64, 8)] {
        let directory = tempdir().unwrap();
        for model in normed(size, &Steady { micro_batches }, directory.path()) {
            // Halves are exact.
            let mean = model.mean.value_sync().into_scalar::<f32>();
            assert_eq!(mean, 1.0 - 0.5_f32.powi(4 * each), "{size} ranks, {micro_batches} micro-batches");
        }
    }
}

#[test]
fn a_skipped_update_leaves_no_trace_in_running_statistics() {
    for size in [1, 2] {
        let directory = tempdir().unwrap();
        normed(size, &Spoilt, directory.path());
        let weights = |update| outcome(directory.path(), update).0;
        assert!(weights(2) == weights(3), "the third update left something, on {size} ranks");
        assert!(weights(1) != weights(2) && weights(3) != weights(4));
        assert!(floats(&weights(4)).iter().all(|value| value.is_finite()));
    }
}

/// Ranks whose sums are not the same on all of them.
struct Skewed(Threads);

impl Ranks for Skewed {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.gather(bytes)
    }

    fn sum(&self, values: &mut [f32]) {
        self.0.sum(values);
        values[0] *= 1.0 + 1e-4 * self.rank() as f32;
    }

    fn broadcast(&self, values: &mut [f32]) {
        self.0.broadcast(values);
    }
}

#[test]
fn weights_that_part_are_noticed_when_they_are_saved() {
    let directory = tempdir().unwrap();
    let errors = Threads::run(2, |ranks| {
        let (objective, flag, path) = (Regression::new(7), AtomicBool::new(false), directory.path());
        let ranks = Skewed(ranks.clone());
        train_together(&ranks, &config(), 7, Tiny::new(7), &objective, path, &flag, &mut |_| ()).unwrap_err()
    });
    for error in errors {
        assert!(matches!(&error, TrainError::Diverged { update: 5, ranks } if *ranks == [1]), "{error}");
    }
}
