//! Normal forms of text.

use unicode_normalization::UnicodeNormalization;

use crate::sentencepiece::nmt_nfkc;

/// SentencePiece's normal form `nmt_nfkc`: compatibility composition (NFKC), no control characters, single spaces, none at
/// the ends; case is kept (spec section 3.3).
pub fn normalise_spelling(text: &str) -> String {
    nmt_nfkc(text)
}

/// [`normalise_spelling`] of the lower-cased text; nothing is spelled out and nothing is removed.
pub fn normalise(text: &str) -> String {
    // Composed before, since ℌ has a lower case only as H, and after, since İ is decomposed by lower-casing.
    let composed: String = text.nfkc().collect();
    normalise_spelling(&composed.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms() {
        for (text, expected) in [
            ("  Hello \t\n World ", "hello world"),
            ("ﬁne", "fine"),
            ("e\u{301}té", "été"),
            ("ＡＢＣ１２", "abc12"),
            ("a\u{a0}b\u{3000}c", "a b c"),
            ("12 Äpfel, bitte!", "12 äpfel, bitte!"),
            ("", ""),
            (" \n", ""),
        ] {
            assert_eq!(normalise(text), expected);
        }
        assert_eq!(normalise_spelling(" A  ﬁne Day"), "A fine Day");
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        // Every assigned character of the basic plane, between words.
        for c in ('\u{1}'..='\u{ffff}').filter(|c| !c.is_control()) {
            let once = normalise(&format!("a {c}b"));
            assert_eq!(normalise(&once), once, "{c:?} U+{:04X}", c as u32);
        }
    }
}
