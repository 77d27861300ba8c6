//! SentencePiece's normaliser: a table of replacements, then the rules for spaces.

use super::SPACE;

/// Replaces characters and sequences of them by a compiled table, and marks spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Normaliser {
    /// A double-array trie over UTF-8 (of the darts-clone library) whose values are places in `replacements`.
    trie: Vec<u32>,
    /// Texts, each with a zero byte behind it.
    replacements: Vec<u8>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
    /// Whether the dummy space comes at the end instead of the beginning.
    pub(super) space_as_suffix: bool,
}

impl Normaliser {
    /// From a model's `precompiled_charsmap`; an empty one replaces nothing.
    pub(super) fn new(charsmap: &[u8]) -> Result<Self, String> {
        let (trie, replacements) = match charsmap.split_at_checked(4) {
            None => (&[][..], &[][..]),
            Some((length, rest)) => {
                let length = u32::from_le_bytes(length.try_into().expect("four were taken")) as usize;
                let (trie, replacements) =
                    rest.split_at_checked(length).ok_or("its table of characters ends too early")?;
                std::str::from_utf8(replacements)
                    .map_err(|_| "its table of characters holds something else than text")?;
                (trie, replacements)
            }
        };
        Ok(Self {
            trie: trie.as_chunks().0.iter().map(|&unit| u32::from_le_bytes(unit)).collect(),
            replacements: replacements.to_vec(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            space_as_suffix: false,
        })
    }

    /// The normal form of a text. Sequences that `literal` finds at the beginning of a text (their length in bytes) stay
    /// as they are.
    pub(super) fn normalise(&self, text: &str, literal: impl Fn(&str) -> usize) -> String {
        let space = if self.escape_whitespaces { SPACE } else { ' ' };
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while let (" ", length) = self.prefix(rest, &literal) {
                rest = &rest[length..];
            }
        }
        let mut normal = String::with_capacity(text.len() + text.len() / 2 + space.len_utf8());
        if rest.is_empty() {
            return normal;
        }
        if self.add_dummy_prefix && !self.space_as_suffix {
            normal.push(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (mut piece, length) = self.prefix(rest, &literal);
            if after_space {
                piece = piece.trim_start_matches(' ');
            }
            if !piece.is_empty() {
                normal.extend(piece.chars().map(|c| if c == ' ' { space } else { c }));
                after_space = piece.ends_with(' ');
            }
            after_space &= self.remove_extra_whitespaces;
            rest = &rest[length..];
        }
        if self.remove_extra_whitespaces {
            normal.truncate(normal.trim_end_matches(space).len());
        }
        if self.add_dummy_prefix && self.space_as_suffix {
            normal.push(space);
        }
        normal
    }

    /// What the beginning of a text becomes, and how many bytes of it: the longest sequence that the table knows, else
    /// one character as it is.
    fn prefix<'a>(&'a self, text: &'a str, literal: impl Fn(&str) -> usize) -> (&'a str, usize) {
        let Some(first) = text.chars().next() else { return ("", 0) };
        let length = literal(text);
        if length > 0 {
            return (&text[..length], length);
        }
        self.longest(text).unwrap_or((&text[..first.len_utf8()], first.len_utf8()))
    }

    /// The replacement of the longest sequence in the table that the text begins with.
    fn longest(&self, text: &str) -> Option<(&str, usize)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut found = None;
        let mut node = offset(*self.trie.first()?);
        for (n, byte) in text.bytes().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.trie.get(node) else { break };
            if unit & 0x8000_00ff != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let Some(&leaf) = self.trie.get(node) else { break };
                found = Some(((leaf & 0x7fff_ffff) as usize, n + 1));
            }
        }
        // A table may lead anywhere: only whole characters are replaced, and only by text.
        let (place, length) = found.filter(|&(_, length)| text.is_char_boundary(length))?;
        let replacement = self.replacements.get(place..)?;
        let end = replacement.iter().position(|&byte| byte == 0)?;
        Some((std::str::from_utf8(&replacement[..end]).ok()?, length))
    }
}
