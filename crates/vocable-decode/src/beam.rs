//! Beam search over text, by a decoder, CTC prefix scores and a language model together.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::ctc_prefix::{CtcPrefix, CtcPrefixScorer};
use crate::on_pool;
use crate::text::{Hypothesis, TextLimits, TextStepper};

/// How hypotheses are weighed and how many are followed (specification 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeamConfig {
    /// Hypotheses followed per utterance.
    pub beam: usize,
    /// Share of CTC's prefix score, 0 to 1; the decoder's log-probability has the rest.
    pub ctc_weight: f64,
    /// Weight of the language model's log-probability, on top of both; with 0 the model is not run.
    pub lm_weight: f64,
    /// A finished score is divided by the number of its tokens, the end included, to this power.
    pub length_penalty: f64,
    /// With CTC only this many times `beam` of the decoder's best tokens are considered (`CTC_SCORING_RATIO`).
    pub candidates: usize,
}

impl BeamConfig {
    /// A beam of the decoder alone.
    pub fn attention(beam: usize) -> Self {
        Self { beam, ctc_weight: 0.0, lm_weight: 0.0, length_penalty: 1.0, candidates: 7 }
    }
}

/// What is known of the utterances beside their decoder.
#[derive(Default)]
pub struct Companions<'a> {
    /// CTC output of every utterance; needed where `ctc_weight` is above 0.
    pub ctc: &'a [CtcPrefixScorer],
    /// A language model over (the first of) the decoder's tokens, one row per utterance like the decoder.
    pub language_model: Option<&'a mut dyn TextStepper>,
}

/// An unfinished hypothesis: a row of the steppers.
struct Branch {
    tokens: Vec<u32>,
    score: f64,
    ctc: Option<CtcPrefix>,
}

/// One utterance's search.
struct Search {
    utterance: usize,
    branches: Vec<Branch>,
}

/// A possible next token of a branch.
#[derive(Clone, Copy)]
struct Candidate {
    branch: usize,
    token: u32,
    score: f64,
    /// ln ψ of the longer prefix.
    ctc: f64,
}

/// The best hypotheses of `batch` utterances that are rows 0, 1, … of the steppers, the best first: at most `beam` each,
/// with their normalised scores.
///
/// In every step the `2 · beam` best continuations of an utterance are ranked. Those that end and rank within the beam
/// are finished; the best others go on. An utterance is done when `beam` hypotheses are finished; at the longest length
/// all must end. Where nothing is possible any more (CTC has fewer frames than tokens) the best prefix is returned, not
/// `ended`. Tokens in `suppressed` are never chosen. Source: official `sequence_generator.py`; of tokens outside
/// the candidates the official code keeps the decoder's unscaled score, which is a mistake: here they are out.
///
/// # Panics
/// If the beam is 0, CTC is weighed without its scorers, or a step returns NaN.
pub fn beam_search(
    stepper: &mut dyn TextStepper,
    mut companions: Companions,
    batch: usize,
    limits: &TextLimits,
    suppressed: &[u32],
    config: &BeamConfig,
) -> Vec<Vec<Hypothesis>> {
    on_pool(|| search(stepper, &mut companions, batch, limits, suppressed, config))
}

fn search(
    stepper: &mut dyn TextStepper,
    companions: &mut Companions,
    batch: usize,
    limits: &TextLimits,
    suppressed: &[u32],
    config: &BeamConfig,
) -> Vec<Vec<Hypothesis>> {
    assert!(config.beam > 0, "a beam holds at least one hypothesis");
    let mut language_model = companions.language_model.as_deref_mut().filter(|_| config.lm_weight != 0.0);
    let ctc = (config.ctc_weight > 0.0).then_some(companions.ctc);
    assert!(ctc.is_none_or(|ctc| ctc.len() == batch), "beam search: CTC is weighed, but not given for every utterance");
    let mut finished: Vec<Vec<Hypothesis>> = vec![Vec::new(); batch];
    let start = |utterance: usize| Search {
        utterance,
        branches: vec![Branch { tokens: vec![limits.start], score: 0.0, ctc: ctc.map(|ctc| ctc[utterance].start()) }],
    };
    let mut searches: Vec<Search> = (0..batch).map(start).collect();
    for length in 0..=limits.max_length {
        if searches.is_empty() {
            break;
        }
        let last = |branch: &Branch| *branch.tokens.last().expect("a branch has its start token");
        let newest: Vec<u32> = searches.iter().flat_map(|search| &search.branches).map(last).collect();
        let scores = read(stepper, &newest);
        let lm_scores = language_model.as_mut().map(|model| read(*model, &newest));
        let mut first_row = 0;
        // The rows of all branches that go on.
        let mut rows = Vec::new();
        for search in &mut searches {
            let Search { utterance, branches } = search;
            let allowed = |token: u32| {
                let fits = match token == limits.end {
                    true => length >= limits.min_length || length == limits.max_length,
                    false => length < limits.max_length,
                };
                fits && !suppressed.contains(&token)
            };
            let mut candidates = Vec::new();
            for (number, branch) in branches.iter().enumerate() {
                let row = first_row + number;
                let lm = lm_scores.as_ref().map(|scores| scores[row].as_slice());
                let ctc = ctc.map(|ctc| &ctc[*utterance]);
                continuations(branch, number, &scores[row], lm, ctc, &allowed, config, &mut candidates);
            }
            candidates.sort_by(better);
            candidates.truncate(2 * config.beam);
            let done = &mut finished[*utterance];
            let mut next = Vec::new();
            for (rank, candidate) in candidates.into_iter().enumerate() {
                let branch = &branches[candidate.branch];
                if candidate.token == limits.end {
                    if rank < config.beam && done.len() < config.beam {
                        let score = candidate.score / ((length + 1) as f64).powf(config.length_penalty);
                        let ended = length < limits.max_length;
                        done.push(Hypothesis { tokens: branch.tokens[1..].to_vec(), score, ended });
                    }
                } else if next.len() < config.beam {
                    rows.push(first_row + candidate.branch);
                    next.push(candidate);
                }
            }
            first_row += branches.len();
            if done.len() == config.beam {
                rows.truncate(rows.len() - next.len());
                next.clear();
            } else if next.is_empty() && done.is_empty() {
                // CTC's frames are used up and it cannot end here: what has been written is all there is.
                let best = branches.iter().max_by(|a, b| a.score.total_cmp(&b.score)).expect("a search has branches");
                let score = best.score / (length.max(1) as f64).powf(config.length_penalty);
                done.push(Hypothesis { tokens: best.tokens[1..].to_vec(), score, ended: false });
            }
            *branches =
                next.into_iter().map(|found| advance(branches, found, ctc.map(|ctc| &ctc[*utterance]))).collect();
        }
        searches.retain(|search| !search.branches.is_empty());
        let unchanged = rows.len() == newest.len() && rows.iter().enumerate().all(|(new, &old)| new == old);
        if !unchanged && !rows.is_empty() {
            stepper.select(&rows);
            if let Some(model) = &mut language_model {
                model.select(&rows);
            }
        }
    }
    for hypotheses in &mut finished {
        // Stable: of equal scores the one that was finished first.
        hypotheses.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    finished
}

/// Runs a step and reads its log-probabilities, a row per hypothesis.
fn read(stepper: &mut dyn TextStepper, newest: &[u32]) -> Vec<Vec<f32>> {
    let step = stepper.step(newest);
    let [rows, vocabulary] = step.dims();
    assert_eq!(rows, newest.len(), "beam search: a step returned another number of rows");
    let host = step.try_into_vec_as::<f32>().expect("log-probabilities are readable floats");
    assert!(!host.iter().any(|score| score.is_nan()), "beam search: a step returned numbers that are none");
    host.chunks_exact(vocabulary.max(1)).map(<[f32]>::to_vec).collect()
}

/// Scores the tokens that may follow a branch.
fn continuations(
    branch: &Branch,
    number: usize,
    scores: &[f32],
    lm: Option<&[f32]>,
    ctc: Option<&CtcPrefixScorer>,
    allowed: &impl Fn(u32) -> bool,
    config: &BeamConfig,
    candidates: &mut Vec<Candidate>,
) {
    let mut tokens: Vec<u32> = (0..scores.len() as u32)
        .filter(|&token| allowed(token) && scores[token as usize] > f32::NEG_INFINITY)
        .collect();
    let prefixes = match (ctc, &branch.ctc) {
        (Some(scorer), Some(prefix)) => {
            // Few of the decoder's improbable tokens are worth CTC's time.
            tokens.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            tokens.truncate(config.candidates * config.beam);
            Some((scorer.continuations(prefix), prefix.log_probability))
        }
        _ => None,
    };
    candidates.extend(tokens.into_iter().filter_map(|token| {
        let mut score = f64::from(scores[token as usize]) * (1.0 - config.ctc_weight);
        let mut ctc = 0.0;
        if let Some((prefixes, before)) = &prefixes {
            ctc = prefixes[token as usize];
            score += config.ctc_weight * (ctc - before);
        }
        // A language model may know fewer tokens.
        if let Some(&lm) = lm.and_then(|lm| lm.get(token as usize)) {
            score += config.lm_weight * f64::from(lm);
        }
        let score = branch.score + score;
        (score > f64::NEG_INFINITY).then_some(Candidate { branch: number, token, score, ctc })
    }));
}

/// The better score first; of equal ones the earlier branch, then the smaller token.
fn better(a: &Candidate, b: &Candidate) -> Ordering {
    b.score.total_cmp(&a.score).then(a.branch.cmp(&b.branch)).then(a.token.cmp(&b.token))
}

fn advance(branches: &[Branch], found: Candidate, ctc: Option<&CtcPrefixScorer>) -> Branch {
    let from = &branches[found.branch];
    let mut tokens = from.tokens.clone();
    tokens.push(found.token);
    let prefix = ctc.zip(from.ctc.as_ref()).map(|(scorer, prefix)| scorer.extend(prefix, found.token, found.ctc));
    Branch { tokens, score: found.score, ctc: prefix }
}

#[cfg(test)]
mod tests;
