//! Parity with the official code under preset `official`: states, losses and gradients of tiny random models.
//!
//! The folder of reference numbers is `fixtures/official`, or the one that `VOCABLE_OFFICIAL_GOLDENS` names; sizes are
//! read from its `config.json`. Tolerances: |a − b| ≤ 1e-5 · max(1, max|b|) for states and losses, ‖a − b‖ ≤ 1e-4 · ‖b‖
//! for gradients; both leave room for float32 sums in another order and nothing else.

#[path = "../shared/altered.rs"]
mod altered;
mod asr;
mod folder;
mod pretrain;
#[allow(dead_code, reason = "some comparisons are for the other targets that share it")]
#[path = "../shared/report.rs"]
mod report;
mod sid;
mod tts;
mod vc;

use std::path::{Path, PathBuf};

use folder::Folder;

fn goldens() -> PathBuf {
    std::env::var_os("VOCABLE_OFFICIAL_GOLDENS")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/official"))
}

fn pass(case: &str, check: impl FnOnce(&Folder) -> report::Report) {
    check(&Folder::open(&goldens())).finish(case);
}

#[test]
fn speech_pretraining_on_crops() {
    pass("speech_pretrain", |folder| pretrain::speech(folder, "speech_pretrain"));
}

#[test]
fn speech_pretraining_on_padded_utterances() {
    pass("speech_pretrain_padded", |folder| pretrain::speech(folder, "speech_pretrain_padded"));
}

#[test]
fn text_pretraining() {
    pass("text_pretrain", pretrain::text);
}

#[test]
fn recognition() {
    pass("asr_finetune", asr::check);
}

#[test]
fn beam_search() {
    pass("beam search", asr::beam);
}

#[test]
fn synthesis() {
    pass("tts_finetune", tts::check);
}

#[test]
fn voice_conversion() {
    pass("vc_finetune", vc::check);
}

#[test]
fn speaker_identification() {
    pass("sid_finetune", sid::check);
}

/// A check that cannot fail proves nothing: one altered number must be found.
#[test]
fn a_wrong_number_is_found() {
    let copy = tempfile::tempdir().unwrap();
    altered::copy(&goldens(), copy.path());
    altered::alter(&copy.path().join("sid_finetune.safetensors"), "out.pooled", 5e-4);
    let report = sid::check(&Folder::open(copy.path()));
    assert_eq!(report.failures(), ["out.pooled"]);
}
