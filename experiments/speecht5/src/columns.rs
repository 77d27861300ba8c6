//! The columns of the tables: what a configuration is scored by.

use std::rc::Rc;

use vocable_data::manifest::{Language, Split};
use vocable_lab::Column;

use crate::config::RunConfig;
use crate::pipeline::{Modality, Pipeline};
use crate::stages::speech::SpeechTask;

/// Recognition.
pub fn recognised(pipeline: &Rc<Pipeline>, name: &'static str, score: &'static str, split: Split) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::lower(name, score, move |c| pipeline.asr_score(c, split)).unit("WER %").decimals(1)
}

/// How well the language model of recognition knows the transcripts.
pub fn guessed(pipeline: &Rc<Pipeline>, name: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    let perplexity = move |c: &RunConfig| pipeline.lm_score(c, Split::TestClean);
    Column::lower(name, "perplexity", perplexity).unit("per character").decimals(2)
}

/// Translation into a language.
pub fn translated(
    pipeline: &Rc<Pipeline>,
    name: &'static str,
    score: &'static str,
    language: Language,
) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    let bleu = move |c: &RunConfig| {
        let mut c = c.clone();
        c.st.task.output.language = language;
        pipeline.st_score(&c, Split::TestClean)
    };
    Column::higher(name, score, bleu).unit("BLEU").decimals(2)
}

/// A task that ends in speech, by its sound.
pub fn sounds<I: SpeechTask>(pipeline: &Rc<Pipeline>, name: &'static str, score: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::lower(name, score, move |c| pipeline.speech_score::<I>(c)).unit("MCD dB").decimals(2)
}

/// A task that ends in speech, by what the recogniser makes of it.
pub fn words<I: SpeechTask>(pipeline: &Rc<Pipeline>, name: &'static str, score: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::lower(name, score, move |c| pipeline.speech_heard::<I>(c)).unit("WER %").decimals(1)
}

/// The share of what the stop rule ended.
pub fn ended<I: SpeechTask>(pipeline: &Rc<Pipeline>, name: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::higher(name, "ended", move |c| pipeline.speech_score::<I>(c)).unit("%").decimals(1)
}

/// How sharply the decoder attends to what it says.
pub fn focused<I: SpeechTask>(pipeline: &Rc<Pipeline>, name: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::higher(name, "attention_focus", move |c| pipeline.speech_score::<I>(c)).decimals(2)
}

/// A task that ends in speech, by a program of others.
pub fn judged<I: SpeechTask>(pipeline: &Rc<Pipeline>) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::higher("judge", "judge", move |c| pipeline.speech_judged::<I>(c)).decimals(2)
}

/// Identification.
pub fn identified(pipeline: &Rc<Pipeline>, name: &'static str, score: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::higher(name, score, move |c| pipeline.sid_score(c)).unit("acc. %").decimals(1)
}

/// Verification: how well voices are told apart without naming them.
pub fn verified(pipeline: &Rc<Pipeline>, name: &'static str) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::lower(name, "eer", move |c| pipeline.sid_verification(c)).unit("%").decimals(2)
}

/// How many codes are in use.
pub fn codes(
    pipeline: &Rc<Pipeline>,
    name: &'static str,
    score: &'static str,
    modality: Modality,
) -> Column<RunConfig> {
    let pipeline = Rc::clone(pipeline);
    Column::higher(name, score, move |c| pipeline.codes_score(c, modality)).unit("perplexity").decimals(1)
}
