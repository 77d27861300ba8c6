//! What micro-batches gave, as one rank tells the others.

use serde::{Deserialize, Serialize};

use crate::means::Means;
use crate::objective::padding;
use crate::{Batch, LeftOut, Unusable};

/// What one micro-batch gave.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Micro {
    /// Its index in the update.
    pub(super) index: usize,
    /// The loss.
    total: f64,
    terms: Vec<(String, f64)>,
    utterances: Vec<String>,
    frames: usize,
    /// Name, length and padded length of each kind of sequence.
    sequences: Vec<(String, usize, usize)>,
    pub(super) left_out: Vec<LeftOut>,
    /// Why the update cannot be made.
    pub(super) reason: Option<String>,
}

impl Micro {
    /// A batch that was loaded.
    pub(super) fn new<T>(index: usize, batch: &Batch<T>) -> Self {
        Self {
            index,
            total: 0.0,
            terms: Vec::new(),
            utterances: batch.utterances.clone(),
            frames: batch.sequences.first().map_or(0, |input| input.valid),
            sequences: batch.sequences.iter().map(|kind| (kind.name.to_owned(), kind.valid, kind.padded)).collect(),
            left_out: batch.left_out.clone(),
            reason: None,
        }
    }

    /// A batch of which nothing is left.
    pub(super) fn unusable(index: usize, unusable: Unusable) -> Self {
        Self {
            index,
            total: 0.0,
            terms: Vec::new(),
            utterances: unusable.0.iter().map(|left| left.utterance.clone()).collect(),
            frames: 0,
            sequences: Vec::new(),
            reason: Some(format!("micro-batch {index}: {unusable}")),
            left_out: unusable.0,
        }
    }

    /// Notes the loss; whether it can be used.
    pub(super) fn lost(&mut self, total: f64, terms: Vec<(String, f64)>) -> bool {
        (self.total, self.terms) = (total, terms);
        if !total.is_finite() {
            self.reason = Some(format!("the loss of micro-batch {} is {total}", self.index));
        }
        total.is_finite()
    }
}

/// What the micro-batches of an update gave together.
#[derive(Default)]
pub(super) struct Contents {
    /// The sum of their losses.
    pub(super) loss: f64,
    pub(super) terms: Means,
    pub(super) utterances: Vec<String>,
    pub(super) frames: usize,
    sequences: Vec<(String, usize, usize)>,
}

impl Contents {
    pub(super) fn of(micros: Vec<Micro>) -> Self {
        let mut contents = Self::default();
        for micro in micros {
            contents.loss += micro.total;
            contents.terms.add(1.0, micro.terms);
            contents.utterances.extend(micro.utterances);
            contents.frames += micro.frames;
            for (name, valid, padded) in micro.sequences {
                match contents.sequences.iter_mut().find(|(known, ..)| *known == name) {
                    Some((_, all_valid, all_padded)) => {
                        (*all_valid, *all_padded) = (*all_valid + valid, *all_padded + padded)
                    }
                    None => contents.sequences.push((name, valid, padded)),
                }
            }
        }
        contents
    }

    /// The share of padding in each kind of sequence.
    pub(super) fn padding(&self) -> Vec<(String, f64)> {
        self.sequences.iter().map(|(name, valid, padded)| (name.clone(), padding(*valid, *padded))).collect()
    }
}
