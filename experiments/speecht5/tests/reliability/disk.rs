//! Disks that are full, files that are damaged, directories that are gone.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rand::RngExt;

use crate::faults::{Fault, Tried};
use crate::program::{Trial, output, text, wait_until};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "file-size limit",
        holds: "the error names the file, the checkpoint before stays intact and is continued from",
        times: 5,
        inject: file_size_limit,
    },
    Fault {
        name: "full disk (tmpfs)",
        holds: "the same; what was half written is removed, and the run goes on when there is space",
        times: 5,
        inject: full_disk,
    },
    Fault {
        name: "truncated file in the newest checkpoint",
        holds: "the file is named in `log.txt`, the checkpoint before is continued from",
        times: 8,
        inject: truncated,
    },
    Fault { name: "altered bit in the newest checkpoint", holds: "the same", times: 8, inject: altered },
    Fault {
        name: "file in the place of the checkpoint directory",
        holds: "the error names it, and nothing is lost when the directory is back",
        times: 2,
        inject: file_for_directory,
    },
    Fault {
        name: "run directory taken away while it runs",
        holds: "the error names it, and nothing is lost when it is back",
        times: 5,
        inject: taken_away,
    },
];

fn file_size_limit(trial: &Trial) -> Tried {
    trial.kill_after(3);
    let ended = trial.limited(trial.key.rng().random_range(100..800), true);
    trial.fails(&ended, &["cannot write ", "step-00000", "File too large"]);
    trial.is_intact(3);
    assert!(!half_written(&trial.checkpoints()));
    Tried::Survived
}

fn full_disk(trial: &Trial) -> Tried {
    // The disk is under the runs directory, with everything that is there so far.
    let (runs, aside) = (trial.runs(), trial.outside());
    fs::rename(&runs, &aside).unwrap();
    fs::create_dir(&runs).unwrap();
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&runs);
        output(mount).status.success()
    };
    if !mount("size=64m") {
        return Tried::Impossible("mounting a tmpfs needs root");
    }
    let mounted = Mounted(&runs);
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(aside.join("stages")).arg(&runs);
    assert!(output(copy).status.success());
    trial.kill_after(2);
    let used = text(
        &output({
            let mut size = Command::new("du");
            size.arg("-sk").arg(&runs);
            size
        })
        .stdout,
    );
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    let room = trial.key.rng().random_range(100..900);
    assert!(mount(&format!("remount,size={}k", used + room)));
    let ended = output(trial.command());
    let log = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{log}");
    assert!(log.contains("No space left on device") && log.contains("cannot write"), "{log}");
    trial.is_intact(2);
    assert!(!half_written(&trial.checkpoints()));
    assert!(mount("remount,size=64m"));
    trial.ends_like_the_reference();
    drop(mounted);
    fs::remove_dir(&runs).unwrap();
    fs::rename(&aside, &runs).unwrap();
    Tried::Survived
}

/// A mounted disk, until dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg(self.0);
        assert!(output(unmount).status.success(), "{} stays mounted", self.0.display());
    }
}

fn truncated(trial: &Trial) -> Tried {
    damaged(trial, |bytes, at| bytes.truncate(at))
}

fn altered(trial: &Trial) -> Tried {
    damaged(trial, |bytes, at| bytes[at] ^= 1)
}

fn damaged(trial: &Trial, damage: fn(&mut Vec<u8>, usize)) -> Tried {
    trial.kill_after(4);
    let saved = |update: &usize| trial.checkpoint(*update).exists();
    let newest = (4..=8).rev().find(saved).expect("it was killed after a checkpoint");
    let mut rng = trial.key.rng();
    let name = ["model.safetensors", "optimiser.safetensors", "state.json", "SHA256SUMS"][rng.random_range(0..4)];
    let path = trial.checkpoint(newest).join(name);
    let mut bytes = fs::read(&path).unwrap();
    let at = rng.random_range(0..bytes.len());
    damage(&mut bytes, at);
    fs::write(&path, bytes).unwrap();
    trial.ends_like_the_reference();
    let log = fs::read_to_string(trial.stage().join("log.txt")).unwrap();
    let passed_over = log.lines().find(|line| line.contains("passed over")).unwrap_or_else(|| panic!("{log}"));
    // A damaged list of sums may still be right about the first file, never about all.
    assert!(passed_over.contains(&format!("step-{newest:06}")), "{passed_over}");
    assert!(name == "SHA256SUMS" || passed_over.contains(name), "{passed_over}");
    assert!(log.contains(&format!("starting after update {} from", newest - 1)), "{log}");
    Tried::Survived
}

fn file_for_directory(trial: &Trial) -> Tried {
    trial.kill_after(3);
    let (directory, aside) = (trial.checkpoints(), trial.outside());
    fs::rename(&directory, &aside).unwrap();
    fs::write(&directory, "").unwrap();
    trial.fails(&output(trial.command()), &["checkpoints", "File exists"]);
    fs::remove_file(&directory).unwrap();
    fs::rename(&aside, &directory).unwrap();
    trial.is_intact(3);
    Tried::Survived
}

fn taken_away(trial: &Trial) -> Tried {
    let update = trial.key.rng().random_range(1..=5);
    let mut child = trial.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(&mut child, || trial.checkpoint(update).exists()));
    fs::rename(trial.runs(), trial.outside()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let log = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{log}");
    assert!(log.contains("No such file or directory") && log.contains("stages/pretrain-"), "{log}");
    assert!(!trial.runs().exists(), "something was written where the directory was");
    fs::rename(trial.outside(), trial.runs()).unwrap();
    trial.is_intact(update);
    Tried::Survived
}

/// Whether something lies there that is no checkpoint.
fn half_written(checkpoints: &Path) -> bool {
    fs::read_dir(checkpoints).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with('.'))
}
