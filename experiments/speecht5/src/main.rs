//! `speecht5`: the tables of the SpeechT5 paper, run here.
//!
//! A table is a value (see `vocable-lab`); this program holds the configurations, the stages and the paper's numbers.

mod config;
mod pipeline;
mod scales;
mod stages;
mod sweeps;
mod tables;

use std::process::ExitCode;

use vocable_lab::Cli;

fn main() -> ExitCode {
    vocable_kernels::keep_memory();
    Cli::new("speecht5", env!("CARGO_PKG_VERSION"), tables::all())
        .alias("--data", "data.manifest", "JSONL manifest of another corpus (default: the shipped Vocable mini)")
        .flag("--skip-bad", "data.skip_bad", "Leave unusable recordings out instead of stopping")
        .main()
}
