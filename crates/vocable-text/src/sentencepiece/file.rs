//! What a model file says: a message of Protocol Buffers.

use std::collections::HashMap;

use super::normaliser::Normaliser;
use super::protobuf::{Field, Fields, write};

/// A piece of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// What a piece is for, with the number that a file has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Normal, Self::Unknown, Self::Control, Self::UserDefined, Self::Unused, Self::Byte];
}

/// Numbers of fields.
pub(super) mod field {
    pub(in crate::sentencepiece) const PIECE: u64 = 1;
    pub(in crate::sentencepiece) const TRAINER: u64 = 2;
    pub(in crate::sentencepiece) const NORMALISER: u64 = 3;

    pub(in crate::sentencepiece) const PIECE_TEXT: u64 = 1;
    pub(in crate::sentencepiece) const PIECE_SCORE: u64 = 2;
    pub(in crate::sentencepiece) const PIECE_KIND: u64 = 3;

    pub(in crate::sentencepiece) const MODEL_TYPE: u64 = 3;
    pub(in crate::sentencepiece) const VOCABULARY_SIZE: u64 = 4;
    pub(in crate::sentencepiece) const SPACE_AS_SUFFIX: u64 = 24;
    pub(in crate::sentencepiece) const BYTE_FALLBACK: u64 = 35;
    pub(in crate::sentencepiece) const UNKNOWN_ID: u64 = 40;
    pub(in crate::sentencepiece) const BOS_ID: u64 = 41;
    pub(in crate::sentencepiece) const EOS_ID: u64 = 42;
    pub(in crate::sentencepiece) const PAD_ID: u64 = 43;

    pub(in crate::sentencepiece) const NAME: u64 = 1;
    pub(in crate::sentencepiece) const CHARSMAP: u64 = 2;
    pub(in crate::sentencepiece) const ADD_DUMMY_PREFIX: u64 = 3;
    pub(in crate::sentencepiece) const REMOVE_EXTRA_WHITESPACES: u64 = 4;
    pub(in crate::sentencepiece) const ESCAPE_WHITESPACES: u64 = 5;
}
/// The numbers of a unigram and of a character model among the types of models.
pub(super) const UNIGRAM: u64 = 1;
pub(super) const CHARACTERS: u64 = 4;

/// The content of a model file.
pub(super) struct Content {
    pub(super) pieces: Vec<Piece>,
    pub(super) normaliser: Normaliser,
    /// The type of the model, where it is told.
    pub(super) kind: Option<u64>,
    /// Whether unknown characters are spelled in bytes.
    pub(super) byte_fallback: bool,
    /// What else the file says, kept for writing: the settings of training, the normaliser, all other fields.
    pub(super) trainer: Vec<u8>,
    pub(super) normaliser_spec: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

impl Content {
    /// Reads the bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let broken = || "it is not a SentencePiece model".to_owned();
        let (mut pieces, mut rest) = (Vec::new(), Vec::new());
        let (mut trainer, mut normaliser_spec) = (None, None);
        for item in Fields::new(bytes) {
            match item.ok_or_else(broken)? {
                (field::PIECE, Field::Bytes(message)) => pieces.push(Piece::parse(message).ok_or_else(broken)?),
                (field::TRAINER, Field::Bytes(message)) => trainer = Some(message),
                (field::NORMALISER, Field::Bytes(message)) => normaliser_spec = Some(message),
                (number, value) => write(&mut rest, number, value),
            }
        }
        let (trainer, spec) = trainer.zip(normaliser_spec).filter(|_| !pieces.is_empty()).ok_or_else(broken)?;
        let charsmap = Fields::new(spec).flatten().find_map(|found| match found {
            (field::CHARSMAP, Field::Bytes(charsmap)) => Some(charsmap),
            _ => None,
        });
        let mut normaliser = Normaliser::new(charsmap.unwrap_or_default())?;
        for item in Fields::new(spec) {
            match item.ok_or_else(broken)? {
                (field::ADD_DUMMY_PREFIX, Field::Number(value)) => normaliser.add_dummy_prefix = value != 0,
                (field::REMOVE_EXTRA_WHITESPACES, Field::Number(value)) => {
                    normaliser.remove_extra_whitespaces = value != 0;
                }
                (field::ESCAPE_WHITESPACES, Field::Number(value)) => normaliser.escape_whitespaces = value != 0,
                _ => {}
            }
        }
        let (mut kind, mut byte_fallback) = (None, false);
        for item in Fields::new(trainer) {
            match item.ok_or_else(broken)? {
                (field::MODEL_TYPE, Field::Number(number)) => kind = Some(number),
                (field::SPACE_AS_SUFFIX, Field::Number(value)) => normaliser.space_as_suffix = value != 0,
                (field::BYTE_FALLBACK, Field::Number(value)) => byte_fallback = value != 0,
                _ => {}
            }
        }
        let (trainer, normaliser_spec) = (trainer.to_vec(), spec.to_vec());
        Ok(Self { pieces, normaliser, kind, byte_fallback, trainer, normaliser_spec, rest })
    }
}

/// Where the pieces of a model are found.
pub(super) struct Index {
    pub(super) ids: HashMap<String, u32>,
    /// The piece for unknown characters.
    pub(super) unknown: u32,
    /// Pieces that texts may hold as such, longest first.
    pub(super) literal: Vec<String>,
}

impl Index {
    /// Of pieces that are all different, one of them for unknown characters.
    pub(super) fn new(pieces: &[Piece]) -> Result<Self, String> {
        let mut ids = HashMap::with_capacity(pieces.len());
        for (id, piece) in (0..).zip(pieces) {
            if piece.text.is_empty() {
                return Err(format!("piece {id} is empty"));
            }
            if ids.insert(piece.text.clone(), id).is_some() {
                return Err(format!("`{}` is listed twice, the second time as piece {id}", piece.text));
            }
        }
        let of = |kind| pieces.iter().filter(move |piece| piece.kind == kind);
        let (Some(unknown), 1) =
            (pieces.iter().position(|piece| piece.kind == Kind::Unknown), of(Kind::Unknown).count())
        else {
            return Err("it has no piece for unknown characters, or several".into());
        };
        let mut literal: Vec<String> = of(Kind::UserDefined).map(|piece| piece.text.clone()).collect();
        literal.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Self { ids, unknown: unknown as u32, literal })
    }
}

/// Length of the longest of the literal pieces at the beginning of a text; 0 without one.
pub(super) fn literal_at(literal: &[String], text: &str) -> usize {
    literal.iter().find(|literal| text.starts_with(literal.as_str())).map_or(0, String::len)
}

impl Piece {
    fn parse(message: &[u8]) -> Option<Self> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: Kind::Normal };
        for item in Fields::new(message) {
            match item? {
                (field::PIECE_TEXT, Field::Bytes(text)) => piece.text = std::str::from_utf8(text).ok()?.to_owned(),
                (field::PIECE_SCORE, Field::Four(score)) => piece.score = f32::from_le_bytes(score),
                (field::PIECE_KIND, Field::Number(kind)) => {
                    piece.kind = Kind::ALL.into_iter().find(|known| *known as u64 == kind)?;
                }
                _ => {}
            }
        }
        Some(piece)
    }

    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        write(&mut message, field::PIECE_TEXT, Field::Bytes(self.text.as_bytes()));
        write(&mut message, field::PIECE_SCORE, Field::Four(self.score.to_le_bytes()));
        if self.kind != Kind::Normal {
            write(&mut message, field::PIECE_KIND, Field::Number(self.kind as u64));
        }
        message
    }
}
