//! A run that goes on and on: memory, file handles and speed stay what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vocable_train::{Record, records};

use crate::program::{output, text};

/// Seconds of the run, set by `just soak`.
const SECONDS: &str = "VOCABLE_SOAK";
/// Without it: some hundred updates.
const SHORT: u64 = 12;
/// Updates before anything is measured: the heap still grows in the first hundred.
const WARM: usize = 120;
/// How far the memory of the second half may be from that of the first.
const FLAT: f64 = 0.02;
/// How far the time of an update may be, in a long run that has the machine to itself.
const STEADY: f64 = 0.05;

/// The directory of the pre-training stage, once it has saved the update that measuring begins with.
fn warm(runs: &Path) -> PathBuf {
    let begun = Instant::now();
    loop {
        let stages = fs::read_dir(runs.join("stages")).into_iter().flatten().flatten().map(|entry| entry.path());
        let training = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("pretrain-");
        let saved = |path: &PathBuf| path.join(format!("checkpoints/step-{WARM:06}")).exists();
        if let Some(stage) = stages.into_iter().find(|path| training(path) && saved(path)) {
            return stage;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{WARM} updates take too long");
        sleep(Duration::from_millis(5));
    }
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
    let long: Option<u64> = std::env::var(SECONDS).ok().map(|seconds| seconds.parse().expect("seconds"));
    let duration = Duration::from_secs(long.unwrap_or(SHORT));
    let runs = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_speecht5"));
    command.args(["run", "ablation", "--scale=smoke", "--row=SpeechT5", "--column=SID", "--progress=none", "--runs"]);
    command.arg(runs.path()).args(["units.max_iter=2", "pretrain.train.updates=10000000"]);
    command.args(["pretrain.train.checkpoint_every=20", "pretrain.train.validate_every=20"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stage = warm(runs.path());
    let (begun, mut open) = (Instant::now(), Vec::new());
    while begun.elapsed() < duration {
        sleep(Duration::from_millis(50));
        open.push(handles(child.id()) as f64);
    }
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
        "{} updates in {} s, second half to first: memory {memory_ratio:.4}, seconds an update {seconds_ratio:.4}, \
         handles that stay open {before} and {after}",
        memory.len(),
        duration.as_secs()
    );
    assert!((memory_ratio - 1.0).abs() <= FLAT, "memory goes from 1 to {memory_ratio}");
    assert!(after <= before, "open files go from {before} to {after}");
    if long.is_some() {
        assert!((seconds_ratio - 1.0).abs() <= STEADY, "the time of an update goes from 1 to {seconds_ratio}");
    }
}
