//! Unigram models (Kudo 2018): the most probable pieces of a text.

use std::collections::HashMap;
use std::path::Path;

use super::file::{Content, Index, Kind, Piece, UNIGRAM, literal_at};
use super::normaliser::Normaliser;
use super::{Encoded, SPACE};
use crate::{TextError, files};

/// By how much an unknown character is less probable than the least probable piece, in nats.
const UNKNOWN_PENALTY: f32 = 10.0;
/// What a piece that texts may hold as such costs, whatever its score.
const LITERAL_SCORE: f64 = -0.1;
/// What unknown characters are written as.
const UNKNOWN_SURFACE: &str = " ⁇ ";

/// A unigram model: pieces with log-probabilities, and the normal form of texts.
///
/// Sums are rounded as SentencePiece rounds them, so that ties fall out alike.
#[derive(Clone, Debug)]
pub struct UnigramModel {
    pieces: Vec<Piece>,
    ids: HashMap<String, u32>,
    unknown: u32,
    normaliser: Normaliser,
    literal: Vec<String>,
    /// The identifiers of the pieces for single bytes, where unknown characters are spelled in them.
    bytes: Option<Vec<u32>>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown_score: f32,
}

/// The best way to a place of a text.
#[derive(Clone, Copy)]
struct Node {
    piece: u32,
    score: f32,
    from: usize,
}

impl UnigramModel {
    /// Reads a model file (`spm.model`, `sentencepiece.bpe.model`, …).
    ///
    /// # Errors
    /// A file that cannot be read, is no SentencePiece model, or one of another type than `unigram`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let bytes = files::read(path)?;
        Self::parse(&bytes).map_err(|reason| TextError::Pieces { what: path.display().to_string(), reason })
    }

    /// Reads the content of a model file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content = Content::parse(bytes)?;
        // The format's default.
        if content.kind.unwrap_or(UNIGRAM) != UNIGRAM {
            return Err("it is a SentencePiece model, but not a unigram model".into());
        }
        let Content { pieces, normaliser, byte_fallback, .. } = content;
        let Index { ids, unknown, literal } = Index::new(&pieces)?;
        let byte = |byte: u8| {
            let text = format!("<0x{byte:02X}>");
            let id = ids.get(&text).copied().filter(|&id| pieces[id as usize].kind == Kind::Byte);
            id.ok_or_else(|| format!("it spells unknown characters in bytes, but has no piece {text}"))
        };
        let bytes = byte_fallback.then(|| (0..=u8::MAX).map(byte).collect()).transpose()?;
        let normal = pieces.iter().filter(|piece| piece.kind == Kind::Normal);
        let lowest = normal.map(|piece| piece.score).fold(f32::MAX, f32::min);
        let longest = pieces.iter().map(|piece| piece.text.len()).max().unwrap_or(0);
        let unknown_score = lowest - UNKNOWN_PENALTY;
        Ok(Self { pieces, ids, unknown, normaliser, literal, bytes, longest, unknown_score })
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

    /// The normal form of a text, with `▁` for spaces and before the first word.
    pub fn normalise(&self, text: &str) -> String {
        self.normaliser.normalise(text, |text| literal_at(&self.literal, text))
    }

    /// The most probable pieces of a text. A run of unknown characters is one `<unk>`, or the pieces of their bytes where
    /// the model has them.
    pub fn encode(&self, text: &str) -> Encoded {
        let normal = self.normalise(text);
        let mut encoded = Encoded::default();
        for (id, part) in self.segment(&normal) {
            if id != self.unknown {
                encoded.ids.push(id);
                continue;
            }
            match &self.bytes {
                Some(bytes) => encoded.ids.extend(part.bytes().map(|byte| bytes[usize::from(byte)])),
                None if encoded.ids.last() != Some(&id) => encoded.ids.push(id),
                None => {}
            }
            encoded.unknown.extend(part.chars().filter(|c| !encoded.unknown.contains(c)).collect::<Vec<char>>());
        }
        encoded
    }

    /// The pieces of a normal form and their texts, found from left to right (Viterbi).
    fn segment<'t>(&self, normal: &'t str) -> Vec<(u32, &'t str)> {
        let mut best: Vec<Option<Node>> = vec![None; normal.len() + 1];
        let reach = |best: &mut [Option<Node>], to: usize, from: usize, piece: u32, score: f64| {
            if best[to].is_none_or(|known| score > f64::from(known.score)) {
                best[to] = Some(Node { piece, score: score as f32, from });
            }
        };
        for (from, first) in normal.char_indices() {
            let so_far = best[from].map_or(0.0, |node| f64::from(node.score));
            let single = from + first.len_utf8();
            let mut known = false;
            for (to, _) in normal[from..].char_indices().skip(1).chain([(normal.len() - from, ' ')]) {
                if to > self.longest {
                    break;
                }
                let Some(&id) = self.ids.get(&normal[from..from + to]) else { continue };
                let score = match self.pieces[id as usize].kind {
                    Kind::Normal => f64::from(self.pieces[id as usize].score),
                    Kind::UserDefined => LITERAL_SCORE,
                    Kind::Unknown | Kind::Control | Kind::Unused | Kind::Byte => continue,
                };
                reach(&mut best, from + to, from, id, score + so_far);
                known |= from + to == single;
            }
            if !known {
                reach(&mut best, single, from, self.unknown, f64::from(self.unknown_score) + so_far);
            }
        }
        let mut pieces = Vec::new();
        let mut end = normal.len();
        while end > 0 {
            let Node { piece, from, .. } = best[end].expect("every character leads to the next place");
            pieces.push((piece, &normal[from..end]));
            end = from;
        }
        pieces.reverse();
        pieces
    }

    /// The text of some pieces: `▁` is a space, the normaliser's first one nothing; control pieces are left out. Bytes that
    /// are no character become `U+FFFD`.
    ///
    /// # Panics
    /// If an identifier is none of the model's.
    pub fn decode(&self, ids: &[u32]) -> String {
        let Normaliser { add_dummy_prefix, remove_extra_whitespaces, .. } = self.normaliser;
        let mut bytes: Vec<u8> = Vec::new();
        let mut begun = !(add_dummy_prefix || remove_extra_whitespaces);
        for &id in ids {
            let piece = &self.pieces[id as usize];
            match piece.kind {
                Kind::Control => {}
                Kind::Unknown => bytes.extend(UNKNOWN_SURFACE.bytes()),
                Kind::Byte => {
                    let byte = piece.text.get(3..5).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    bytes.push(byte.unwrap_or(b'?'));
                }
                Kind::Normal | Kind::UserDefined | Kind::Unused => {
                    let inner = piece.text.strip_prefix(SPACE).filter(|_| !begun && bytes.is_empty());
                    // Where spaces are collapsed, none can begin a text.
                    begun |= inner.is_some() && !remove_extra_whitespaces;
                    bytes.extend(inner.unwrap_or(&piece.text).replace(SPACE, " ").bytes());
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
