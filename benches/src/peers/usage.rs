//! Processor time and the memory of other programs, as Linux counts them, in seconds and bytes.

use anyhow::{Context, Result};

/// Clock ticks a second, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Most that any program was resident with that this process has run and waited for.
#[cfg(unix)]
pub fn peak_of_programs() -> Result<u64> {
    use nix::sys::resource::{UsageWho, getrusage};

    let kilobytes = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    Ok(u64::try_from(kilobytes)? * 1024)
}

/// Most that any program was resident with: not counted here.
#[cfg(not(unix))]
pub fn peak_of_programs() -> Result<u64> {
    anyhow::bail!("the memory of programs is counted by Unix alone")
}

/// Processor time of this process so far, threads and finished programs included.
pub fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let ticks = |n: usize| fields.split_whitespace().nth(n).and_then(|ticks| ticks.parse::<f64>().ok());
    // utime stime cutime cstime
    let all = (11..15).map(|n| ticks(n).context("/proc/self/stat"));
    Ok(all.sum::<Result<f64>>()? / TICKS)
}

/// Processor time of all processes so far, and what the machine's other guests took.
pub fn cpu_of_all() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks: Vec<f64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map_while(|t| t.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].map(|n| ticks.get(n).copied().unwrap_or(0.0));
    Ok(busy.iter().sum::<f64>() / TICKS)
}
