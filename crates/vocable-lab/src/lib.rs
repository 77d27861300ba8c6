//! Experiments as values.
//!
//! A [`Table`] is a base function that returns one complete, typed configuration, rows that are named changes to it,
//! columns that are a task and a metric, and the numbers a paper printed. Each cell is scored by a chain of
//! [`Stage`]s; a stage's identity is the hash of its resolved configuration, of its inputs' identities and of the
//! version of its code contract, so rows share what they share, and a second run resumes and never repeats.
//!
//! The crate knows nothing about models: it works over any [`Config`]. `examples/coffee.rs` is a complete program.
//!
//! ```text
//! runs/
//!   stages/<kind>-<hash8>/      config.toml  manifest.json  metrics.jsonl  checkpoints/  outputs/  log.txt
//!   tables/<table>-<scale>.json
//! ```

mod archive;
mod args;
mod board;
mod cli;
mod command;
mod compare;
pub mod config;
mod error;
mod export;
pub mod files;
mod follow;
mod gc;
mod grid;
mod html;
mod jobs;
mod manifest;
mod nearest;
mod patch;
mod plan;
mod progress;
mod record;
mod report;
mod runner;
mod scale;
mod score;
mod stage;
mod stage_run;
mod table;
pub mod trace;
mod verify;
mod watch;

pub use cli::Cli;
pub use config::{Change, Config, diff};
pub use error::{ConfigError, Error, Interrupted};
pub use manifest::{Build, Git};
pub use patch::Patch;
pub use plan::Plan;
pub use progress::Progress;
pub use record::Record;
pub use runner::{Outcome, Runner};
pub use scale::Scale;
pub use score::{Parts, Score, Scores};
pub use stage::{Cost, Stage};
pub use stage_run::{Metrics, StageRun};
pub use table::{Column, Direction, Origin, Printed, Table, Trial, Unavailable};
