//! Times this workspace and PyTorch side by side: two workers, one in Rust and one in Python, do the same work on the
//! same inputs in turns, each idle while the other is measured (`just bench-peers`).

mod inputs;
mod job;
mod measure;
mod protocol;
mod report;
mod usage;
mod work;
mod worker;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Parser;

use crate::measure::Known;

/// Times this workspace and PyTorch side by side.
#[derive(Debug, Parser)]
struct Options {
    /// A Python with the packages of benches/peers/requirements.txt.
    #[arg(long, default_value = "target/peers-venv/bin/python")]
    python: PathBuf,
    /// The curves of how cost grows, too.
    #[arg(long)]
    full: bool,
    /// Only these rows of the table, or points of the curves.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds per row at least.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads on either side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Is a worker instead, for a driver on the other end of standard input.
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.worker {
        vocable_kernels::keep_memory();
        return worker::serve();
    }
    let mut rows = job::rows();
    if options.full || !options.only.is_empty() {
        rows.extend(job::points());
    }
    let wrong = |name: &&String| !rows.iter().any(|row| row.name == **name);
    if let Some(name) = options.only.iter().find(wrong) {
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        bail!("there is no row {name}; rows are {}", names.join(", "));
    }
    let mut known = Known::open(&options)?;
    let mut failed = Vec::new();
    for row in rows.iter().filter(|row| options.only.is_empty() || options.only.contains(&row.name)) {
        match measure::measure(row, &options) {
            Ok((measurement, versions)) => {
                println!("{}", report::line(&measurement));
                known.add(measurement, versions)?;
            }
            // The other rows are worth having all the same.
            Err(error) => {
                println!("{}: {error:#}", row.title);
                failed.push(row.name.as_str());
                known.fail(&row.name, format!("{error:#}"))?;
            }
        }
    }
    report::write(&known)?;
    report::plot(&options.python)?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}
