//! Faults injected into whole runs of the program: what it says, what it leaves, and that the run ends bit for bit as if
//! nothing had happened.
//!
//! `cargo test` tries each fault once or twice; `just faults` tries them in full and writes `docs/reliability.md`.

use std::fmt::Write;
use std::path::Path;

use vocable_random::Key;

use crate::program::{Reference, Trial};
use crate::{data, disk, kills};

/// Set by `just faults`.
const FULL: &str = "VOCABLE_FAULTS";

/// Whether a fault could be injected; a fault that is not survived panics.
pub enum Tried {
    Survived,
    /// It ends otherwise, and that was checked.
    Checked,
    /// What is missing here to try it.
    Impossible(&'static str),
}

/// A fault and what must hold in spite of it.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// What the test checks, apart from the end state.
    pub holds: &'static str,
    /// How often it is tried in full, each time at another keyed moment; the usual tests try it once.
    pub times: u64,
    pub inject: fn(&Trial) -> Tried,
}

#[test]
fn every_fault_is_survived() {
    let full = std::env::var_os(FULL).is_some();
    let reference = Reference::run();
    let mut rows = String::new();
    for fault in [kills::FAULTS, disk::FAULTS, data::FAULTS].concat() {
        let times = if full { fault.times } else { 1 };
        let mut missing = None;
        for time in 0..times {
            // What a failing test prints last names the fault.
            eprintln!("{}, {} of {times}", fault.name, time + 1);
            let trial = Trial::new(&reference, Key::new(1).fold(fault.name).fold(time));
            match (fault.inject)(&trial) {
                Tried::Survived => trial.ends_like_the_reference(),
                Tried::Checked => {}
                Tried::Impossible(why) => missing = Some(why),
            }
        }
        let tried = missing.map_or_else(|| times.to_string(), |why| format!("not tried: {why}"));
        writeln!(rows, "| {} | {} | {tried} |", fault.name, fault.holds).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reliability.md");
    if full {
        std::fs::write(path, format!("{HEAD}{rows}{TAIL}")).unwrap();
        return;
    }
    let document = std::fs::read_to_string(path).unwrap();
    for fault in [kills::FAULTS, disk::FAULTS, data::FAULTS].concat() {
        let row = format!("| {} | {} | ", fault.name, fault.holds);
        assert!(document.contains(&row), "docs/reliability.md is old (`just faults` writes it): no {row}");
    }
}

const HEAD: &str = "\
# What a run survives

Written by `just faults`, which injects each fault into whole processes of `speecht5 run` (preparation, units, pre-training,
fine-tuning, decoding, score at scale `smoke`, a checkpoint after every update) as often as the last column says, each time at
another keyed moment. Afterwards the same command runs again, and everything it leaves must equal, **bit for bit**, what
an uninterrupted run leaves: weights, optimiser state and position in every checkpoint, outputs, records (without times and
memory) and the table; where recordings are damaged, the end is another one, and what the last column but one says is checked.
The file is written only when all of that held.

| fault | what holds besides | tried |
|---|---|---:|
";

const TAIL: &str = "
Power cuts are not simulated. A checkpoint's files are synced to disk before its directory is, that before it is renamed, and
the directory above afterwards; records are synced before the checkpoint that counts them.
";
