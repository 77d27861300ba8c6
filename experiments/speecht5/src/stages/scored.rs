//! What the stages that score have in common.

use anyhow::Context;
use vocable_lab::files::read_json;
use vocable_lab::{Parts, Score, StageRun};
use vocable_metrics::Bootstrap;
use vocable_random::Key;
use vocable_speecht5::to_text::Written;

use super::data::Datasets;

/// The score of test items by what each contributes, with an interval over the sentences whose texts these are, or over items
/// where there are no texts; the run's seed draws it.
pub fn scored(parts: impl Into<Parts>, texts: &[&str], seed: u64) -> anyhow::Result<Score> {
    let bootstrap = Bootstrap::new(Key::new(seed).fold("bootstrap"));
    let score = match texts {
        [] => Score::of(parts, bootstrap),
        texts => Score::of_sentences(parts, texts.iter().copied(), bootstrap),
    };
    score.context("there is nothing to score")
}

/// What the input `decode` wrote of utterances of the input `prepare`, and who speaks in each.
pub fn written(run: &StageRun, file: &str, datasets: &Datasets) -> anyhow::Result<(Vec<Written>, Vec<String>)> {
    let path = run.input("decode").join(file);
    let written: Vec<Written> = read_json(&path)?.with_context(|| format!("{} is missing", path.display()))?;
    let names = written.iter().map(|written| written.id.as_str());
    let utterances = datasets.utterances(&run.input("prepare"), names)?;
    let speakers = utterances.into_iter().map(|utterance| utterance.speaker).collect();
    Ok((written, speakers))
}
