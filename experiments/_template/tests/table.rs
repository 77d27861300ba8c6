//! The table at scale `smoke`: it learns, and runs again for free.

use std::path::Path;
use std::process::Command;

/// Runs the table and gives the values of its two rows.
fn run(runs: &Path) -> [f64; 2] {
    let mut command = Command::new(env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))));
    let output = command.args(["run", "context", "--scale", "smoke", "--runs"]).arg(runs).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = std::fs::read(runs.join("tables/context-smoke.json")).expect("the table is kept");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("it is JSON");
    [0, 1].map(|row| record["rows"][row]["cells"][0]["value"].as_f64().expect("the cell has run"))
}

#[test]
fn more_context_helps_and_a_second_run_repeats_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let [four, one] = run(runs.path());
    // Guessing blindly among the 26 letters and the space costs 4.75 bits.
    assert!(four < one && one < 4.75, "{four} and {one} bits per character");
    let manifests = || {
        let stages = std::fs::read_dir(runs.path().join("stages")).unwrap();
        let mut times: Vec<_> = stages
            .map(|stage| {
                let path = stage.unwrap().path().join("manifest.json");
                (path.metadata().unwrap().modified().unwrap(), path)
            })
            .collect();
        times.sort();
        times
    };
    let before = manifests();
    assert_eq!(before.len(), 4, "each row trains and scores");
    assert_eq!(run(runs.path()), [four, one]);
    assert_eq!(manifests(), before);
}
