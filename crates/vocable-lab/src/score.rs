//! What a score stage leaves in `outputs/scores.json`, and in `outputs/parts.json` what its scores are made of.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vocable_metrics::{BleuCounts, Bootstrap, EditCounts, Items};

use crate::error::Error;
use crate::files::{read_json, write_json};

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The value, in the unit of the column that shows it.
    pub value: f64,
    /// How many items (utterances, pairs, …) it was measured on.
    pub n: u64,
    /// Its 95 % interval, if one was computed.
    pub interval: Option<[f64; 2]>,
    /// What every item contributes, in an order that all rows and seeds share, so that they can be compared item by item.
    /// Kept in a file of their own.
    #[serde(skip)]
    pub parts: Parts,
    /// Whose each item is, where that is known: a second interval draws speakers with all that is theirs. Kept in a file
    /// of their own.
    #[serde(skip)]
    pub speakers: Vec<String>,
}

/// What every item contributes to a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parts {
    /// (numerator, denominator); the score is Σ numerator / Σ denominator. None where the parts are not known.
    Ratios(Vec<(f64, f64)>),
    /// The counts of a text; the score is BLEU.
    Bleu(Vec<BleuCounts>),
}

impl Default for Parts {
    fn default() -> Self {
        Self::Ratios(Vec::new())
    }
}

impl From<Vec<(f64, f64)>> for Parts {
    fn from(ratios: Vec<(f64, f64)>) -> Self {
        Self::Ratios(ratios)
    }
}

/// One value per item: the score is their mean.
impl From<Vec<f64>> for Parts {
    fn from(values: Vec<f64>) -> Self {
        Self::Ratios(values.into_iter().map(|value| (value, 1.0)).collect())
    }
}

/// Edits per utterance: the score is the error rate in percent.
impl From<Vec<EditCounts>> for Parts {
    fn from(counts: Vec<EditCounts>) -> Self {
        let ratio = |counts: EditCounts| (100.0 * counts.errors() as f64, counts.reference() as f64);
        Self::Ratios(counts.into_iter().map(ratio).collect())
    }
}

impl From<Vec<BleuCounts>> for Parts {
    fn from(counts: Vec<BleuCounts>) -> Self {
        Self::Bleu(counts)
    }
}

impl Items for Parts {
    fn count(&self) -> usize {
        match self {
            Self::Ratios(parts) => parts.count(),
            Self::Bleu(parts) => parts.count(),
        }
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        match self {
            Self::Ratios(parts) => parts.figure(drawn),
            Self::Bleu(parts) => parts.figure(drawn),
        }
    }
}

/// A score's parts in groups, one of each speaker, which are drawn whole.
pub(crate) struct Speakers<'s> {
    parts: &'s Parts,
    names: Vec<&'s str>,
    items: Vec<Vec<usize>>,
}

impl Speakers<'_> {
    /// Whether the same speakers are in both, so that they can be drawn together.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Items for Speakers<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        self.parts.figure(&drawn.iter().flat_map(|&speaker| &self.items[speaker]).copied().collect::<Vec<_>>())
    }
}

impl Score {
    /// A value measured on `n` items.
    pub fn new(value: f64, n: u64) -> Self {
        Self { value, n, interval: None, parts: Parts::default(), speakers: Vec::new() }
    }

    /// The score of items by what each contributes, with its interval; `None` where it is not defined, as of no item.
    pub fn of(parts: impl Into<Parts>, bootstrap: Bootstrap) -> Option<Self> {
        let parts = parts.into();
        let all: Vec<usize> = (0..parts.count()).collect();
        let (value, interval) = (parts.figure(&all)?, bootstrap.interval(&parts)?);
        Some(Self::new(value, all.len() as u64).interval(interval.low, interval.high).parts(parts))
    }

    /// The same score with its 95 % interval.
    #[must_use]
    pub fn interval(self, low: f64, high: f64) -> Self {
        Self { interval: Some([low, high]), ..self }
    }

    /// The same score with what its items contribute.
    #[must_use]
    pub fn parts(self, parts: impl Into<Parts>) -> Self {
        Self { parts: parts.into(), ..self }
    }

    /// The same score with whose its items are, one name for each.
    ///
    /// # Panics
    /// If there are not as many as [`parts`](Self::parts), which come first.
    #[must_use]
    pub fn speakers(self, speakers: Vec<String>) -> Self {
        assert_eq!(self.parts.count(), speakers.len(), "one speaker for each item");
        Self { speakers, ..self }
    }

    /// Its parts by speaker; none if these are not known.
    pub(crate) fn by_speaker(&self) -> Speakers<'_> {
        let mut items = BTreeMap::<&str, Vec<usize>>::new();
        for (item, speaker) in self.speakers.iter().enumerate() {
            items.entry(speaker).or_default().push(item);
        }
        let (names, items) = items.into_iter().unzip();
        Speakers { parts: &self.parts, names, items }
    }
}

/// Named scores: `{key: {value, n, interval: [low, high]}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores(pub BTreeMap<String, Score>);

impl Scores {
    /// The file's name in a stage's `outputs` directory.
    pub const FILE: &'static str = "scores.json";

    /// The name of the file beside it with the parts, by key.
    pub const PARTS: &'static str = "parts.json";

    /// The name of the file beside it with the speakers, by key.
    pub const SPEAKERS: &'static str = "speakers.json";

    /// No scores yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a score under a key.
    #[must_use]
    pub fn with(mut self, key: &str, score: Score) -> Self {
        self.0.insert(key.to_owned(), score);
        self
    }

    /// Writes `scores.json` and, where scores have them, `parts.json` and `speakers.json` into a stage's `outputs` directory.
    ///
    /// # Errors
    /// [`Error::Score`] for a value that is not finite, [`Error::File`] when it cannot be written.
    pub fn write(&self, outputs: &Path) -> Result<(), Error> {
        let finite = |score: &Score| {
            let ratios = match &score.parts {
                Parts::Ratios(ratios) => ratios.as_slice(),
                Parts::Bleu(_) => &[],
            };
            let parts = ratios.iter().flat_map(|&(numerator, denominator)| [numerator, denominator]);
            [score.value].into_iter().chain(score.interval.into_iter().flatten()).chain(parts).all(f64::is_finite)
        };
        if let Some((key, _)) = self.0.iter().find(|(_, score)| !finite(score)) {
            return Err(Error::Score(key.clone()));
        }
        let parts = self.some(|score| (score.parts.count() > 0).then_some(&score.parts));
        if !parts.is_empty() {
            write_json(&outputs.join(Self::PARTS), &parts)?;
        }
        let speakers = self.some(|score| (!score.speakers.is_empty()).then_some(&score.speakers));
        if !speakers.is_empty() {
            write_json(&outputs.join(Self::SPEAKERS), &speakers)?;
        }
        write_json(&outputs.join(Self::FILE), self)
    }

    /// What there is of something that each score may have, by key.
    fn some<T>(&self, of: impl Fn(&Score) -> Option<&T>) -> BTreeMap<&String, &T> {
        self.0.iter().filter_map(|(key, score)| Some((key, of(score)?))).collect()
    }

    /// Reads these files from a stage's `outputs` directory; `None` if the stage wrote no scores.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn read(outputs: &Path) -> Result<Option<Self>, Error> {
        let Some(mut scores) = read_json::<Self>(&outputs.join(Self::FILE))? else { return Ok(None) };
        let parts: BTreeMap<String, Parts> = read_json(&outputs.join(Self::PARTS))?.unwrap_or_default();
        for (key, parts) in parts {
            if let Some(score) = scores.0.get_mut(&key) {
                score.parts = parts;
            }
        }
        let speakers: BTreeMap<String, Vec<String>> = read_json(&outputs.join(Self::SPEAKERS))?.unwrap_or_default();
        for (key, speakers) in speakers {
            if let Some(score) = scores.0.get_mut(&key) {
                score.speakers = speakers;
            }
        }
        Ok(Some(scores))
    }
}

#[cfg(test)]
mod tests {
    use vocable_random::Key;

    use super::*;

    #[test]
    fn scores_read_back_and_must_be_finite() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Scores::read(dir.path()).unwrap(), None);
        let wer = Score::new(50.0, 2).interval(4.0, 90.0).parts(vec![(100.0, 3.0), (200.0, 3.0)]);
        let wer = wer.speakers(vec!["b".into(), "a".into()]);
        let (values, edits) = (vec![50.0, 100.0], EditCounts { hits: 1, substitutions: 1, ..EditCounts::default() });
        let score = |parts: Parts| Score::of(parts, Bootstrap::new(Key::new(1))).unwrap().value;
        assert_eq!((score(values.into()), score(vec![edits].into())), (75.0, 50.0));
        let speakers = wer.by_speaker();
        assert_eq!(
            (speakers.count(), speakers.figure(&[0]), speakers.figure(&[0, 1, 1])),
            (2, Some(200.0 / 3.0), Some(400.0 / 9.0))
        );
        let bleu = Score::of(vec![BleuCounts::of("a b c d", "a b c d")], Bootstrap::new(Key::new(1))).unwrap();
        assert_eq!((bleu.value, bleu.n, bleu.interval), (100.0, 1, Some([100.0, 100.0])));
        let scores = Scores::new().with("wer", wer).with("n", Score::new(1.0, 1)).with("bleu", bleu);
        scores.write(dir.path()).unwrap();
        assert_eq!(Scores::read(dir.path()).unwrap(), Some(scores));
        let message = Scores::new().with("wer", Score::new(f64::NAN, 1)).write(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("score `wer` is not a finite number"), "{message}");
        let part = Score::new(1.0, 1).parts(vec![(f64::INFINITY, 1.0)]);
        assert!(Scores::new().with("wer", part).write(dir.path()).is_err());
    }
}
