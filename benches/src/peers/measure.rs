//! Both sides in turns, and the file of what was measured.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::inputs::Inputs;
use crate::job::{Job, Row};
use crate::protocol::{Prepared, Request, Run, Worker};
use crate::usage;

/// More rounds than asked for are made within this time.
const ENOUGH: f64 = 12.0;
/// Rounds at most.
const MOST: usize = 20;
/// A round is made again when other processes took more than this share of the machine meanwhile; at most as many times as rounds
/// are asked for.
pub const DISTURBED: f64 = 0.04;
/// Until the threads of one side have stopped spinning.
const REST: Duration = Duration::from_millis(300);

/// One side of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    /// Seconds of every round.
    pub seconds: Vec<f64>,
    /// Most resident bytes during any round.
    pub peak: u64,
    /// Resident bytes before model and inputs were there.
    pub base: u64,
    /// Numbers in the model.
    pub weights: u64,
    /// What the first round ended with.
    pub outcome: BTreeMap<String, f64>,
}

impl Side {
    /// The fastest round.
    pub fn fastest(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How far the median round is above the fastest, as a share of it.
    pub fn spread(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2] / sorted[0] - 1.0
    }
}

/// A row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Its short name.
    pub name: String,
    /// What a reader is told.
    pub title: String,
    /// The curve it is a point of, and where.
    pub curve: Option<(String, f64)>,
    /// The commit that was measured; `+` behind it says that files had been changed since.
    pub commit: String,
    /// This workspace.
    pub ours: Side,
    /// PyTorch.
    pub peer: Side,
    /// Rounds that were made again.
    pub disturbed: usize,
    /// Largest share of the machine that other processes took in the rounds that count.
    pub others: f64,
}

impl Measurement {
    /// How many times as fast as PyTorch.
    pub fn ratio(&self) -> f64 {
        self.peer.fastest() / self.ours.fastest()
    }

    /// Peak bytes of an update on either side, less what was resident before the model, and less `state` numbers for each
    /// trained one; the sides train the same.
    pub fn activations(&self, state: u64) -> [i64; 2] {
        [&self.ours, &self.peer].map(|side| {
            let held = 4 * (side.weights + state * self.peer.weights);
            side.peak as i64 - (side.base + held) as i64
        })
    }
}

/// Where and with what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors seen.
    pub cores: usize,
    /// Widest vector instructions.
    pub vectors: String,
    /// Memory in GiB.
    pub memory: u64,
    /// Threads on either side.
    pub threads: usize,
    /// Versions on either side.
    pub versions: BTreeMap<String, String>,
}

/// All rows measured so far on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measurements {
    /// The machine.
    pub machine: Machine,
    /// Rows in the order of the table.
    pub rows: Vec<Measurement>,
    /// Why rows could not be measured here, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
}

/// What was measured on every machine so far, kept beside the document.
#[derive(Debug)]
pub struct Known {
    /// In the order in which they were first measured on.
    pub machines: Vec<Measurements>,
    /// Which of them this one is.
    here: usize,
}

/// Measures one row.
pub fn measure(row: &Row, options: &Options) -> Result<(Measurement, BTreeMap<String, String>)> {
    let folder = Path::new("target/peers");
    std::fs::create_dir_all(folder)?;
    let inputs = std::path::absolute(folder.join(format!("{}.safetensors", row.name)))?;
    let weights = row.work.shares_weights().then(|| std::path::absolute(folder.join("weights"))).transpose()?;
    let job = Job { work: row.work.clone(), model: row.model.clone(), inputs, weights };
    Inputs::draw(&job).write(&job.inputs)?;
    let prepare = Request::Prepare(Box::new(job));
    // With this file and lines of `"run"` a worker can be run by hand, in a profiler for example.
    std::fs::write(folder.join(format!("{}.json", row.name)), serde_json::to_string(&prepare)? + "\n")?;

    let threads = options.threads.to_string();
    let mut workers = [
        Worker::start(
            "the Rust worker",
            with_threads(Command::new(std::env::current_exe()?).arg("--worker"), &threads),
        )?,
        Worker::start(
            "the Python worker",
            with_threads(Command::new(&options.python).arg("-Wignore").arg("benches/peers/worker.py"), &threads),
        )?,
    ];
    // Ours reads the weights that the other has written.
    let mut prepared = Vec::with_capacity(2);
    for worker in workers.iter_mut().rev() {
        worker.send(&prepare)?;
        prepared.insert(0, worker.reply::<Prepared>()?);
    }
    let cores = std::thread::available_parallelism()?.get() as f64;
    // One run, and the share of the machine that others took.
    let mut run = |side: usize| -> Result<(Run, f64)> {
        std::thread::sleep(REST);
        let before = usage::cpu_of_all()?;
        workers[side].send(&Request::Run)?;
        let run: Run = workers[side].reply()?;
        let others = usage::cpu_of_all()? - before - run.cpu;
        let share = others / (run.seconds * cores);
        Ok((run, share))
    };
    for _ in 0..row.work.warm_up() {
        run(0)?;
        run(1)?;
    }
    let mut sides = [Vec::new(), Vec::new()];
    let rounds = if row.curve.is_some() { options.rounds.min(3) } else { options.rounds };
    let (mut spent, mut disturbed, mut others) = (0.0, 0, 0.0_f64);
    while sides[0].len() < rounds || (spent < ENOUGH && sides[0].len() < MOST) {
        // Each side goes first in every other round.
        let first = sides[0].len() % 2;
        let ((earlier, share), (later, other_share)) = (run(first)?, run(1 - first)?);
        let share = share.max(other_share);
        if share > DISTURBED && disturbed < rounds {
            disturbed += 1;
            continue;
        }
        others = others.max(share);
        spent += earlier.seconds + later.seconds;
        sides[first].push(earlier);
        sides[1 - first].push(later);
    }
    let [ours, peer] = [0, 1].map(|side| Side {
        seconds: sides[side].iter().map(|run| run.seconds).collect(),
        peak: sides[side].iter().map(|run| run.peak).max().unwrap_or(0),
        base: prepared[side].base,
        weights: prepared[side].weights,
        outcome: sides[side][0].outcome.clone(),
    });
    agree(&ours, &peer).with_context(|| row.name.clone())?;
    let versions = prepared.into_iter().flat_map(|prepared| prepared.versions).collect();
    let (name, title, curve) = (row.name.clone(), row.title.clone(), row.curve.clone());
    Ok((Measurement { name, title, curve, commit: commit()?, ours, peer, disturbed, others }, versions))
}

/// Whether both sides did the same work, as far as their outcomes tell.
fn agree(ours: &Side, peer: &Side) -> Result<()> {
    for (name, tolerance) in [("frames", 0.0), ("samples", 0.0), ("tokens", 0.0), ("digest", 0.0), ("magnitude", 1e-4)]
    {
        if let (Some(a), Some(b)) = (ours.outcome.get(name), peer.outcome.get(name))
            && (a - b).abs() > tolerance * b.abs()
        {
            bail!("{name} is {a} here and {b} in PyTorch: the sides do not do the same work");
        }
    }
    Ok(())
}

/// The same number of threads, whatever library makes them.
fn with_threads<'a>(command: &'a mut Command, threads: &str) -> &'a mut Command {
    for name in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"]
    {
        command.env(name, threads);
    }
    // Memory that was freed is kept: without this every large tensor is mapped and cleared anew, on either side.
    command
        .env("MALLOC_TOP_PAD_", "268435456")
        .env("MALLOC_MMAP_MAX_", "0")
        .env("MALLOC_TRIM_THRESHOLD_", "100000000000");
    // Nothing is loaded from the hub.
    command.env("HF_HUB_OFFLINE", "1").env("TRANSFORMERS_VERBOSITY", "error").env("TQDM_DISABLE", "1")
}

fn commit() -> Result<String> {
    let git = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("git").args(arguments).output().context("git")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.lock"])?;
    Ok(format!("{}{}", git(&["rev-parse", "--short", "HEAD"])?, if changed.is_empty() { "" } else { "+" }))
}

impl Known {
    /// The file.
    pub const PATH: &str = "docs/performance.json";

    /// What has been measured before, with this machine among the others.
    pub fn open(options: &Options) -> Result<Self> {
        let machine = Machine::detect(options.threads)?;
        let text = match std::fs::read_to_string(Self::PATH) {
            Err(error) if error.kind() == ErrorKind::NotFound => "[]".to_owned(),
            text => text.context(Self::PATH)?,
        };
        let mut machines: Vec<Measurements> = serde_json::from_str(&text).context(Self::PATH)?;
        let same = |known: &Measurements| Machine { versions: BTreeMap::new(), ..known.machine.clone() } == machine;
        let here = machines.iter().position(same).unwrap_or(machines.len());
        if here == machines.len() {
            machines.push(Measurements { machine, rows: Vec::new(), failed: BTreeMap::new() });
        }
        Ok(Self { machines, here })
    }

    /// Adds a row of this machine, or replaces it.
    pub fn add(&mut self, row: Measurement, versions: BTreeMap<String, String>) -> Result<()> {
        let Measurements { machine, rows, failed } = &mut self.machines[self.here];
        machine.versions.extend(versions);
        failed.remove(&row.name);
        rows.retain(|known| known.name != row.name);
        rows.push(row);
        self.write()
    }

    /// Notes why a row could not be measured on this machine; what was measured of it before stays.
    pub fn fail(&mut self, row: &str, why: String) -> Result<()> {
        self.machines[self.here].failed.insert(row.to_owned(), why);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.machines)? + "\n";
        vocable_files::write(Path::new(Self::PATH), text).context(Self::PATH)
    }
}

impl Machine {
    fn detect(threads: usize) -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("{path} (Linux only)"));
        let (processors, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
        let field = |name: &str| {
            processors
                .lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(": "))
                .map(|(_, v)| v)
        };
        let flags = field("flags").unwrap_or_default();
        let widest = ["avx512f", "avx2", "sse2"].into_iter().find(|name| flags.split(' ').any(|flag| flag == *name));
        let kilobytes = memory.split_whitespace().nth(1).context("/proc/meminfo")?.parse::<u64>()?;
        Ok(Self {
            processor: field("model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            vectors: widest.unwrap_or("none").to_owned(),
            // In GiB: the last digits differ after every boot.
            memory: kilobytes >> 20,
            threads,
            versions: BTreeMap::new(),
        })
    }
}
