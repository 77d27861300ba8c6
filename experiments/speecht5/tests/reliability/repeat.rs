//! The same command gives the same numbers: in another process, on another number of threads, and, within rounding, after
//! the code was changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};
use vocable_train::{Record, records};

use crate::program::{end_state, output, same, succeeds, text};

/// Every kind of batch and loss: both modalities of pre-training, CTC and attention, spectrograms, classes.
const RUN: [&str; 12] = [
    "run",
    "ablation",
    "--scale=smoke",
    "--row=SpeechT5",
    "units.max_iter=3",
    "pretrain.train.updates=10",
    "asr.train.updates=10",
    "vc.train.updates=10",
    "sid.train.updates=10",
    "pretrain.train.checkpoint_every=5",
    "evaluation.samples=2",
    "vc.task.test_pairs=2",
];

/// Set by `just golden`, which writes the curves.
const WRITE: &str = "VOCABLE_GOLDEN";

/// How far a loss may be from the golden curve, as a share of it. Runs of one build are equal to the bit; other orders of
/// summation (another width of vectors, another algorithm for a convolution) round differently, by about 1e-7 of a value,
/// of which ten updates made up to 1.4e-4 when a convolution got another algorithm. A change of what is computed, such as
/// another dropout mask, moves the loss of the very first update by more than a hundredth.
const TOLERANCE: f64 = 5e-4;

fn speecht5(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_speecht5"));
    command.args(args);
    output(command)
}

fn run(runs: &Path, more: &[&str]) {
    succeeds(&speecht5(&[&RUN[..], more, &["--runs", runs.to_str().unwrap()]].concat()));
}

/// The stages of a kind.
fn stages(runs: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(kind)).collect()
}

/// What `diff` prints, and whether it says that they are the same.
fn diff(a: &Path, b: &Path) -> (String, bool) {
    let output = speecht5(&["diff", a.to_str().unwrap(), b.to_str().unwrap()]);
    let code = output.status.code().unwrap();
    assert!(code < 2 && output.stderr.is_empty(), "{}", text(&output.stderr));
    (text(&output.stdout), code == 0)
}

/// The losses of every training stage, by its kind.
type Curves = BTreeMap<String, Vec<f64>>;

fn curves(runs: &Path) -> Curves {
    let kinds = ["pretrain", "finetune-asr", "finetune-vc", "finetune-sid"];
    let losses = |kind: &&str| {
        let [stage] = stages(runs, kind).try_into().expect("one stage of this kind");
        let lines = records::read(&stage.join("metrics.jsonl")).unwrap();
        let loss = |line: &Record| if let Record::Update { loss, .. } = line { Some(*loss) } else { None };
        (kind.to_string(), lines.iter().filter_map(loss).collect())
    };
    kinds.iter().map(losses).collect()
}

#[derive(Serialize, Deserialize)]
struct Golden {
    command: String,
    losses: Curves,
}

#[test]
fn processes_threads_and_code_give_the_same_numbers() {
    let directories: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let runs: Vec<&Path> = directories.iter().map(|directory| directory.path()).collect();
    for (runs, threads) in runs.iter().zip(["1", "2", "2", "3"]) {
        run(runs, &["--threads", threads]);
    }
    let first = end_state(runs[0]);
    for other in &runs[1..] {
        same(&first, &end_state(other));
        let (said, equal) = diff(runs[0], other);
        assert!(equal && said.matches("the same").count() == 6, "{said}");
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability/golden.json");
    let found = curves(runs[0]);
    if std::env::var_os(WRITE).is_some() {
        let golden = Golden { command: format!("speecht5 {}", RUN.join(" ")), losses: found };
        return fs::write(path, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
    }
    let golden: Golden = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(golden.command, format!("speecht5 {}", RUN.join(" ")));
    assert!(golden.losses.keys().eq(found.keys()), "{:?}", golden.losses.keys());
    for (kind, expected) in &golden.losses {
        let found = &found[kind];
        assert_eq!((found.len(), expected.len()), (10, 10), "{kind}");
        for (update, (found, expected)) in found.iter().zip(expected).enumerate() {
            let apart = (found / expected - 1.0).abs();
            assert!(apart <= TOLERANCE, "{kind}, update {}: {found}, golden {expected} ({apart:.1e})", update + 1);
        }
    }
}

#[test]
fn half_precision_follows_the_curves_of_f32() {
    let of = |precision: &str| {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), &[&format!("precision={precision}"), "--threads=2"]);
        curves(directory.path())
    };
    let exact = of("f32");
    // Products keep 8 bits of mantissa in bf16, 11 in f16; masks, dropouts and batches are the same. Rounding moved losses by up
    // to 8.8e-4 and 5.8e-4 in ten updates with AVX-512, by 8.2e-4 and 1.1e-3 without; another dropout mask moves the first one by
    // a hundredth.
    for (precision, tolerance) in [("bf16", 4e-3), ("f16", 2e-3)] {
        let rounded = of(precision);
        let mut most = 0.0_f64;
        for (kind, exact) in &exact {
            assert_eq!(rounded[kind].len(), exact.len(), "{precision}, {kind}: no update was skipped");
            for (rounded, exact) in rounded[kind].iter().zip(exact) {
                most = most.max((rounded / exact - 1.0).abs());
            }
        }
        println!("{precision}: at most {most:.1e}");
        assert!(most > 1e-7 && most < tolerance, "{precision}: {most:.1e}");
    }
}

#[test]
fn a_difference_is_found_where_it_begins() {
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let [one, other] = [directories[0].path(), directories[1].path()];
    let only =
        ["--column=SID", "--threads=2", "pretrain=none", "sid.train.checkpoint_every=2", "sid.train.keep_last=9"];
    run(one, &only);
    run(other, &[&only[..], &["sid.train.learning_rate=0.01"]].concat());
    let (said, equal) = diff(one, other);
    assert!(!equal);
    let line = |part: &str| said.lines().find(|line| line.starts_with(part)).unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains("/finetune-sid-"), "{said}");
    assert!(line("configuration").ends_with("train.learning_rate: 0.001 → 0.01"), "{said}");
    assert!(line("data").ends_with("the same") && line("code").ends_with("the same"), "{said}");
    assert!(line("step").contains("learning_rate: "), "{said}");
    assert!(line("tensor").contains("checkpoints/step-000002/model.safetensors: "), "{said}");
}
