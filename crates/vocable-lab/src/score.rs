//! What a score stage leaves in `outputs/scores.json`, and in `outputs/parts.json` what its scores are made of.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vocable_metrics::{BleuCounts, Bootstrap, EditCounts, Interval, Items};

use crate::error::Error;
use crate::files::{read_json, write_json};

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The value, in the unit of the column that shows it.
    pub value: f64,
    /// How many items (utterances, pairs, …) it was measured on.
    pub n: u64,
    /// Its 95 % interval over sentences, if one was computed; over items where these are not of sentences.
    pub interval: Option<[f64; 2]>,
    /// What every item contributes, in an order that all rows and seeds share, so that they can be compared item by item.
    /// Kept in a file of their own.
    #[serde(skip)]
    pub parts: Parts,
    /// Whose each item is, where that is known: a second interval draws speakers with all that is theirs. Kept in a file
    /// of their own.
    #[serde(skip)]
    pub speakers: Vec<String>,
    /// Which sentence each item is of, numbered in the order of their first items; empty where every item is one of its own. A
    /// sentence that several voices say is as hard in each, so that its items are drawn together. Kept in a file of their own.
    #[serde(skip)]
    pub sentences: Vec<usize>,
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

/// A score's parts in groups, one of each sentence or speaker, which are drawn whole.
pub(crate) struct Groups<'s> {
    parts: &'s Parts,
    items: Vec<Vec<usize>>,
}

impl<'s> Groups<'s> {
    /// `keys` has one for each item; items of one key are a group.
    fn new<K: Ord>(parts: &'s Parts, keys: impl IntoIterator<Item = K>) -> Self {
        let mut items = BTreeMap::<K, Vec<usize>>::new();
        for (item, key) in keys.into_iter().enumerate() {
            items.entry(key).or_default().push(item);
        }
        Self { parts, items: items.into_values().collect() }
    }

    /// Whether both have the same items in the same groups, so that they can be drawn together.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl Items for Groups<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn figure(&self, drawn: &[usize]) -> Option<f64> {
        self.parts.figure(&drawn.iter().flat_map(|&group| &self.items[group]).copied().collect::<Vec<_>>())
    }
}

impl Score {
    /// A value measured on `n` items.
    pub fn new(value: f64, n: u64) -> Self {
        Self { value, n, interval: None, parts: Parts::default(), speakers: Vec::new(), sentences: Vec::new() }
    }

    /// The score of items by what each contributes, with its interval; `None` where it is not defined, as of no item.
    pub fn of(parts: impl Into<Parts>, bootstrap: Bootstrap) -> Option<Self> {
        Self::drawn(parts.into(), Vec::new(), bootstrap)
    }

    /// The same where items are of sentences that may be said by several voices: those of one text are drawn together. An
    /// item with an empty text is one of its own.
    ///
    /// # Panics
    /// If there are not as many texts as items.
    pub fn of_sentences<'t>(
        parts: impl Into<Parts>,
        texts: impl IntoIterator<Item = &'t str>,
        bootstrap: Bootstrap,
    ) -> Option<Self> {
        let (parts, mut known) = (parts.into(), HashMap::new());
        let number = |(item, text): (usize, &'t str)| {
            let next = known.len();
            *known.entry((text, text.is_empty().then_some(item))).or_insert(next)
        };
        let sentences: Vec<usize> = texts.into_iter().enumerate().map(number).collect();
        assert_eq!(parts.count(), sentences.len(), "one text for each item");
        Self::drawn(parts, sentences, bootstrap)
    }

    fn drawn(parts: Parts, sentences: Vec<usize>, bootstrap: Bootstrap) -> Option<Self> {
        let all: Vec<usize> = (0..parts.count()).collect();
        let score = Self { sentences, ..Self::new(parts.figure(&all)?, all.len() as u64).parts(parts) };
        let Interval { low, high } = bootstrap.interval(&score.by_sentence())?;
        Some(score.interval(low, high))
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
    pub(crate) fn by_speaker(&self) -> Groups<'_> {
        Groups::new(&self.parts, &self.speakers)
    }

    /// Its parts by sentence; one by one if these are not known.
    pub(crate) fn by_sentence(&self) -> Groups<'_> {
        match self.sentences.is_empty() {
            true => Groups::new(&self.parts, 0..self.parts.count()),
            false => Groups::new(&self.parts, &self.sentences),
        }
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

    /// The name of the file beside it with the sentences, by key.
    pub const SENTENCES: &'static str = "sentences.json";

    /// All files that scores are kept in.
    pub const FILES: [&'static str; 4] = [Self::FILE, Self::PARTS, Self::SPEAKERS, Self::SENTENCES];

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

    /// Writes `scores.json` and, where scores have them, `parts.json`, `speakers.json` and `sentences.json` into a stage's
    /// `outputs` directory.
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
        self.keep(outputs, Self::PARTS, |score| (score.parts.count() > 0).then_some(&score.parts))?;
        self.keep(outputs, Self::SPEAKERS, |score| (!score.speakers.is_empty()).then_some(&score.speakers))?;
        self.keep(outputs, Self::SENTENCES, |score| (!score.sentences.is_empty()).then_some(&score.sentences))?;
        write_json(&outputs.join(Self::FILE), self)
    }

    /// Writes what there is of something that each score may have, by key, into a file of its own.
    fn keep<T: Serialize>(&self, outputs: &Path, file: &str, of: impl Fn(&Score) -> Option<&T>) -> Result<(), Error> {
        let some: BTreeMap<&String, &T> = self.0.iter().filter_map(|(key, score)| Some((key, of(score)?))).collect();
        if some.is_empty() { Ok(()) } else { write_json(&outputs.join(file), &some) }
    }

    /// Reads these files from a stage's `outputs` directory; `None` if the stage wrote no scores.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Damaged`], also where the files are not of the same items.
    pub fn read(outputs: &Path) -> Result<Option<Self>, Error> {
        let Some(mut scores) = read_json::<Self>(&outputs.join(Self::FILE))? else { return Ok(None) };
        scores.take(outputs, Self::PARTS, |score, parts| score.parts = parts)?;
        scores.take(outputs, Self::SPEAKERS, |score, speakers| score.speakers = speakers)?;
        scores.take(outputs, Self::SENTENCES, |score, sentences| score.sentences = sentences)?;
        for (key, score) in &scores.0 {
            let (parts, speakers, sentences) = (score.parts.count(), score.speakers.len(), score.sentences.len());
            if [speakers, sentences].iter().any(|&count| count != 0 && count != parts) {
                let reason =
                    format!("`{key}` has parts of {parts} items, {speakers} speakers and {sentences} sentences");
                let path = outputs.join(Self::PARTS);
                return Err(Error::Damaged { path, source: serde::de::Error::custom(reason) });
            }
        }
        Ok(Some(scores))
    }

    /// Reads what [`keep`](Self::keep) wrote into a file.
    fn take<T: DeserializeOwned>(
        &mut self,
        outputs: &Path,
        file: &str,
        put: impl Fn(&mut Score, T),
    ) -> Result<(), Error> {
        let some: BTreeMap<String, T> = read_json(&outputs.join(file))?.unwrap_or_default();
        for (key, value) in some {
            if let Some(score) = self.0.get_mut(&key) {
                put(score, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vocable_random::Key;

    use super::*;

    #[test]
    fn files_of_other_items_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let score = Score::new(1.0, 2).parts(vec![0.5, 1.5]).speakers(vec!["a".into(), "b".into()]);
        Scores::new().with("mcd", score).write(dir.path()).unwrap();
        assert!(Scores::read(dir.path()).is_ok());
        std::fs::remove_file(dir.path().join(Scores::PARTS)).unwrap();
        let error = Scores::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains("parts.json is damaged"), "{error}");
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("`mcd` has parts of 0 items, 2 speakers"), "{reason}");
    }

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
        // Of one text there is one draw.
        let of_texts = |texts: [&str; 4]| {
            let score = Score::of_sentences(vec![0.0, 30.0, 60.0, 90.0], texts, Bootstrap::new(Key::new(1))).unwrap();
            (score.interval.unwrap(), score.sentences)
        };
        assert_eq!(of_texts(["a"; 4]), ([45.0, 45.0], vec![0; 4]));
        assert_eq!(of_texts(["b", "a", "b", "a"]), ([30.0, 60.0], vec![0, 1, 0, 1]));
        assert_eq!(of_texts(["", "a", "", "a"]).1, [0, 1, 2, 1]);
        let bleu = Score::of(vec![BleuCounts::of("a b c d", "a b c d")], Bootstrap::new(Key::new(1))).unwrap();
        assert_eq!((bleu.value, bleu.n, bleu.interval), (100.0, 1, Some([100.0, 100.0])));
        let wer = Score { sentences: vec![0, 0], ..wer };
        let scores = Scores::new().with("wer", wer).with("n", Score::new(1.0, 1)).with("bleu", bleu);
        scores.write(dir.path()).unwrap();
        assert_eq!(Scores::read(dir.path()).unwrap(), Some(scores));
        let message = Scores::new().with("wer", Score::new(f64::NAN, 1)).write(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("score `wer` is not a finite number"), "{message}");
        let part = Score::new(1.0, 1).parts(vec![(f64::INFINITY, 1.0)]);
        assert!(Scores::new().with("wer", part).write(dir.path()).is_err());
    }
}
