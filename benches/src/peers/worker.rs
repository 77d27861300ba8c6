//! Our worker: does what the driver asks for on standard input.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use vocable_train::memory::{Memory, forget_peak, memory};

use crate::protocol::{Prepared, Request, Run};
use crate::usage;
use crate::work::{self, Ready};

/// Serves until the input ends.
pub fn serve() -> Result<()> {
    let mut ready: Option<Ready> = None;
    for line in std::io::stdin().lock().lines() {
        let reply = match serde_json::from_str(&line?)? {
            Request::Prepare(job) => {
                let base = in_use()?.resident;
                let work = ready.insert(work::prepare(&job)?);
                let versions = BTreeMap::from([("burn".to_owned(), "0.22.1".to_owned())]);
                serde_json::to_string(&Prepared { base, weights: work.weights as u64, versions })
            }
            Request::Run => {
                let work = ready.as_mut().context("nothing is prepared")?;
                ensure!(forget_peak(), "the peak of memory cannot be forgotten: /proc/self/clear_refs");
                let cpu = usage::cpu()?;
                let start = Instant::now();
                let outcome = (work.run)();
                let seconds = start.elapsed().as_secs_f64();
                let peak = match usage::peak_of_programs()? {
                    0 => in_use()?.peak,
                    programs => programs,
                };
                serde_json::to_string(&Run { seconds, cpu: usage::cpu()? - cpu, peak, outcome })
            }
        };
        println!("{}", reply?);
    }
    Ok(())
}

fn in_use() -> Result<Memory> {
    memory().context("memory is counted by Linux's /proc alone")
}
