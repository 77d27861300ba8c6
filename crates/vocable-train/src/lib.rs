#![doc = include_str!("../README.md")]

mod average;
pub mod checkpoint;
pub mod config;
mod error;
mod items;
mod loader;
mod loss_scale;
mod means;
pub mod memory;
#[cfg(feature = "mpi")]
mod mpi;
mod objective;
pub mod optimiser;
pub mod parameters;
pub mod ranks;
pub mod records;
pub mod schedule;
mod step_loop;
pub mod tensorboard;
#[cfg(test)]
mod testing;

pub use checkpoint::{Checkpoint, Checkpoints, load_model, save_model};
pub use config::{Best, Direction, Outcome, TrainConfig};
pub use error::TrainError;
pub use items::{Items, keep, update_key};
pub use loader::Loading;
pub use loss_scale::{LossScale, ScaleState};
pub use memory::Memory;
#[cfg(feature = "mpi")]
pub use mpi::{Joined, Mpi};
pub use objective::{Batch, BatchId, LeftOut, Objective, ObjectiveError, Sequences, Unusable, usable};
pub use optimiser::{Optimiser, OptimiserConfig};
pub use ranks::{Alone, Ranks};
pub use records::Record;
pub use schedule::{Decay, Schedule};
pub use step_loop::{Event, train, train_together};
pub use tensorboard::EventWriter;
