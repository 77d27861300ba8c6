//! Vocabularies of word pieces, learned with the crate `tokenizers`.

use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, Model, ModelWrapper, Trainer};

use crate::error::TextError;
use crate::normalise::normalise_spelling;
use crate::vocabulary::{Vocabulary, is_boundary};

mod unigram;

/// How the beginning of a word is written.
const SPACE: char = '▁';
/// Identifiers before the first piece: `<s>`, `<pad>`, `</s>`, `<unk>`.
const FIRST: u32 = 4;
const UNK: u32 = 3;

/// How pieces are learned, and a text is divided into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubwordKind {
    /// Byte-pair encoding (Sennrich et al. 2016): the most frequent pairs become pieces, one after the other.
    #[default]
    Bpe,
    /// A unigram model (Kudo 2018), as SentencePiece's default: pieces with probabilities, of which a text is the most probable
    /// row.
    Unigram,
}

impl SubwordKind {
    /// Whether it is byte-pair encoding.
    pub fn is_bpe(&self) -> bool {
        *self == Self::Bpe
    }
}

/// A vocabulary of word pieces: `<s>`, `<pad>`, `</s>`, `<unk>`, the pieces, `<mask>` and `<ctc_blank>` (spec section 6.3:
/// translation has its own).
///
/// As JSON it is the model of `tokenizers`: pieces with merges or scores.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "ModelWrapper", into = "ModelWrapper")]
pub struct Subwords {
    /// Its own identifiers: 0 for unknown characters, then the pieces.
    model: ModelWrapper,
    pieces: Vec<String>,
}

/// The piece for unknown characters.
const UNKNOWN: &str = "<unk>";
/// What is wrong with texts that teach nothing.
const NO_WORD: &str = "hold no word";

impl Subwords {
    /// A vocabulary of about `pieces` pieces, special ones included, for texts like these: fewer where the texts have
    /// fewer, and never fewer than their characters and one piece. The same texts give the same vocabulary.
    ///
    /// # Errors
    /// The texts hold no word.
    pub fn train<S: AsRef<str>>(
        lines: impl IntoIterator<Item = S>,
        kind: SubwordKind,
        pieces: usize,
    ) -> Result<Self, TextError> {
        let failed = |reason| TextError::Pieces { what: "the texts of a subword vocabulary".into(), reason };
        let words: Vec<String> = lines.into_iter().flat_map(|line| words(line.as_ref())).collect();
        if words.is_empty() {
            return Err(failed(NO_WORD.into()));
        }
        // The trainers count the piece for unknown characters, but not `<s>`, `<pad>`, `</s>`, `<mask>` and `<ctc_blank>`.
        let size = pieces.saturating_sub(FIRST as usize + 1);
        let model = match kind {
            SubwordKind::Bpe => byte_pairs(words, size).map(ModelWrapper::BPE),
            SubwordKind::Unigram => unigram::train(words, size).map(ModelWrapper::Unigram),
        };
        Self::try_from(model.map_err(|error| failed(error.to_string()))?)
    }

    /// The pieces in the order of their identifiers, from 4 on.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }
}

/// Learns byte pairs; `size` counts the piece for unknown characters.
fn byte_pairs(words: Vec<String>, size: usize) -> tokenizers::Result<BPE> {
    let mut trainer = BpeTrainer::builder()
        .vocab_size(size)
        .special_tokens(vec![AddedToken::from(UNKNOWN, true)])
        .show_progress(false)
        .build();
    trainer.feed(words.into_iter(), |word| Ok(vec![word.to_owned()]))?;
    let mut model = BPE::default();
    trainer.train(&mut model)?;
    (model.unk_token, model.fuse_unk) = (Some(UNKNOWN.into()), true);
    Ok(model)
}

/// The words of a text, each behind its boundary.
fn words(text: &str) -> Vec<String> {
    let text = normalise_spelling(text);
    text.split(is_boundary).filter(|word| !word.is_empty()).map(|word| format!("{SPACE}{word}")).collect()
}

impl Vocabulary for Subwords {
    fn len(&self) -> usize {
        FIRST as usize + self.pieces.len() + 2
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for word in words(text) {
            let tokens = self.model.tokenize(&word).expect("a model with an unknown piece can write every word");
            for token in tokens {
                let id = if token.id == 0 { UNK } else { FIRST + token.id - 1 };
                if id != UNK || ids.last() != Some(&UNK) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    fn decode(&self, ids: &[u32]) -> String {
        let pieces = ids.iter().filter_map(|&id| {
            assert!((id as usize) < self.len(), "token {id} is not in a vocabulary of {}", self.len());
            self.pieces.get(id.checked_sub(FIRST)? as usize).map(String::as_str)
        });
        pieces.collect::<String>().replace(SPACE, " ").trim().to_owned()
    }
}

impl TryFrom<ModelWrapper> for Subwords {
    type Error = TextError;

    fn try_from(model: ModelWrapper) -> Result<Self, TextError> {
        let wrong = |reason| TextError::Pieces { what: "subword vocabulary".into(), reason };
        if !matches!(model, ModelWrapper::BPE(_) | ModelWrapper::Unigram(_)) {
            return Err(wrong("must be a model of byte pairs or a unigram model".into()));
        }
        let mut pieces: Vec<(u32, String)> = model.get_vocab().into_iter().map(|(piece, id)| (id, piece)).collect();
        pieces.sort_unstable();
        let in_order = pieces.iter().enumerate().all(|(n, (id, _))| n == *id as usize);
        if !in_order || pieces.first().is_none_or(|(_, piece)| piece != UNKNOWN) {
            return Err(wrong(format!("must number its pieces from 0 on, `{UNKNOWN}` first")));
        }
        let unknown = model.tokenize("\u{10FFFF}").is_ok_and(|tokens| tokens.iter().all(|token| token.id == 0));
        if !unknown {
            return Err(wrong(format!("must write unknown characters as `{UNKNOWN}`")));
        }
        Ok(Self { pieces: pieces.into_iter().skip(1).map(|(_, piece)| piece).collect(), model })
    }
}

impl From<Subwords> for ModelWrapper {
    fn from(vocabulary: Subwords) -> Self {
        vocabulary.model
    }
}

impl std::fmt::Debug for Subwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subwords").field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 6] = [
        "der hund schläft im garten",
        "die katze schläft im haus",
        "der hund spielt im haus",
        "die katzen spielen im garten",
        "hunde und katzen schlafen",
        "das haus hat einen garten",
    ];

    fn trained() -> [Subwords; 2] {
        [SubwordKind::Bpe, SubwordKind::Unigram].map(|kind| Subwords::train(LINES, kind, 60).unwrap())
    }

    #[test]
    fn texts_come_back_and_pieces_are_longer_than_characters() {
        for vocabulary in trained() {
            assert!(vocabulary.len() <= 60, "{}", vocabulary.len());
            for line in LINES.iter().copied().chain(["", "die hunde schlafen im haus"]) {
                let ids = vocabulary.encode(line);
                assert_eq!(vocabulary.decode(&ids), line);
                assert!(ids.len() < line.chars().count().max(1), "{line}: {ids:?}");
                assert!(ids.iter().all(|&id| (FIRST..vocabulary.mask()).contains(&id)), "{ids:?}");
            }
            assert_eq!(vocabulary.encode("  der   hund "), vocabulary.encode("der hund"));
        }
    }

    #[test]
    fn unknown_characters_are_one_token_and_specials_are_not_text() {
        for vocabulary in trained() {
            let ids = vocabulary.encode("hund ωω haus");
            assert_eq!(ids.iter().filter(|&&id| id == vocabulary.unk()).count(), 1, "{ids:?}");
            let all = [0, 1, 2, 3, vocabulary.mask(), vocabulary.blank()];
            assert_eq!(vocabulary.decode(&all), "");
            assert_eq!(vocabulary.blank() as usize + 1, vocabulary.len());
        }
    }

    #[test]
    fn it_is_kept_as_json_and_training_repeats() {
        for (vocabulary, repeated) in trained().into_iter().zip(trained()) {
            let json = serde_json::to_string(&vocabulary).unwrap();
            let again: Subwords = serde_json::from_str(&json).unwrap();
            assert_eq!(again.encode(LINES[3]), vocabulary.encode(LINES[3]));
            assert_eq!(serde_json::to_string(&repeated).unwrap(), json);
        }
        let vocab = r#"[["<unk>", 0.0], ["b", -1.0]]"#;
        for (other, reason) in [
            (r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}"#.into(), "`<unk>` first"),
            (r#"{"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["b", -1.0]]}"#.into(), "`<unk>` first"),
            (format!(r#"{{"type": "Unigram", "unk_id": null, "vocab": {vocab}}}"#), "unknown characters"),
            (format!(r#"{{"type": "Unigram", "unk_id": 1, "vocab": {vocab}}}"#), "unknown characters"),
            (r#"{"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}"#.into(), "byte pairs or a unigram"),
        ] {
            let said = serde_json::from_str::<Subwords>(&other).unwrap_err().to_string();
            assert!(said.contains(reason), "{other}: {said}");
        }
    }

    #[test]
    fn texts_without_words_teach_nothing_and_few_pieces_are_the_characters_at_least() {
        let only_unknown = Subwords::train(["<unk> <UNK>"], SubwordKind::Unigram, 60);
        assert!(only_unknown.unwrap_err().to_string().contains("no word"));
        for kind in [SubwordKind::Bpe, SubwordKind::Unigram] {
            assert!(Subwords::train(["", " "], kind, 60).unwrap_err().to_string().contains("no word"));
            let small = Subwords::train(LINES, kind, 0).unwrap();
            assert_eq!(small.decode(&small.encode(LINES[2])), LINES[2]);
            // What the trainers themselves call unknown characters.
            let odd = Subwords::train(["ein <unk> <UNK>", "<unk>. <UNK>"].iter().chain(&LINES), kind, 60).unwrap();
            assert_eq!(odd.decode(&odd.encode(LINES[2])), LINES[2]);
        }
    }
}
