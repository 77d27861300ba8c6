//! A plan as a script: one command for each stage, in order or as jobs of a cluster that wait for each other.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use crate::cli::INTERRUPTED;
use crate::error::Error;
use crate::plan::Plan;
use crate::progress::about;
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
    let jobs: HashMap<&str, String> =
        open.iter().enumerate().map(|(at, stage)| (stage.identity(), format!("job{}", at + 1))).collect();
    let mut script = String::new();
    let mut line = |words: &str| {
        // Writing to a string never fails.
        let _ = writeln!(script, "{words}");
    };
    match dialect {
        Dialect::Shell => {
            line("#!/bin/sh\nset -eu");
            if !open.is_empty() {
                line("# A stage that fails keeps only those from running that need it; an interruption ends all.");
            }
            for stage in &open {
                let needed = stage.inputs().iter().filter_map(|(_, input)| jobs.get(input.identity()));
                let needed: String = needed.map(|job| format!("[ ${{{job}-}} ] && ")).collect();
                let done = &jobs[stage.identity()];
                line(&format!(
                    "{needed}{} && {done}=done || [ $? -ne {INTERRUPTED} ] || exit {INTERRUPTED}",
                    one(stage)
                ));
            }
            line(command);
        }
        Dialect::Slurm => {
            line("#!/bin/sh");
            line(
                "# Submits a job for each stage; each begins when those that it needs have ended well. Options for all of",
            );
            line("# them, such as a partition or a time limit, are taken from the environment: SBATCH_PARTITION=…,");
            line("# SBATCH_TIMELIMIT=…, and CPUS=… for the cores of each.");
            line("# The last job writes the tables if all others have ended well. If some have not, its command with");
            line("# `--row NAME`, the name of a row that is done, writes what there is and trains nothing.");
            line("set -eu");
            line("cpus=${CPUS:-2}");
            let after = |needed: Vec<&String>| match needed.as_slice() {
                [] => String::new(),
                needed => {
                    let ids: String = needed.iter().map(|job| format!(":${job}")).collect();
                    format!(" --dependency=afterok{ids} --kill-on-invalid-dep=yes")
                }
            };
            let submit = |name: &str, after: String, command: &str| {
                let command = quoted(&format!("{command} --threads "));
                format!("sbatch --parsable --job-name={name} --cpus-per-task=$cpus{after} --wrap={command}\"$cpus\"")
            };
            for stage in &open {
                let after = after(stage.inputs().iter().filter_map(|(_, input)| jobs.get(input.identity())).collect());
                // No limit is made of it: another machine may be slower, or a hundred times as fast.
                line(&format!("# {} on the machine that wrote this", about(stage.cost().seconds)));
                line(&format!("{}=$({})", jobs[stage.identity()], submit(&stage.name(), after, &one(stage))));
            }
            let all = open.iter().map(|stage| &jobs[stage.identity()]).collect();
            line(&submit("tables", after(all), command));
        }
    }
    Ok(script)
}

/// A word that a shell takes as it is.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
