//! Fits a small network to a sine in seconds, interrupts itself half-way, resumes, and checks that the weights are those
//! of a run that was never interrupted.
//!
//! `cargo run -p vocable-train --example regression`

use std::error::Error;
use std::f32::consts::PI;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_train::{
    Batch, BatchId, Event, Objective, ObjectiveError, OptimiserConfig, Record, Schedule, TrainConfig, TrainError,
    save_model, train,
};

const HIDDEN: usize = 32;

/// `y = tanh(x · a + b) · c`
#[derive(Module, Debug)]
struct Network {
    a: Param<Tensor<2>>,
    b: Param<Tensor<1>>,
    c: Param<Tensor<2>>,
}

impl Network {
    fn new(key: Key, device: &Device) -> Self {
        let draw = |name: &str, shape: Vec<usize>| {
            let mut rng = key.fold(name).rng();
            let values: Vec<f32> = (0..HIDDEN).map(|_| rng.random_range(-1.0..1.0)).collect();
            TensorData::new(values, shape)
        };
        Self {
            a: Param::from_data(draw("a", vec![1, HIDDEN]), device),
            b: Param::from_data(draw("b", vec![HIDDEN]), device),
            c: Param::from_data(draw("c", vec![HIDDEN, 1]), device),
        }
    }

    /// `[batch, 1]` to `[batch, 1]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        (x.matmul(self.a.val()) + self.b.val().unsqueeze()).tanh().matmul(self.c.val())
    }
}

struct Sine {
    key: Key,
}

impl Objective<Network> for Sine {
    type Data = Vec<f32>;

    fn micro_batches(&self) -> usize {
        2
    }

    fn validation_batches(&self) -> usize {
        1
    }

    fn prepare(&self, id: BatchId) -> Result<Batch<Vec<f32>>, ObjectiveError> {
        let (key, points) = match id {
            BatchId::Train { update, micro } => (self.key.fold("train").fold(update).fold(micro), 16),
            BatchId::Valid(index) => (self.key.fold("valid").fold(index), 200),
        };
        let mut rng = key.rng();
        let data: Vec<f32> = (0..points).map(|_| rng.random_range(-PI..PI)).collect();
        Ok(Batch {
            bytes: 4 * points,
            data,
            utterances: vec![format!("{id:?}")],
            sequences: Vec::new(),
            left_out: Vec::new(),
        })
    }

    fn losses(&self, network: &Network, x: &Vec<f32>, _: BatchId) -> Result<Losses, ObjectiveError> {
        let y = x.iter().map(|x| x.sin()).collect();
        let device = network.a.val().device();
        let column = |values| Tensor::<2>::from_data(TensorData::new(values, [x.len(), 1]), &device);
        let error = network.forward(column(x.clone())) - column(y);
        Ok(Losses::new(&device).add("square", 1.0, error.square().mean()))
    }
}

/// Trains in `directory`, setting the interrupt flag after the update `stop`.
fn fit(directory: &Path, stop: Option<usize>) -> Result<Network, TrainError> {
    let key = Key::new(1337);
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.0, clip: 5.0 };
    let config = TrainConfig {
        validate_every: 100,
        checkpoint_every: 100,
        ..TrainConfig::new(400, 0.02, Schedule::Linear { warmup: 0.08 }, adamw)
    };
    let interrupt = AtomicBool::new(false);
    let mut observe = |event: Event| match event {
        Event::Started { update, from: Some(path) } => {
            println!("continuing after update {update} from {}", path.display())
        }
        Event::Recorded { record: Record::Validation { update, numbers, .. }, remaining } => {
            println!("update {update}: {} = {:.5}, {remaining:.1?} to go", numbers[0].0, numbers[0].1);
        }
        Event::Recorded { record, .. } if Some(record.update()) == stop => interrupt.store(true, Ordering::Relaxed),
        _ => {}
    };
    let network = Network::new(key.fold("init"), &Device::flex().autodiff());
    train(&config, 1, network, &Sine { key }, directory, &interrupt, &mut observe)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (whole, halves) = (directory.path().join("whole"), directory.path().join("halves"));

    let first = fit(&whole, None)?;
    match fit(&halves, Some(230)) {
        Err(interrupted @ TrainError::Interrupted { .. }) => println!("{interrupted}"),
        other => return Err(format!("not interrupted: {:?}", other.err()).into()),
    }
    let second = fit(&halves, None)?;

    let weights = [(first, "first.safetensors"), (second, "second.safetensors")].map(|(network, name)| {
        let path = directory.path().join(name);
        save_model(&network, &path)?;
        Ok::<_, Box<dyn Error>>(std::fs::read(path)?)
    });
    let [first, second] = weights;
    if first? != second? {
        return Err("the interrupted run ended with other weights".into());
    }
    println!("the interrupted run ended with the same weights, bit for bit");
    Ok(())
}
