//! A run that goes on and on: memory, file handles and speed stay what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vocable_train::{Record, records};

use crate::program::{output, text};

/// Updates that are measured, set by `just soak`.
const UPDATES: &str = "VOCABLE_SOAK";
/// Without it: so many that what an update loses adds up.
const SHORT: usize = 400;
/// Updates before anything is measured: the allocator takes memory in pieces of about 1.1 MB, of 70, whenever a batch asks
/// for more at once than those before, which becomes rare in the first hundreds.
const WARM: usize = 600;
/// How far the memory of the second half may be from that of the first.
const FLAT: f64 = 0.02;
/// How far the time of an update may be, in a long run that has the machine to itself.
const STEADY: f64 = 0.05;

/// The directory of the pre-training stage, where it has saved this update or a later one.
fn saved(update: usize, runs: &Path) -> Option<PathBuf> {
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let after = |path: &Path, prefix: &str| path.file_name()?.to_str()?.strip_prefix(prefix).map(str::to_owned);
    let reaches =
        |path: PathBuf| after(&path, "step-").is_some_and(|step| step.parse().is_ok_and(|at: usize| at >= update));
    inside(runs.join("stages"))
        .find(|path| after(path, "pretrain-").is_some() && inside(path.join("checkpoints")).any(reaches))
}

fn handles(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The first and the second half of what comes after the first fifth, in which caches fill.
fn halves(values: &[f64]) -> [Vec<f64>; 2] {
    let (first, second) = values[values.len() / 5..].split_at(values.len() * 2 / 5);
    [first.to_vec(), second.to_vec()]
}

#[test]
fn a_long_run_stays_flat() {
    let long: Option<usize> = std::env::var(UPDATES).ok().map(|updates| updates.parse().expect("updates"));
    let last = WARM + long.unwrap_or(SHORT);
    let runs = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_speecht5"));
    command.args(["run", "ablation", "--scale=smoke", "--row=SpeechT5", "--column=SID", "--progress=none", "--runs"]);
    command.arg(runs.path()).args(["units.max_iter=2", "pretrain.train.updates=10000000"]);
    command.args(["pretrain.train.checkpoint_every=20", "pretrain.train.validate_every=20"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut until = |update| {
        let (begun, mut open) = (Instant::now(), Vec::new());
        loop {
            if let Some(stage) = saved(update, runs.path()) {
                return (stage, open);
            }
            assert!(child.try_wait().unwrap().is_none(), "the run has ended before update {update}");
            assert!(begun.elapsed() < Duration::from_secs(update as u64), "{update} updates take too long");
            sleep(Duration::from_millis(50));
            open.push(handles(child.id()) as f64);
        }
    };
    until(WARM);
    let (stage, open) = until(last);
    let mut interrupt = Command::new("kill");
    interrupt.args(["-INT", &child.id().to_string()]);
    assert!(output(interrupt).status.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));

    let (mut memory, mut seconds) = (Vec::new(), Vec::new());
    for record in records::read(&stage.join("metrics.jsonl")).unwrap() {
        if let Record::Update { update, memory: Some(used), seconds: took, .. } = record
            && update > WARM
        {
            memory.push(used.resident as f64);
            seconds.push(took);
        }
    }
    assert!(memory.len() >= 50, "{} updates are too few to say anything", memory.len());
    let ratio = |values: &[f64]| {
        let [first, second] = halves(values).map(median);
        second / first
    };
    // A file that a checkpoint is being written to is open for a moment, in one half or the other; what leaks stays open.
    let least = |values: Vec<f64>| values.into_iter().fold(f64::INFINITY, f64::min);
    let [before, after] = halves(&open).map(least);
    let (memory_ratio, seconds_ratio) = (ratio(&memory), ratio(&seconds));
    println!(
        "{} updates, second half to first: memory {memory_ratio:.4}, seconds an update {seconds_ratio:.4}, \
         handles that stay open {before} and {after}",
        memory.len()
    );
    assert!((memory_ratio - 1.0).abs() <= FLAT, "memory goes from 1 to {memory_ratio}");
    assert!(after <= before, "open files go from {before} to {after}");
    if long.is_some() {
        assert!((seconds_ratio - 1.0).abs() <= STEADY, "the time of an update goes from 1 to {seconds_ratio}");
    }
}
