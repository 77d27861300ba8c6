//! Stage `checkpoint`: published weights, for tasks to start from in place of the full model's pre-training.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use vocable_lab::config::{self, Change};
use vocable_lab::{Cost, Stage, StageRun};
use vocable_speecht5::checkpoint::{Checkpoint, TEXT_PARTS};
use vocable_train::save_model;

use super::data::vocabulary;
use super::{MODEL, initial};
use crate::config::RunConfig;

/// The model in `path`, of which `hash` is what its files hold (spec section 9.4).
///
/// Its tokens are those of `data.vocabulary`. A corpus whose own characters are counted has others: then what depends on them
/// keeps its initial weights.
pub fn stage(c: &RunConfig, path: PathBuf, hash: String, prepare: &Arc<Stage>) -> Arc<Stage> {
    let (model, seed, same_tokens) = (c.model.clone(), c.seed, c.data.vocabulary.is_some());
    let body = move |run: &StageRun| {
        let checkpoint = Checkpoint::open(&path)?;
        let lacks_relu = checkpoint.lacks_last_relu();
        let mut there = checkpoint.resized(model.clone())?;
        there.prenet_last_relu &= !lacks_relu;
        let other = config::diff(&model, &there);
        if !other.is_empty() {
            let value = |change: &Change| if change.to.is_null() { "none".into() } else { change.to.to_string() };
            let set: Vec<String> =
                other.iter().map(|change| format!("model.{}={}", change.path, value(change))).collect();
            bail!("{} is of another model than `model`; set {}", path.display(), set.join(" "));
        }
        let vocabulary = vocabulary(&run.input("prepare"))?;
        let start = initial(&model, &vocabulary, seed);
        let without: &[&str] = if same_tokens { &[] } else { &TEXT_PARTS };
        let (start, report) = checkpoint.load_without(start, without)?;
        let tokens = checkpoint.sizes()?.vocabulary;
        if same_tokens && let Some(tokens) = tokens.filter(|&tokens| tokens != vocabulary.len()) {
            let (path, here) = (path.display(), vocabulary.len());
            bail!(
                "{path} is of {tokens} tokens, data.vocabulary of {here}: give its own list, or leave data.vocabulary out"
            );
        }
        report.strict(&["encoder", "decoder"], &path)?;
        run.log(format!("weights of {}", path.display()))?;
        for part in &report.absent {
            run.log(format!("{part} keeps its initial weights"))?;
        }
        if !lacks_relu && report.absent.iter().all(|part| part != "speech_decoder_prenet") {
            let relu = model.prenet_last_relu;
            run.log(format!("taken to be trained with model.prenet_last_relu={relu}, which the file does not tell"))?;
        }
        Ok(save_model(&start, &run.outputs().join(MODEL))?)
    };
    Stage::new("checkpoint", 2, (&c.model, seed, hash, same_tokens))
        .input("prepare", prepare)
        .cost(Cost { steps: 0, parameters: 0, seconds: 5.0 })
        .run(body)
}
