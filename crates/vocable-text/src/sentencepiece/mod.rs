//! SentencePiece's models: their files, and texts in their pieces. Of characters (spec section 3.3), and unigram models.

mod file;
mod normaliser;
mod protobuf;
mod unigram;

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use crate::TextError;
use crate::files;
use file::{CHARACTERS, Content, Index, Kind, Piece, field, literal_at};
use normaliser::Normaliser;
use protobuf::{Field, Fields, write};

pub use unigram::UnigramModel;

/// How the beginning of a word is written.
pub(crate) const SPACE: char = '▁';

/// The table of the normaliser `nmt_nfkc` as SentencePiece 0.2 compiles it into every model (Apache-2.0).
const NMT_NFKC: &[u8] = include_bytes!("nmt_nfkc.charsmap");

/// A character model: pieces with their identifiers, and the normal form of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct CharModel {
    pieces: Vec<Piece>,
    ids: HashMap<String, u32>,
    unknown: u32,
    normaliser: Normaliser,
    /// Pieces that texts may hold as such, longest first.
    literal: Vec<String>,
    /// What else the file says, kept for writing: the settings of training, the normaliser, all other fields.
    trainer: Vec<u8>,
    normaliser_spec: Vec<u8>,
    rest: Vec<u8>,
}

/// The normal form `nmt_nfkc` of a text, with single spaces and none at the ends.
pub(crate) fn nmt_nfkc(text: &str) -> String {
    static NORMALISER: LazyLock<Normaliser> = LazyLock::new(|| {
        let mut normaliser = Normaliser::new(NMT_NFKC).expect("the table is whole");
        (normaliser.add_dummy_prefix, normaliser.escape_whitespaces) = (false, false);
        normaliser
    });
    NORMALISER.normalise(text, |_| 0)
}

/// The pieces of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Identifiers; a run of unknown characters is one `<unk>`.
    pub ids: Vec<u32>,
    /// The characters that the model does not know, each once, in the order of the text.
    pub unknown: Vec<char>,
}

impl CharModel {
    /// Reads a model file (`spm_char.model`).
    ///
    /// # Errors
    /// A file that cannot be read, is no SentencePiece model, or one of another type than `char`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let bytes = files::read(path)?;
        Self::parse(&bytes).map_err(|reason| TextError::Pieces { what: path.display().to_string(), reason })
    }

    /// A model of these characters behind `<s>`, `<pad>`, `</s>`, `<unk>` and `▁`, with the normaliser `nmt_nfkc`.
    ///
    /// # Errors
    /// A character occurs twice, or is a space.
    pub(crate) fn new(characters: impl IntoIterator<Item = char>) -> Result<Self, String> {
        let mut message = Vec::new();
        let special =
            [("<s>", Kind::Control), ("<pad>", Kind::Control), ("</s>", Kind::Control), ("<unk>", Kind::Unknown)];
        let special = special.map(|(text, kind)| Piece { text: text.into(), score: 0.0, kind });
        // Characters are looked up, so their scores mean nothing but their order.
        let normal = |(n, c): (usize, char)| Piece { text: c.into(), score: -(n as f32), kind: Kind::Normal };
        let characters = std::iter::once(SPACE).chain(characters).enumerate().map(normal);
        let mut count = 0;
        for piece in special.into_iter().chain(characters) {
            write(&mut message, field::PIECE, Field::Bytes(&piece.message()));
            count += 1;
        }
        let mut trainer = Vec::new();
        write(&mut trainer, field::MODEL_TYPE, Field::Number(CHARACTERS));
        write(&mut trainer, field::VOCABULARY_SIZE, Field::Number(count));
        for (number, id) in [(field::UNKNOWN_ID, 3), (field::BOS_ID, 0), (field::EOS_ID, 2), (field::PAD_ID, 1)] {
            write(&mut trainer, number, Field::Number(id));
        }
        write(&mut message, field::TRAINER, Field::Bytes(&trainer));
        let mut normaliser = Vec::new();
        write(&mut normaliser, field::NAME, Field::Bytes(b"nmt_nfkc"));
        write(&mut normaliser, field::CHARSMAP, Field::Bytes(NMT_NFKC));
        write(&mut message, field::NORMALISER, Field::Bytes(&normaliser));
        Self::parse(&message)
    }

    /// Reads the content of a model file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content = Content::parse(bytes)?;
        if content.kind.is_some_and(|kind| kind != CHARACTERS) {
            return Err("it is a SentencePiece model, but not one of characters".into());
        }
        if content.byte_fallback {
            return Err("it spells unknown characters in bytes".into());
        }
        Self::assemble(content)
    }

    fn assemble(content: Content) -> Result<Self, String> {
        let Index { ids, unknown, literal } = Index::new(&content.pieces)?;
        let Content { pieces, normaliser, trainer, normaliser_spec, rest, .. } = content;
        Ok(Self { unknown, pieces, ids, normaliser, literal, trainer, normaliser_spec, rest })
    }

    /// The content of a model file; of a model that was read, all that the file said.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut message = Vec::new();
        for piece in &self.pieces {
            write(&mut message, field::PIECE, Field::Bytes(&piece.message()));
        }
        write(&mut message, field::TRAINER, Field::Bytes(&self.trainer));
        write(&mut message, field::NORMALISER, Field::Bytes(&self.normaliser_spec));
        message.extend(&self.rest);
        message
    }

    /// Writes a model file; it appears whole or not at all.
    ///
    /// # Errors
    /// The folder of `path` cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), TextError> {
        let path = path.as_ref();
        files::write(path, self.to_bytes())
    }

    /// The same model with more characters behind the others.
    ///
    /// # Errors
    /// A character that the model has, that is a space, or that its normaliser never leaves in a text.
    pub fn extended(&self, characters: impl IntoIterator<Item = char>) -> Result<Self, TextError> {
        let wrong = |reason| TextError::Pieces { what: "vocabulary".into(), reason };
        let mut pieces = self.pieces.clone();
        let lowest = pieces.iter().map(|piece| piece.score).fold(0.0, f32::min);
        for (n, c) in characters.into_iter().enumerate() {
            let normal = self.normalise(c.encode_utf8(&mut [0; 4]));
            if normal.trim_start_matches(SPACE) != c.to_string() {
                return Err(wrong(format!("`{c}` never occurs in a text: it is normalised to `{normal}`")));
            }
            pieces.push(Piece { text: c.into(), score: lowest - n as f32 - 1.0, kind: Kind::Normal });
        }
        let mut trainer = Vec::new();
        for item in Fields::new(&self.trainer) {
            match item.expect("it was read before") {
                (field::VOCABULARY_SIZE, _) => {
                    write(&mut trainer, field::VOCABULARY_SIZE, Field::Number(pieces.len() as u64));
                }
                (number, value) => write(&mut trainer, number, value),
            }
        }
        let (normaliser, normaliser_spec, rest) =
            (self.normaliser.clone(), self.normaliser_spec.clone(), self.rest.clone());
        let kind = Some(CHARACTERS);
        let content = Content { pieces, normaliser, trainer, normaliser_spec, rest, kind, byte_fallback: false };
        Self::assemble(content).map_err(wrong)
    }

    /// How many pieces there are.
    #[allow(clippy::len_without_is_empty, reason = "a model has at least the piece for unknown characters")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The pieces in the order of their identifiers.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(|piece| piece.text.as_str())
    }

    /// The identifier of a piece.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }

    /// The identifier of unknown characters.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Whether a piece stands for characters of a text.
    pub(crate) fn is_text(&self, id: u32) -> bool {
        matches!(self.pieces[id as usize].kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
    }

    /// The normal form of a text, with `▁` for spaces and before the first word.
    pub fn normalise(&self, text: &str) -> String {
        self.normaliser.normalise(text, |text| self.literal_at(text))
    }

    /// The pieces of a text.
    pub fn encode(&self, text: &str) -> Encoded {
        let normal = self.normalise(text);
        let mut encoded = Encoded::default();
        let mut rest = normal.as_str();
        while let Some(first) = rest.chars().next() {
            let length = self.literal_at(rest).max(first.len_utf8());
            let id = self.id(&rest[..length]).unwrap_or(self.unknown);
            if id != self.unknown || encoded.ids.last() != Some(&id) {
                encoded.ids.push(id);
            }
            if id == self.unknown && !encoded.unknown.contains(&first) {
                encoded.unknown.push(first);
            }
            rest = &rest[length..];
        }
        encoded
    }

    /// Length of the longest piece that texts may hold as such at the beginning of a text; 0 without one.
    fn literal_at(&self, text: &str) -> usize {
        literal_at(&self.literal, text)
    }
}
