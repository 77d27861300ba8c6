//! A plan as a script: one command for each stage, in order or as jobs of a cluster that wait for each other.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use crate::error::Error;
use crate::plan::Plan;
use crate::stage::Stage;

/// What reads the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A POSIX shell: one stage after the other.
    Shell,
    /// A shell that submits a Slurm job for each stage.
    Slurm,
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "shell" => Ok(Self::Shell),
            "slurm" => Ok(Self::Slurm),
            _ => Err("shell or slurm is expected".to_owned()),
        }
    }
}

/// A script that runs what of a plan is not done. `command` runs the whole plan; with `--stage NAME` it runs one stage.
///
/// # Errors
/// [`Error`] when a manifest cannot be read.
pub fn script(plan: &Plan, runs: &Path, command: &str, dialect: Dialect) -> Result<String, Error> {
    let states = plan.states(runs)?;
    let open: Vec<&Stage> = plan
        .stages()
        .iter()
        .zip(&states)
        .filter(|(_, state)| !state.is_finished())
        .map(|(stage, _)| &**stage)
        .collect();
    let one = |stage: &Stage| format!("{command} --stage {}", stage.name());
    let mut script = String::new();
    let mut line = |words: &str| {
        // Writing to a string never fails.
        let _ = writeln!(script, "{words}");
    };
    match dialect {
        Dialect::Shell => {
            line("#!/bin/sh\nset -eu");
            open.iter().for_each(|stage| line(&one(stage)));
            line(command);
        }
        Dialect::Slurm => {
            line("#!/bin/sh");
            line(
                "# Submits a job for each stage; each begins when those that it needs have ended well. Options for all of",
            );
            line("# them, such as a partition, are taken from the environment: SBATCH_PARTITION=…");
            line("set -eu");
            line("cpus=${CPUS:-2}");
            let jobs: HashMap<&str, String> =
                open.iter().enumerate().map(|(at, stage)| (stage.identity(), format!("job{}", at + 1))).collect();
            let after = |needed: Vec<&String>| match needed.as_slice() {
                [] => String::new(),
                needed => {
                    let ids: String = needed.iter().map(|job| format!(":${job}")).collect();
                    format!(" --dependency=afterok{ids} --kill-on-invalid-dep=yes")
                }
            };
            let submit = |name: &str, minutes: u64, after: String, command: &str| {
                let wrapped = format!("{command} --threads $cpus").replace('"', "\\\"");
                format!(
                    "sbatch --parsable --job-name={name} --cpus-per-task=$cpus --time={minutes}{after} --wrap=\"{wrapped}\""
                )
            };
            for stage in &open {
                let after = after(stage.inputs().iter().filter_map(|(_, input)| jobs.get(input.identity())).collect());
                // An estimate for this machine: another one may be slower.
                let minutes = (stage.cost().seconds * 4.0 / 60.0).ceil() as u64 + 10;
                line(&format!("{}=$({})", jobs[stage.identity()], submit(&stage.name(), minutes, after, &one(stage))));
            }
            let all = open.iter().map(|stage| &jobs[stage.identity()]).collect();
            line(&submit("tables", 10, after(all), command));
        }
    }
    Ok(script)
}
