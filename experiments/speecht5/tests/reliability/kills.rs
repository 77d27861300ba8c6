//! Processes that end where nobody expects it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rand::RngExt;

use crate::faults::{Fault, Tried};
use crate::program::{Trial, output, text, wait_until};

/// The signal of a process that writes beyond its limit.
const SIGXFSZ: i32 = 25;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "`kill -9` at a random moment",
        holds: "nothing else is needed than the same command",
        times: 25,
        inject: at_a_random_moment,
    },
    Fault {
        name: "`kill -9` inside the write of a checkpoint",
        holds: "what was half written is not taken for a checkpoint",
        times: 25,
        inject: inside_a_checkpoint,
    },
    Fault {
        name: "death in the middle of a file",
        holds: "the file system is left with a part of the file",
        times: 10,
        inject: in_the_middle_of_a_file,
    },
    Fault {
        name: "`kill -9` after every single update",
        holds: "every process gets one update further",
        times: 2,
        inject: after_every_update,
    },
    Fault {
        name: "Ctrl-C",
        holds: "the update is finished and saved, exit code 130, the message says how to continue",
        times: 5,
        inject: interrupted,
    },
];

fn at_a_random_moment(trial: &Trial) -> Tried {
    let moment = trial.duration().mul_f64(trial.key.rng().random_range(0.0..1.0));
    let begun = Instant::now();
    trial.kill_when(|| begun.elapsed() >= moment);
    Tried::Survived
}

fn inside_a_checkpoint(trial: &Trial) -> Tried {
    let mut rng = trial.key.rng();
    // Which checkpoint, and how many of its four files are begun; a later one when this one is missed.
    let (first, files) = (rng.random_range(1..=3), rng.random_range(0..=4));
    let written = |update: usize| {
        let beside = trial.checkpoints().join(format!(".step-{update:06}.new"));
        fs::read_dir(beside).map_or(0, |entries| entries.count() + 1)
    };
    for update in first..=8 {
        trial.kill_when(|| written(update) > files || trial.checkpoint(update).exists());
        if written(update) > 0 {
            assert!(!trial.checkpoint(update).exists());
            return Tried::Survived;
        }
    }
    panic!("no process was inside a write when it was killed");
}

fn in_the_middle_of_a_file(trial: &Trial) -> Tried {
    // Weights and moments of the tiny model take more than 400 KiB each.
    let ended = trial.limited(trial.key.rng().random_range(1..800), false);
    assert_eq!(ended.status.signal(), Some(SIGXFSZ), "{}", text(&ended.stderr));
    Tried::Survived
}

fn after_every_update(trial: &Trial) -> Tried {
    (1..=7).for_each(|update| trial.kill_after(update));
    Tried::Survived
}

fn interrupted(trial: &Trial) -> Tried {
    let update = trial.key.rng().random_range(1..=5);
    let mut child = trial.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(&mut child, || trial.checkpoint(update).exists()));
    let signal = output({
        let mut kill = Command::new("kill");
        kill.args(["-INT", &child.id().to_string()]);
        kill
    });
    assert!(signal.status.success());
    let ended = child.wait_with_output().unwrap();
    let log = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{log}");
    assert!(log.contains("the same command continues: speecht5 run ablation"), "{log}");
    Tried::Survived
}
