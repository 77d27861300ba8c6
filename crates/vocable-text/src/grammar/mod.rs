//! A synchronous grammar: everyday English sentences with their German and French translations.
//!
//! [`Grammar::sentence`] is a pure function of a key, so the recordings of the shipped corpus, the text for text
//! pre-training and the sentences kept out of it all come from one place and cannot drift apart.

mod contraction;
mod dice;
mod lexicon;
mod numbers;
mod patterns;
mod phrase;
mod word;
pub mod words;

use std::collections::HashSet;

use vocable_random::Key;

pub use numbers::{spell_french, spell_german, spell_number};
pub use word::Gender;

use dice::Dice;

/// One sentence in three languages: lower-case words parted by single spaces; no punctuation but the apostrophe and
/// the hyphen of French spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sentence {
    /// English, 4 to 12 words.
    pub en: String,
    /// German (lower-case, nouns too).
    pub de: String,
    /// French.
    pub fr: String,
}

/// The grammar: what share of its word choices may be rare.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// Probability that a choice among words may fall on a rare one (see [`words::RARE`]).
    pub rare: f64,
}

impl Default for Grammar {
    fn default() -> Self {
        Self { rare: 0.05 }
    }
}

impl Grammar {
    /// The sentence under a key.
    pub fn sentence(&self, key: Key) -> Sentence {
        let mut dice = Dice::new(key, self.rare);
        loop {
            let words = patterns::any(&mut dice);
            let sentence = Sentence {
                en: contraction::english(&words.en),
                de: contraction::german(&words.de),
                fr: contraction::french(&words.fr),
            };
            if (4..=12).contains(&sentence.en.split(' ').count()) {
                return sentence;
            }
        }
    }

    /// All sentences of a key, one after the other, without end; the same sentence may come again.
    pub fn sentences(self, key: Key) -> impl Iterator<Item = Sentence> {
        (0_u64..).map(move |index| self.sentence(key.fold(index)))
    }

    /// `n` English sentences for text pre-training, none of them in `exclude`: the texts of the `valid` and `test`
    /// splits belong there.
    pub fn text<'a>(self, key: Key, n: usize, exclude: &'a HashSet<String>) -> impl Iterator<Item = String> + 'a {
        self.sentences(key)
            .map(|sentence| sentence.en)
            .filter(|text| !exclude.contains(text))
            .take(n)
    }
}
