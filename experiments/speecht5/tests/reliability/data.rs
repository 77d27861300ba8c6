//! Recordings that cannot be used any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rand::RngExt;
use vocable_data::manifest::{Manifest, Split};
use vocable_train::{Record, records};

use crate::faults::{Fault, Tried};
use crate::program::{Trial, text, wait_until};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "recordings that vanish, shrink or turn to noise while it trains",
        holds: "their utterances are left out of batches and named in the records with the reason",
        times: 5,
        inject: within_the_limit,
    },
    Fault {
        name: "one such recording more than `data.loading.bad_files` allows",
        holds: "the error names it",
        times: 5,
        inject: beyond_the_limit,
    },
];

/// A corpus of its own to damage: the shipped recordings' first sentences.
fn corpus(folder: &Path) -> Manifest {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
    let mut manifest = Manifest::read(&shipped).unwrap();
    let mut taken = [Split::Train, Split::Valid, Split::TestClean].map(|split| manifest.split(split));
    taken[0].truncate(40);
    taken[1].truncate(8);
    taken[2].truncate(12);
    let copied = taken.concat().into_iter().map(|index| {
        let mut utterance = manifest.utterances[index].clone();
        let to = folder.join(format!("{}.ogg", utterance.id));
        fs::copy(manifest.resolve(&utterance.audio), &to).unwrap();
        utterance.audio = to;
        utterance
    });
    manifest.utterances = copied.collect();
    let lines = manifest.utterances.iter().map(|utterance| serde_json::to_string(utterance).unwrap() + "\n");
    manifest.path = folder.join("manifest.jsonl");
    fs::write(&manifest.path, lines.collect::<String>()).unwrap();
    manifest
}

/// Trains on a corpus, three of whose recordings are damaged after the first update; gives the exit code, what was said,
/// and which recordings they are.
fn run(trial: &Trial, allowed: usize) -> (Option<i32>, String, Vec<PathBuf>) {
    let folder = trial.outside();
    fs::create_dir(&folder).unwrap();
    let manifest = corpus(&folder);
    let mut command = trial.command();
    command.arg("--data").arg(&manifest.path).arg(format!("data.loading.bad_files={allowed}"));
    // Everything is read again whenever it is needed, and every recording is needed more than once.
    command.args(["data.limit=none", "data.audio_cache=0", "data.mel_cache=0", "pretrain.train.updates=30"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stages = || fs::read_dir(trial.runs().join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let begun = |path: &PathBuf| path.join("checkpoints/step-000001/model.safetensors").exists();
    assert!(wait_until(&mut child, || stages().any(|path| begun(&path))));
    let mut rng = trial.key.rng();
    let recordings = [0, 12, 24].map(|first| first + rng.random_range(0..12_usize));
    let recordings = recordings.map(|index| manifest.utterances[index].audio.clone());
    let bytes = fs::read(&recordings[1]).unwrap();
    fs::remove_file(&recordings[0]).unwrap();
    fs::write(&recordings[1], &bytes[..bytes.len() / 2]).unwrap();
    let noise: Vec<u8> = (0..5_000).map(|_| rng.random()).collect();
    fs::write(&recordings[2], noise).unwrap();
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), text(&ended.stderr), recordings.to_vec())
}

fn within_the_limit(trial: &Trial) -> Tried {
    let (code, log, recordings) = run(trial, 3);
    assert_eq!(code, Some(0), "{log}");
    let stages = fs::read_dir(trial.runs().join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let metrics = stages.map(|path| path.join("metrics.jsonl")).filter(|path| path.exists());
    let lines: Vec<Record> = metrics.flat_map(|path| records::read(&path).unwrap()).collect();
    let reasons = lines.iter().filter_map(|line| match line {
        Record::LeftOut { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    let reasons: Vec<&str> = reasons.collect();
    for recording in &recordings {
        let name = recording.to_str().unwrap();
        assert!(reasons.iter().any(|reason| reason.starts_with(name)), "{name} is not in {reasons:?}");
    }
    assert!(reasons.iter().any(|reason| reason.contains("no such file")), "{reasons:?}");
    Tried::Checked
}

fn beyond_the_limit(trial: &Trial) -> Tried {
    let (code, log, _) = run(trial, 2);
    assert_eq!(code, Some(1), "{log}");
    let failed = log.lines().find(|line| line.starts_with("failed: ")).unwrap_or_else(|| panic!("{log}"));
    assert!(failed.contains("3 files cannot be used any more, and 2 are allowed"), "{failed}");
    assert!(failed.contains("no such file"), "{failed}");
    Tried::Checked
}
