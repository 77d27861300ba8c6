//! The language model beside a decoder with a vocabulary of its own.

use burn::tensor::{Int, Tensor, TensorData};
use vocable_decode::TextStepper;
use vocable_nn::PastCache;

use crate::{Dictionary, LanguageModel, LmError, TransformerLm};

/// A language model made ready to score a decoder's tokens.
#[derive(Debug)]
pub struct Fusion {
    /// The language model.
    pub lm: LanguageModel,
    columns: Columns,
}

impl Fusion {
    /// Finds every token of a decoder (`tokens` by identifier) among those of the language model, by its spelling. Marks
    /// (`<mask>`, `<ctc_blank>`, …) other than `</s>` may be missing: they are scored by the decoder alone.
    ///
    /// # Errors
    /// [`LmError::Unknown`] with the characters that are missing.
    pub fn new<'t>(lm: LanguageModel, tokens: impl IntoIterator<Item = &'t str>) -> Result<Self, LmError> {
        match Columns::new(tokens, &lm.dictionary) {
            Ok(columns) => Ok(Self { lm, columns }),
            Err(tokens) => Err(LmError::Unknown { path: lm.path, tokens }),
        }
    }

    /// The companion of a search over so many utterances.
    pub fn stepper(&self, utterances: usize) -> LmStepper<'_> {
        LmStepper { model: &self.lm.model, columns: &self.columns, past: self.lm.model.start(utterances) }
    }
}

/// Which token of a language model is which of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    /// Of every token of the decoder, that of the language model; none of marks that only the decoder has.
    known: Vec<Option<u32>>,
    /// What the language model reads where the decoder has written such a mark.
    unknown: u32,
}

impl Columns {
    /// As [`Fusion::new`]; fails with the spellings that are missing.
    fn new<'t>(tokens: impl IntoIterator<Item = &'t str>, dictionary: &Dictionary) -> Result<Self, Vec<String>> {
        let mark =
            |token: &str| token.is_empty() || (token.len() > 2 && token.starts_with('<') && token.ends_with('>'));
        let mut missing = Vec::new();
        let find = |token: &str| {
            let id = dictionary.id(token);
            if id.is_none() && !mark(token) {
                missing.push(token.to_owned());
            }
            id
        };
        let known = tokens.into_iter().map(find).collect();
        match missing.is_empty() {
            true => Ok(Self { known, unknown: dictionary.unknown() }),
            false => Err(missing),
        }
    }
}

/// Scores the continuations of hypotheses, one row each, in the columns of a decoder; 0 in those of its own marks.
#[derive(Debug)]
pub struct LmStepper<'a> {
    model: &'a TransformerLm,
    columns: &'a Columns,
    past: PastCache,
}

impl TextStepper for LmStepper<'_> {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        let Columns { known, unknown } = self.columns;
        let read: Vec<u32> =
            newest.iter().map(|&token| known.get(token as usize).copied().flatten().unwrap_or(*unknown)).collect();
        let scores = self.model.step(&read, &mut self.past);
        let [rows, tokens] = scores.dims();
        let nothing = Tensor::zeros([rows, 1], &scores.device());
        let columns: Vec<i64> = known.iter().map(|id| id.map_or(tokens as i64, i64::from)).collect();
        let columns = Tensor::<1, Int>::from_data(TensorData::new(columns, [known.len()]), &scores.device());
        Tensor::cat(vec![scores, nothing], 1).select(1, columns)
    }

    fn select(&mut self, rows: &[usize]) {
        self.past.select(rows);
    }
}
