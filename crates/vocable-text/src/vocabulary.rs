//! Character vocabularies in the identifier order of fairseq's dictionaries.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Tokenizer;
use crate::error::TextError;
use crate::files;
use crate::normalise::normalise_spelling;

/// Identifiers 0 to 4, in this order.
const FIRST: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "▁"];
/// The last two identifiers, in this order.
const LAST: [&str; 2] = ["<mask>", "<ctc_blank>"];
const BOS: u32 = 0;
const PAD: u32 = 1;
const EOS: u32 = 2;
const UNK: u32 = 3;
const SPACE: u32 = 4;

/// Texts as tokens, in the identifier order of fairseq's dictionaries: `<s>`, `<pad>`, `</s>` and `<unk>` come first,
/// `<mask>` and `<ctc_blank>` last.
#[allow(clippy::len_without_is_empty, reason = "the special pieces are always there")]
pub trait Vocabulary: Debug + Send + Sync {
    /// How many identifiers there are, special ones included.
    fn len(&self) -> usize;

    /// Token identifiers of a text, without `<s>` and `</s>`.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// The text of some tokens; special ones are dropped. Panics on an identifier that is not below [`len`](Self::len).
    fn decode(&self, ids: &[u32]) -> String;

    /// Start of sequence `<s>`; only text pre-training uses it.
    fn bos(&self) -> u32 {
        BOS
    }

    /// Padding `<pad>`.
    fn pad(&self) -> u32 {
        PAD
    }

    /// End of sequence `</s>`, which also starts the decoder.
    fn eos(&self) -> u32 {
        EOS
    }

    /// Unknown characters `<unk>`.
    fn unk(&self) -> u32 {
        UNK
    }

    /// The mask of the infilling noise, `<mask>`.
    fn mask(&self) -> u32 {
        self.len() as u32 - 2
    }

    /// The blank of CTC, `<ctc_blank>`.
    fn blank(&self) -> u32 {
        self.len() as u32 - 1
    }
}

impl Vocabulary for CharVocabulary {
    fn len(&self) -> usize {
        self.len()
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.encode(text)
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.decode(ids)
    }
}

/// A character vocabulary (spec section 3.3): `<s>`, `<pad>`, `</s>`, `<unk>`, the word boundary `▁`, the characters,
/// `<mask>` and `<ctc_blank>`.
///
/// As JSON it is the list of its pieces, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct CharVocabulary {
    pieces: Vec<String>,
    ids: HashMap<char, u32>,
}

impl CharVocabulary {
    /// The vocabulary of some text: its characters by descending frequency, ties by code point.
    ///
    /// The text is counted as [`Self::encode`] sees it, so case is kept; see [`crate::normalise`] to fold it first.
    pub fn from_lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Self {
        let mut counts: HashMap<char, u64> = HashMap::new();
        for line in lines {
            let line = normalise_spelling(line.as_ref());
            // Of white space the rules leave U+0085 alone, which a list of lines could not name.
            for c in line.chars().filter(|c| !is_boundary(*c) && !c.is_whitespace()) {
                *counts.entry(c).or_default() += 1;
            }
        }
        let mut characters: Vec<(char, u64)> = counts.into_iter().collect();
        characters.sort_unstable_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
        Self::from_characters(characters.into_iter().map(|(c, _)| c)).expect("counted characters are distinct")
    }

    /// The vocabulary whose characters have the identifiers 5, 6, 7 …
    ///
    /// # Errors
    /// A character occurs twice, or is a word boundary.
    pub fn from_characters(characters: impl IntoIterator<Item = char>) -> Result<Self, TextError> {
        let characters = characters.into_iter().map(String::from);
        let pieces: Vec<String> =
            FIRST.map(String::from).into_iter().chain(characters).chain(LAST.map(String::from)).collect();
        Self::try_from(pieces)
    }

    /// Reads a file of one piece per line, each with or without a count behind it: fairseq's `dict.txt`, or the
    /// `.vocab` list of a SentencePiece character model. The special pieces may be listed or not.
    ///
    /// # Errors
    /// The file cannot be read, a piece is longer than a character, a character is listed twice, or `▁` is not before them all.
    pub fn read_list(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let text = files::read_text(path)?;
        let mut characters = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some(piece) = line.split_whitespace().next() else {
                continue;
            };
            if piece == FIRST[SPACE as usize] && !characters.is_empty() {
                let reason = format!(
                    "line {}: `{piece}` stands behind characters, whose numbers would be others here",
                    index + 1
                );
                return Err(TextError::Pieces { what: path.display().to_string(), reason });
            }
            if FIRST.contains(&piece) || LAST.contains(&piece) {
                continue;
            }
            let mut chars = piece.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => characters.push(c),
                _ => {
                    return Err(TextError::NotACharacter { path: path.into(), line: index + 1, piece: piece.into() });
                }
            }
        }
        if characters.is_empty() {
            let reason = "holds no characters; give one piece per line".to_owned();
            return Err(TextError::Pieces { what: path.display().to_string(), reason });
        }
        Self::from_characters(characters).map_err(|error| named(error, path))
    }

    /// Reads the characters of a published model: a list of them ([`Self::read_list`]), or the tokenizer in its folder of
    /// transformers.
    ///
    /// # Errors
    /// Those of [`Self::read_list`] and [`Tokenizer::open`]; a tokenizer with other special tokens than SpeechT5's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Self::read_list(path);
        }
        let pieces: Vec<String> = Tokenizer::open(path)?.spellings().into_iter().map(str::to_owned).collect();
        Self::try_from(pieces).map_err(|error| named(error, path))
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read or is no vocabulary.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let text = files::read_text(path)?;
        serde_json::from_str(&text)
            .map_err(|error| TextError::Pieces { what: path.display().to_string(), reason: error.to_string() })
    }

    /// Writes the pieces as JSON; the file appears whole or not at all.
    ///
    /// # Errors
    /// The folder of `path` cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TextError> {
        let path = path.as_ref();
        let json = serde_json::to_string_pretty(self).expect("strings are always JSON");
        files::write(path, json)
    }

    /// Token identifiers of a text, without `<s>` and `</s>`.
    ///
    /// The text is brought to [`normalise_spelling`], every word begins with `▁`, and a run of unknown characters is
    /// one `<unk>`. An empty text has no tokens.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let text = normalise_spelling(text);
        let mut ids = Vec::with_capacity(text.len() + 1);
        if !text.is_empty() {
            ids.push(SPACE);
        }
        for c in text.chars() {
            let id = if is_boundary(c) { SPACE } else { self.ids.get(&c).copied().unwrap_or(UNK) };
            if id != UNK || ids.last() != Some(&UNK) {
                ids.push(id);
            }
        }
        ids
    }

    /// The text of some tokens: pieces side by side, `▁` as a space, ends stripped. Special tokens, `<unk>` among
    /// them, are dropped.
    ///
    /// # Panics
    /// An identifier is not below [`Self::len`].
    pub fn decode(&self, ids: &[u32]) -> String {
        let special = |id: u32| id <= UNK || id >= self.mask();
        let mut text = String::with_capacity(ids.len());
        for &id in ids {
            assert!((id as usize) < self.len(), "token {id} is not in a vocabulary of {}", self.len());
            match id {
                SPACE => text.push(' '),
                id if special(id) => {}
                id => text.push_str(&self.pieces[id as usize]),
            }
        }
        text.trim().to_owned()
    }

    /// How many identifiers there are, special ones included.
    #[allow(clippy::len_without_is_empty, reason = "the special pieces are always there")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The pieces in the order of their identifiers.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// The characters in the order of their identifiers, from 5 on.
    pub fn characters(&self) -> impl Iterator<Item = char> {
        let pieces = &self.pieces[FIRST.len()..self.pieces.len() - LAST.len()];
        pieces.iter().map(|piece| piece.chars().next().expect("a character"))
    }

    /// Start of sequence `<s>`; only text pre-training uses it.
    pub fn bos(&self) -> u32 {
        BOS
    }

    /// Padding `<pad>`.
    pub fn pad(&self) -> u32 {
        PAD
    }

    /// End of sequence `</s>`, which also starts the decoder.
    pub fn eos(&self) -> u32 {
        EOS
    }

    /// Unknown characters `<unk>`.
    pub fn unk(&self) -> u32 {
        UNK
    }

    /// The mask of the infilling noise, `<mask>`.
    pub fn mask(&self) -> u32 {
        self.pieces.len() as u32 - 2
    }

    /// The blank of CTC, `<ctc_blank>`.
    pub fn blank(&self) -> u32 {
        self.pieces.len() as u32 - 1
    }
}

/// Whether a character of normalised text parts words.
pub(crate) fn is_boundary(c: char) -> bool {
    c == ' ' || c == '▁'
}

impl TryFrom<Vec<String>> for CharVocabulary {
    type Error = TextError;

    fn try_from(pieces: Vec<String>) -> Result<Self, TextError> {
        let wrong = |reason: String| TextError::Pieces { what: "vocabulary".to_owned(), reason };
        let characters = pieces.len().checked_sub(LAST.len()).and_then(|end| pieces.get(FIRST.len()..end));
        let Some(characters) = characters.filter(|_| pieces.starts_with(&FIRST.map(String::from))) else {
            return Err(wrong(format!("must begin with {}", FIRST.join(" "))));
        };
        if !pieces.ends_with(&LAST.map(String::from)) {
            return Err(wrong(format!("must end with {}", LAST.join(" "))));
        }
        let mut ids = HashMap::with_capacity(characters.len());
        for (id, piece) in (FIRST.len() as u32..).zip(characters) {
            let mut chars = piece.chars();
            let (Some(c), None) = (chars.next(), chars.next()) else {
                return Err(wrong(format!("piece {id}, `{piece}`, is not one character")));
            };
            if is_boundary(c) || c.is_whitespace() {
                return Err(wrong(format!("piece {id} is a word boundary, which is piece {SPACE} already")));
            }
            if ids.insert(c, id).is_some() {
                return Err(wrong(format!("`{piece}` is listed twice, the second time as piece {id}")));
            }
        }
        Ok(Self { pieces, ids })
    }
}

impl From<CharVocabulary> for Vec<String> {
    fn from(vocabulary: CharVocabulary) -> Self {
        vocabulary.pieces
    }
}

/// The same error, with the file in place of the general word.
fn named(error: TextError, path: &Path) -> TextError {
    match error {
        TextError::Pieces { reason, .. } => TextError::Pieces { what: path.display().to_string(), reason },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The vocabulary of the released models as far as spec section 3.3 knows it; the others are filled up.
    fn released() -> CharVocabulary {
        let known: HashMap<usize, char> = [
            (5, 'e'),
            (6, 't'),
            (7, 'a'),
            (8, 'o'),
            (9, 'n'),
            (10, 'i'),
            (11, 'h'),
            (12, 's'),
            (13, 'r'),
            (14, 'd'),
            (15, 'l'),
            (17, 'c'),
            (18, 'm'),
            (19, 'f'),
            (20, 'w'),
            (21, 'g'),
            (22, 'y'),
            (23, ','),
            (25, 'b'),
            (26, '.'),
            (28, 'k'),
            (30, 'I'),
            (32, 'T'),
            (35, 'H'),
            (41, '?'),
            (73, 'é'),
            (77, 'œ'),
        ]
        .into();
        // Private characters, which no text has.
        let filler = |id: usize| char::from_u32(0xe000 + id as u32).expect("a private character");
        CharVocabulary::from_characters((5..79).map(|id| known.get(&id).copied().unwrap_or(filler(id)))).unwrap()
    }

    #[test]
    fn white_space_of_every_kind_is_no_character() {
        let white: String = (0..=char::MAX as u32).filter_map(char::from_u32).filter(|c| c.is_whitespace()).collect();
        let vocabulary = CharVocabulary::from_lines([format!("a{white}b")]);
        assert_eq!(vocabulary.characters().collect::<String>(), "ab");
    }

    #[test]
    fn a_list_whose_numbers_would_be_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dict.txt");
        fs::write(&path, "e 60\n▁ 50\nt 40\n").unwrap();
        let message = CharVocabulary::read_list(&path).unwrap_err().to_string();
        assert!(message.contains("dict.txt") && message.contains("line 2: `▁` stands behind characters"), "{message}");
    }

    #[test]
    fn the_released_encoding() {
        let vocabulary = released();
        assert_eq!(vocabulary.len(), 81);
        assert_eq!((vocabulary.mask(), vocabulary.blank()), (79, 80));
        assert_eq!(vocabulary.encode("This is a test"), [4, 32, 11, 10, 12, 4, 10, 12, 4, 7, 4, 6, 5, 12, 6]);
        assert_eq!(
            vocabulary.encode("I was born in 92000, and this is falsé."),
            [
                4, 30, 4, 20, 7, 12, 4, 25, 8, 13, 9, 4, 10, 9, 4, 3, 23, 4, 7, 9, 14, 4, 6, 11, 10, 12, 4, 10, 12, 4,
                19, 7, 15, 12, 73, 26
            ]
        );
        assert_eq!(vocabulary.decode(&vocabulary.encode("This is a test")), "This is a test");
    }

    #[test]
    fn characters_are_ordered_by_frequency_then_code_point() {
        let vocabulary = CharVocabulary::from_lines(["bb  aa c", "b é"]);
        let pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "b", "a", "c", "é", "<mask>", "<ctc_blank>"];
        assert_eq!(vocabulary.pieces(), pieces);
    }

    #[test]
    fn whitespace_and_unknown_runs() {
        let vocabulary = CharVocabulary::from_lines(["ab"]);
        let (a, b) = (5, 6);
        assert_eq!(vocabulary.encode("  a \t b\n"), [4, a, 4, b]);
        assert_eq!(vocabulary.encode("xyz"), [4, 3]);
        assert_eq!(vocabulary.encode("axyb x y"), [4, a, 3, b, 4, 3, 4, 3]);
        assert_eq!(vocabulary.encode("a▁b"), [4, a, 4, b]);
        assert_eq!(vocabulary.encode(""), [0_u32; 0]);
        assert_eq!(vocabulary.encode("  "), [0_u32; 0]);
        assert_eq!(vocabulary.decode(&[0, 4, a, 3, b, 7, 4, a, 8, 2, 1]), "ab a");
    }

    #[test]
    fn known_text_survives_the_round_trip() {
        let lines = ["j'ai dix-sept chaussures bleues", "drei rote hüte", "three red hats"];
        let vocabulary = CharVocabulary::from_lines(lines);
        for line in lines {
            assert_eq!(vocabulary.decode(&vocabulary.encode(line)), line);
        }
    }

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dict.txt");
        fs::write(&path, "▁ 100\ne 60\nt 50\n# 3\n").unwrap();
        let vocabulary = CharVocabulary::read_list(&path).unwrap();
        assert_eq!(vocabulary.encode("te #"), [4, 6, 5, 4, 7]);
        assert_eq!(vocabulary.len(), 10);

        fs::write(&path, "<s>\n<pad>\n</s>\n<unk>\n▁\ne\nt\n#\n<mask>\n<ctc_blank>\n").unwrap();
        assert_eq!(CharVocabulary::read_list(&path).unwrap(), vocabulary);

        let json = folder.path().join("vocabulary.json");
        vocabulary.save(&json).unwrap();
        assert_eq!(CharVocabulary::load(&json).unwrap(), vocabulary);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing partial is left");
    }

    #[test]
    fn mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dict.txt");
        let message = |text: &str| {
            fs::write(&path, text).unwrap();
            CharVocabulary::read_list(&path).unwrap_err().to_string()
        };
        assert!(message("▁ 1\nthe 2\n").contains("dict.txt, line 2: `the` is not one character"));
        assert!(message("e 1\ne 2\n").contains("dict.txt: `e` is listed twice"));
        assert!(message("").contains("dict.txt: holds no characters"));
        let missing = CharVocabulary::load(folder.path().join("none.json")).unwrap_err().to_string();
        assert!(missing.contains("none.json"), "{missing}");
        for pieces in
            [vec![], vec!["<s>"; 6], [&FIRST[..], &["a", "b"]].concat(), [&FIRST[..], &["ab"], &LAST].concat()]
        {
            let json = serde_json::to_string(&pieces).unwrap();
            assert!(serde_json::from_str::<CharVocabulary>(&json).is_err(), "{json}");
        }
    }
}
