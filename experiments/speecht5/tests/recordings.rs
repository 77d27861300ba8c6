//! The table on real recordings: the Free Spoken Digit Dataset, whose folder `VOCABLE_FSDD` names.

use std::path::PathBuf;
use std::process::Command;

use vocable_data::readers::fsdd;

#[test]
fn the_ablation_runs_on_the_digits() {
    let from = std::env::var_os("VOCABLE_FSDD")
        .map(PathBuf::from)
        .expect("set VOCABLE_FSDD to the folder of the Free Spoken Digit Dataset (with recordings/ in it)");
    let folder = tempfile::tempdir().unwrap();
    let settings = fsdd::Settings { strings: 8, ..fsdd::Settings::default() };
    let prepared =
        fsdd::prepare(&from, &folder.path().join("digits"), &settings, &()).expect("the recordings are complete");
    assert!(prepared.skipped.is_empty());
    assert_eq!(prepared.manifest.speakers(vocable_data::manifest::Split::Train).len(), 4);
    let output = Command::new(env!("CARGO_BIN_EXE_speecht5"))
        .args(["run", "ablation", "--scale", "smoke", "--data"])
        .arg(&prepared.manifest.path)
        .args(["pretrain.train.updates=2", "asr.train.updates=2", "vc.train.updates=2", "sid.train.updates=2"])
        .arg("--runs")
        .arg(folder.path().join("runs"))
        .output()
        .expect("the program starts");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("manifest.jsonl"), "the caption does not name the data:\n{out}");
}
