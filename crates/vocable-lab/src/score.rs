//! What a score stage leaves in `outputs/scores.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{read_json, write_json};

/// One measured number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The value, in the unit of the column that shows it.
    pub value: f64,
    /// How many items (utterances, pairs, …) it was measured on.
    pub n: u64,
    /// Its 95 % interval, if one was computed.
    pub interval: Option<[f64; 2]>,
}

impl Score {
    /// A value measured on `n` items.
    pub fn new(value: f64, n: u64) -> Self {
        Self { value, n, interval: None }
    }

    /// The same score with its 95 % interval.
    #[must_use]
    pub fn interval(self, low: f64, high: f64) -> Self {
        Self { interval: Some([low, high]), ..self }
    }
}

/// Named scores: `{key: {value, n, interval: [low, high]}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores(pub BTreeMap<String, Score>);

impl Scores {
    /// The file's name in a stage's `outputs` directory.
    pub const FILE: &'static str = "scores.json";

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

    /// Writes `scores.json` into a stage's `outputs` directory.
    ///
    /// # Errors
    /// [`Error::Score`] for a value that is not finite, [`Error::File`] when it cannot be written.
    pub fn write(&self, outputs: &Path) -> Result<(), Error> {
        let finite = |score: &Score| score.value.is_finite() && score.interval.iter().flatten().all(|x| x.is_finite());
        match self.0.iter().find(|(_, score)| !finite(score)) {
            Some((key, _)) => Err(Error::Score(key.clone())),
            None => write_json(&outputs.join(Self::FILE), self),
        }
    }

    /// Reads `scores.json` from a stage's `outputs` directory; `None` if the stage wrote none.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn read(outputs: &Path) -> Result<Option<Self>, Error> {
        read_json(&outputs.join(Self::FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_read_back_and_must_be_finite() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Scores::read(dir.path()).unwrap(), None);
        let scores = Scores::new().with("wer", Score::new(4.4, 100).interval(4.0, 4.9)).with("n", Score::new(1.0, 1));
        scores.write(dir.path()).unwrap();
        assert_eq!(Scores::read(dir.path()).unwrap(), Some(scores));
        let message = Scores::new().with("wer", Score::new(f64::NAN, 1)).write(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with("score `wer` is not a finite number"), "{message}");
    }
}
