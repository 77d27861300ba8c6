//! A model and an objective small enough to train in a test.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand::RngExt;
use vocable_objectives::Losses;
use vocable_random::Key;

use crate::ranks::{from_bytes, to_bytes};
use crate::{Batch, BatchId, Objective, ObjectiveError, OptimiserConfig, Ranks, Schedule, Sequences, TrainConfig};

/// Two layers, and a weight that only some batches touch.
#[derive(Module, Debug)]
pub(crate) struct Tiny {
    pub(crate) hidden: Param<Tensor<2>>,
    pub(crate) heads: Vec<Param<Tensor<2>>>,
    pub(crate) rare: Param<Tensor<1>>,
}

pub(crate) const INPUTS: usize = 4;
const HIDDEN: usize = 8;

impl Tiny {
    pub(crate) fn new(seed: u64) -> Self {
        let device = Device::flex().autodiff();
        let values = |name: &str, count: usize| {
            let mut rng = Key::new(seed).fold("init").fold(name).rng();
            (0..count).map(|_| rng.random_range(-0.5..0.5_f32)).collect::<Vec<f32>>()
        };
        let matrix = |name, rows, columns| TensorData::new(values(name, rows * columns), [rows, columns]);
        Self {
            hidden: Param::from_data(matrix("hidden", INPUTS, HIDDEN), &device),
            heads: vec![Param::from_data(matrix("head", HIDDEN, 1), &device)],
            rare: Param::from_data(TensorData::new(values("rare", 1), [1]), &device),
        }
    }
}

/// Least squares with dropout: `y = x₀ − 2·x₁ + noise`, a fresh batch in every micro-batch.
pub(crate) struct Regression {
    pub(crate) key: Key,
    pub(crate) micro_batches: usize,
    /// Updates whose input holds a NaN.
    pub(crate) poisoned: Vec<usize>,
    /// The update whose batches cannot be prepared.
    pub(crate) broken: Option<usize>,
    /// Whether the last product is computed in f16.
    pub(crate) half: bool,
}

impl Regression {
    pub(crate) fn new(seed: u64) -> Self {
        Self { key: Key::new(seed), micro_batches: 2, poisoned: Vec::new(), broken: None, half: false }
    }

    fn data(key: Key, items: usize) -> (TensorData, TensorData) {
        let mut rng = key.rng();
        let mut x = Vec::with_capacity(items * INPUTS);
        let mut y = Vec::with_capacity(items);
        for _ in 0..items {
            let row: [f32; INPUTS] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            y.push(row[0] - 2.0 * row[1] + rng.random_range(-0.01..0.01_f32));
            x.extend(row);
        }
        (TensorData::new(x, [items, INPUTS]), TensorData::new(y, [items, 1]))
    }

    fn squared_error(&self, model: &Tiny, data: &Points) -> Tensor<1> {
        let device = model.hidden.val().device();
        let mut hidden = Tensor::from_data(data.x.clone(), &device).matmul(model.hidden.val()).tanh();
        if let Some(kept) = &data.kept {
            hidden = hidden * Tensor::from_data(kept.clone(), &device);
        }
        let head = model.heads[0].val();
        let found = match self.half {
            true => hidden.cast(FloatDType::F16).matmul(head.cast(FloatDType::F16)).cast(FloatDType::F32),
            false => hidden.matmul(head),
        };
        (found - Tensor::from_data(data.y.clone(), &device)).square().mean()
    }
}

/// A batch of a [`Regression`].
pub(crate) struct Points {
    x: TensorData,
    y: TensorData,
    /// What the hidden values are multiplied by.
    kept: Option<TensorData>,
}

impl Objective<Tiny> for Regression {
    type Data = Points;

    fn micro_batches(&self) -> usize {
        self.micro_batches
    }

    fn validation_batches(&self) -> usize {
        2
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Points>, ObjectiveError> {
        let items = 6;
        let (data, name) = match id {
            BatchId::Train { update, .. } if self.broken == Some(update) => return Err("the audio is gone".into()),
            BatchId::Train { update, micro } => {
                let key = self.key.fold(update).fold(micro);
                let mut rng = key.fold("dropout").rng();
                let kept = (0..items * HIDDEN).map(|_| if rng.random_bool(0.8) { 1.25 } else { 0.0_f32 });
                let kept = TensorData::new(kept.collect::<Vec<_>>(), [items, HIDDEN]);
                let (x, y) = Self::data(key.fold("data"), items);
                (Points { x, y, kept: Some(kept) }, format!("u{update}-{micro}"))
            }
            BatchId::Valid(index) => {
                let (x, y) = Self::data(self.key.fold("valid").fold(index), 16);
                (Points { x, y, kept: None }, format!("v{index}"))
            }
        };
        // Of eight positions, two are padding.
        let sequences = vec![Sequences::new("points", [4, 2])];
        Ok(Batch { data, utterances: vec![name], sequences, bytes: 1000, left_out: Vec::new() })
    }

    fn losses(&self, model: &Tiny, data: &Points, id: BatchId) -> Result<Losses, ObjectiveError> {
        let device = model.hidden.val().device();
        let mut loss = self.squared_error(model, data);
        let BatchId::Train { update, micro } = id else {
            assert!(!device.is_autodiff(), "validation needs no graph");
            return Ok(Losses::new(&device).add("square", 1.0, loss).log("constant", 1.0));
        };
        if self.poisoned.contains(&update) {
            loss = loss.mul_scalar(f32::NAN);
        }
        let losses = Losses::new(&device).add("square", 1.0, loss);
        // Every third update touches the rare weight, and only in its second micro-batch.
        Ok(if update % 3 == 2 && micro == 1 {
            losses.add("rare", 0.1, model.rare.val().square().sum())
        } else {
            losses
        })
    }
}

/// Twenty updates that check and save every five.
pub(crate) fn config() -> TrainConfig {
    let optimiser = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.01, clip: 1.0 };
    TrainConfig {
        validate_every: 5,
        checkpoint_every: 5,
        keep_last: 10,
        ..TrainConfig::new(20, 0.05, Schedule::Linear { warmup: 0.2 }, optimiser)
    }
}

/// Ranks that are threads of one process.
#[derive(Clone)]
pub(crate) struct Threads {
    rank: usize,
    barrier: Arc<Barrier>,
    given: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Threads {
    /// What `work` returns on each of `size` ranks.
    pub(crate) fn run<R: Send>(size: usize, work: impl Fn(&Self) -> R + Sync) -> Vec<R> {
        let (barrier, given) = (Arc::new(Barrier::new(size)), Arc::new(Mutex::new(vec![Vec::new(); size])));
        thread::scope(|scope| {
            let start = |rank| {
                let (ranks, work) = (Self { rank, barrier: Arc::clone(&barrier), given: Arc::clone(&given) }, &work);
                scope.spawn(move || work(&ranks))
            };
            let threads: Vec<_> = (0..size).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("a rank does not panic")).collect()
        })
    }

    fn floats(&self, values: &[f32]) -> Vec<Vec<f32>> {
        self.gather(&to_bytes(values)).iter().map(|bytes| from_bytes(bytes)).collect()
    }
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.given.lock().unwrap()[self.rank] = bytes.to_vec();
        self.barrier.wait();
        let all = self.given.lock().unwrap().clone();
        self.barrier.wait();
        all
    }

    fn sum(&self, values: &mut [f32]) {
        let all = self.floats(values);
        for (index, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|values| values[index]).sum();
        }
    }

    fn broadcast(&self, values: &mut [f32]) {
        values.copy_from_slice(&self.floats(values)[0]);
    }
}
