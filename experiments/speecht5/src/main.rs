//! `speecht5`: the tables of the SpeechT5 paper, run here.
//!
//! A table is a value (see `vocable-lab`); this program holds the configurations, the stages and the paper's numbers.

mod changes;
mod columns;
mod config;
mod pipeline;
mod scales;
mod stages;
mod sweeps;
mod tables;
mod validate;

use std::process::ExitCode;

use vocable_lab::{Build, Cli, Git};
use vocable_train::ranks;

fn main() -> ExitCode {
    vocable_kernels::keep_memory();
    let features = [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu")), ("mpi", cfg!(feature = "mpi"))];
    let build = Build::new(include_str!("../../../Cargo.lock"), stages::DEVICE, &features);
    let build = Build { git: Git::described(env!("GIT_DESCRIBED")), ..build };
    let cli = Cli::new("speecht5", env!("CARGO_PKG_VERSION"), tables::all())
        .built(build)
        .alias("--data", "data.manifest", "JSONL manifest of another corpus (default: the shipped Vocable mini)")
        .flag("--skip-bad", "data.skip_bad", "Leave unusable recordings out instead of stopping");
    #[cfg(feature = "mpi")]
    let _joined = vocable_train::Mpi::join();
    let ranks = ranks::joined();
    if ranks.rank() > 0 {
        let args: Vec<_> = std::env::args_os().collect();
        let next = || Some(ranks::hear(&*ranks)).filter(|name| !name.is_empty());
        cli.follow(&args, next, |reason| ranks::fail(&*ranks, reason));
        return ExitCode::SUCCESS;
    }
    let code = cli.main();
    ranks::announce(&*ranks, "");
    code
}
