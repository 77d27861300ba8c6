//! Parity with Hugging Face transformers under preset `hf`: folders of tiny random models, read and run.
//!
//! The folder of reference numbers is `fixtures/hf`, or the one that `VOCABLE_HF_GOLDENS` names; sizes are read from each
//! model's `config.json`. Tolerance: |a − b| ≤ 1e-4 · max(1, max|b|), which leaves room for float32 sums in another order
//! over several dozen steps of generation, each of which starts from the rounding errors of the last; sums over a whole
//! state must agree to 1e-4 of the root of their number of terms.

#[path = "../shared/altered.rs"]
mod altered;
mod compressed;
mod folder;
#[allow(dead_code, reason = "some comparisons are for the other targets that share it")]
#[path = "../shared/report.rs"]
mod report;
mod speech;
mod text;

use std::path::{Path, PathBuf};

use folder::Folder;
use report::Report;
use vocable_nn::Storage;

const TOLERANCE: f32 = 1e-4;

fn goldens() -> PathBuf {
    std::env::var_os("VOCABLE_HF_GOLDENS")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hf"))
}

/// Runs every case of a kind.
fn pass(kind: &str, check: impl Fn(&Folder, &str) -> Report) {
    let folder = Folder::open(&goldens());
    let cases = folder.cases(kind);
    assert!(!cases.is_empty(), "no case of {kind}");
    for case in cases {
        check(&folder, &case).finish(&case);
    }
}

#[test]
fn recognition() {
    pass("asr", text::recognise);
}

#[test]
fn synthesis() {
    pass("tts", speech::synthesise);
}

#[test]
fn conversion() {
    pass("vc", speech::convert);
}

/// Weights in fewer bits move what is predicted, by little: shares of the largest logit, and of the largest frame.
///
/// The 10 products on the way each lose about as much as a weight does. `bf16` loses up to 0.4 % of each weight, 0.17 % in
/// the mean square; `int8` up to 0.4 % of the largest of a column, that is 0.6 % of such normally distributed weights in the
/// mean square: with √10 of them 0.5 % and 1.8 %, and less than twice that where it is worst.
#[test]
fn compressed_weights() {
    let folder = Folder::open(&goldens());
    for (storage, bound) in [(Storage::Bf16, 0.01), (Storage::Int8, 0.035)] {
        for (what, moved) in
            [("logits", compressed::text(&folder, storage)), ("frames", compressed::speech(&folder, storage))]
        {
            println!("{storage:?}: {what} move by {moved:.5}");
            assert!(moved > 0.0 && moved < bound, "{storage:?}: {what} move by {moved}");
        }
    }
}

/// A check that cannot fail proves nothing: one altered number must be found.
#[test]
fn a_wrong_number_is_found() {
    let copy = tempfile::tempdir().unwrap();
    altered::copy(&goldens(), copy.path());
    let altered = Folder::open(copy.path());
    let [asr, tts, vc] = ["asr", "tts", "vc"].map(|kind| altered.cases(kind).remove(0));
    folder::alter_json(copy.path(), &asr, |case| {
        let largest = folder::numbers(&case["forced_logits_last"]).into_iter().fold(1.0, |a: f32, b| a.max(b.abs()));
        let logit = &mut case["forced_logits_last"][3];
        *logit = (logit.as_f64().unwrap() + 2.0 * f64::from(TOLERANCE * largest)).into();
    });
    altered::alter(&copy.path().join(format!("{vc}.expected.safetensors")), "mel", 0.1);
    altered::alter(&copy.path().join(format!("{tts}.expected.safetensors")), "wav", 0.1);
    let altered = Folder::open(copy.path());
    assert_eq!(text::recognise(&altered, &asr).failures(), ["forced_logits_last"]);
    assert_eq!(speech::synthesise(&altered, &tts).failures(), ["wav"]);
    assert_eq!(speech::convert(&altered, &vc).failures(), ["mel"]);
}
