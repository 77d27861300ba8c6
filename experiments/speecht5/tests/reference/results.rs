//! The results that are kept beside the code: RESULTS.md is what they say, and every number can be followed to its data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vocable_lab::trace::trace;
use vocable_lab::{Record, Scores};

use crate::{PROGRAM, page};

/// What `speecht5 archive` left.
fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

#[test]
fn results_are_what_was_measured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let [runs, to] = [results(), file.path().to_owned()];
    let report =
        Command::new(PROGRAM).arg("report").arg("--runs").arg(runs).arg("--markdown").arg(&to).output().unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    page::hold("../experiments/speecht5/RESULTS.md", &fs::read_to_string(to).unwrap());
}

#[test]
fn every_number_is_that_of_its_stages_and_can_be_traced() {
    let (runs, mut numbers) = (results(), 0);
    for (path, record) in Record::all(&runs).unwrap() {
        for cell in record.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.value.is_some()) {
            assert_eq!(cell.stages.len(), cell.values.len(), "{}", path.display());
            for (stage, value) in cell.stages.iter().zip(&cell.values) {
                let scores = Scores::read(&runs.join("stages").join(stage).join("outputs")).unwrap().unwrap();
                assert!(scores.0.values().any(|score| score.value == *value), "{stage}: {}", cell.column);
                let chain = trace(&runs, stage).unwrap();
                assert!(chain.contains("prepare-") && chain.contains("commit "), "{chain}");
            }
            let mean = cell.values.iter().sum::<f64>() / cell.values.len() as f64;
            let shown = cell.value.expect("it has a value");
            assert!(
                (mean - shown).abs() <= 1e-9 * shown.abs(),
                "{}: {} is {shown}, not {mean}",
                path.display(),
                cell.column
            );
            numbers += 1;
        }
    }
    assert!(numbers > 0, "there are results");
}
