//! Runs under `mpirun`: needs feature `mpi` and an MPI library (Debian's `openmpi-bin` and `libopenmpi-dev`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vocable_train::{Record, records};

/// Pre-training by pairs of a batch of speech and one of text, and a task with one micro-batch.
const RUN: [&str; 11] = [
    "run",
    "ablation",
    "--scale=smoke",
    "--row=SpeechT5",
    "--column=SID",
    "--threads=1",
    "units.max_iter=2",
    "pretrain.train.updates=8",
    "pretrain.train.checkpoint_every=2",
    "pretrain.train.validate_every=4",
    "sid.train.updates=5",
];

/// Longer than any wait of a run that is alive.
const PATIENCE: Duration = Duration::from_secs(120);

fn mpirun(ranks: usize, runs: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string(), "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]);
    command.arg(env!("CARGO_BIN_EXE_speecht5")).args(RUN).args(more).arg("--runs").arg(runs);
    // Containers run as root.
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("mpirun is there: install openmpi-bin")
}

fn run(ranks: usize, more: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    succeeds(&output(mpirun(ranks, directory.path(), more)));
    directory
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What one process makes: the losses of pre-training, and the end state.
static ALONE: LazyLock<(Vec<f64>, EndState)> = LazyLock::new(|| {
    let runs = run(1, &[]);
    (losses(runs.path()), end_state(runs.path()))
});

/// The directory of the one stage of a kind.
fn stage(runs: &Path, kind: &str) -> PathBuf {
    let entries = fs::read_dir(runs.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(kind)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// Weights and moments of the last checkpoints, and the scores, by their names.
type EndState = BTreeMap<String, Vec<u8>>;

fn end_state(runs: &Path) -> EndState {
    let read = |stage: PathBuf, name: &str| {
        let path = stage.join(name);
        (name.to_owned(), fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    let pretrain = stage(runs, "pretrain");
    let mut state = BTreeMap::from([
        read(pretrain.clone(), "checkpoints/step-000008/model.safetensors"),
        read(pretrain, "checkpoints/step-000008/optimiser.safetensors"),
        read(stage(runs, "finetune-sid"), "outputs/model.safetensors"),
        read(stage(runs, "score-sid"), "outputs/scores.json"),
    ]);
    state.retain(|_, bytes| !bytes.is_empty());
    assert_eq!(state.len(), 4);
    state
}

fn same(a: &EndState, b: &EndState) {
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

fn losses(runs: &Path) -> Vec<f64> {
    let lines = records::read(&stage(runs, "pretrain").join("metrics.jsonl")).unwrap();
    let loss = |line: &Record| if let Record::Update { loss, .. } = line { Some(*loss) } else { None };
    lines.iter().filter_map(loss).collect()
}

/// The process of a rank, found by what `mpirun` tells it.
fn process(rank: usize, runs: &Path) -> Option<i32> {
    let told = format!("OMPI_COMM_WORLD_RANK={rank}");
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let about = |name: &str| fs::read(entry.path().join(name)).ok().map(|bytes| text(&bytes));
        let ours = about("cmdline")?.contains(runs.to_str().unwrap()) && about("comm")?.trim() == "speecht5";
        (ours && about("environ")?.split('\0').any(|word| word == told)).then_some(pid)
    })
}

/// Starts a run and waits until a checkpoint of pre-training is there.
fn begun(ranks: usize, runs: &Path) -> Child {
    let mut command = mpirun(ranks, runs, &[]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mpirun is there");
    let start = Instant::now();
    let saved = || {
        let entries = fs::read_dir(runs.join("stages")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| {
            path.file_name().unwrap().to_string_lossy().starts_with("pretrain")
                && path.join("checkpoints/step-000002").exists()
        })
    };
    while !saved() {
        assert!(start.elapsed() < PATIENCE, "no checkpoint after {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
    child
}

fn signal(signal: &str, pid: i32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn two_ranks_with_half_of_the_batches_each_make_what_one_makes() {
    let two = run(2, &[]);
    assert_eq!(ALONE.0, losses(two.path()));
    // A sum of two does not depend on their order.
    same(&ALONE.1, &end_state(two.path()));
    let log = fs::read_to_string(stage(two.path(), "pretrain").join("log.txt")).unwrap();
    assert!(log.contains("2 ranks share the updates"), "{log}");
}

#[test]
fn four_micro_batches_on_three_ranks_round_otherwise() {
    let [one, three] = [1, 3].map(|ranks| losses(run(ranks, &["pretrain.task.accumulate=2"]).path()));
    assert_eq!(one.len(), 8);
    for (update, (a, b)) in one.iter().zip(&three).enumerate() {
        // Sums in another order; ten updates made up to 1.4e-4 of such differences elsewhere.
        assert!((a - b).abs() < 5e-4 * a.abs(), "update {update}: {a} and {b}");
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_job_by_name_and_another_number_of_ranks_continues() {
    let directory = tempfile::tempdir().unwrap();
    let child = begun(2, directory.path());
    signal("-KILL", process(1, directory.path()).expect("rank 1 runs"));
    let ended = child.wait_with_output().unwrap();
    let message = text(&ended.stderr) + &text(&ended.stdout);
    assert!(!ended.status.success());
    assert!(message.contains("rank 1") && message.contains("signal 9"), "{message}");
    succeeds(&output(mpirun(3, directory.path(), &[])));
    same(&ALONE.1, &end_state(directory.path()));
}

#[test]
fn an_interrupt_of_any_rank_saves_and_stops_all() {
    let directory = tempfile::tempdir().unwrap();
    let child = begun(2, directory.path());
    signal("-INT", process(1, directory.path()).expect("rank 1 runs"));
    let ended = child.wait_with_output().unwrap();
    let message = text(&ended.stderr);
    assert!(message.contains("interrupted; the same command continues"), "{message}");
    succeeds(&output(mpirun(2, directory.path(), &[])));
    same(&ALONE.1, &end_state(directory.path()));
}

#[test]
fn several_jobs_at_a_time_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ended = output(mpirun(2, directory.path(), &["--jobs=2"]));
    let message = text(&ended.stderr);
    assert!(!ended.status.success());
    assert!(message.contains("2 ranks share the updates of one stage at a time: leave out --jobs"), "{message}");
}
