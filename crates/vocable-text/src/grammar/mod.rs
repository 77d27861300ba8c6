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
        self.sentences(key).map(|sentence| sentence.en).filter(|text| !exclude.contains(text)).take(n)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::words::{FREQUENT, RARE};
    use super::*;

    fn some(n: usize) -> Vec<Sentence> {
        Grammar { rare: 0.1 }.sentences(Key::new(3)).take(n).collect()
    }

    #[test]
    fn sentences_are_keyed() {
        let key = Key::new(1).fold("text");
        assert_eq!(Grammar::default().sentence(key), Grammar::default().sentence(key));
        let different: HashSet<String> = some(2000).into_iter().map(|sentence| sentence.en).collect();
        assert!(different.len() > 1800, "{} different sentences of 2000", different.len());
    }

    #[test]
    fn texts_are_plain() {
        for Sentence { en, de, fr } in some(20_000) {
            assert!(en.chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{en}");
            assert!(de.chars().all(|c| c.is_ascii_lowercase() || " äöüß".contains(c)), "{de}");
            assert!(fr.chars().all(|c| c.is_ascii_lowercase() || " àâçèéêîôùûœ'-".contains(c)), "{fr}");
            for text in [&en, &de, &fr] {
                assert_eq!(crate::normalise(text), *text);
            }
            assert!((4..=12).contains(&en.split(' ').count()), "{en}");
        }
    }

    #[test]
    fn the_words_are_those_declared_and_rare_ones_are_rare() {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for sentence in Grammar::default().sentences(Key::new(4)).take(40_000) {
            sentence.en.split(' ').for_each(|word| *counts.entry(word.to_owned()).or_default() += 1);
        }
        for word in counts.keys() {
            assert!(FREQUENT.contains(&word.as_str()) || RARE.contains(&word.as_str()), "{word}");
        }
        assert_eq!(counts.len(), FREQUENT.len() + RARE.len());
        let total: usize = counts.values().sum();
        let rare: usize = RARE.iter().map(|word| counts[*word]).sum();
        assert!(rare * 50 < total, "{rare} of {total} words are rare");
    }

    #[test]
    fn contractions_leave_nothing_uncontracted() {
        let wrong_de = [" in dem ", " in das ", " zu dem ", " zu der ", " an dem ", " an das ", " bei dem "];
        let wrong_fr =
            [" à le ", "'à le ", " à les ", " de le ", " de les ", " le a", " la é", " de a", " que e", " ne a"];
        for Sentence { en, de, fr } in some(20_000) {
            let (en, de, fr) = (format!(" {en} "), format!(" {de} "), format!(" {fr} "));
            assert!([" a a", " a e", " a o", " a u", " an b"].iter().all(|wrong| !en.contains(wrong)), "{en}");
            assert!(wrong_de.iter().all(|wrong| !de.contains(wrong)), "{de}");
            assert!(wrong_fr.iter().all(|wrong| !fr.contains(wrong)), "{fr}");
        }
    }

    /// A determiner, looked up from outside the grammar's own tables, must fit the gender of its noun.
    #[test]
    fn determiners_agree_in_gender() {
        let de = [("dem", "tisch"), ("die", "tasche"), ("das", "buch"), ("einen", "brief"), ("eine", "kiste")];
        let wrong_de = ["den tasche", "das brief", "einen buch", "ein tasche", "eine buch", "dem tasche", "einer buch"];
        let wrong_fr = ["un clé", "une livre", "le porte", "la sac", "un lettre", "une manteau", "ma livre", "mon clé"];
        let sentences = some(30_000);
        for (article, noun) in de {
            let words = format!("{article} {noun}");
            assert!(sentences.iter().any(|sentence| sentence.de.contains(&words)), "{words} never occurs");
        }
        for Sentence { de, fr, .. } in &sentences {
            let (de, fr) = (format!(" {de} "), format!(" {fr} "));
            assert!(wrong_de.iter().all(|wrong| !de.contains(&format!(" {wrong} "))), "{de}");
            assert!(wrong_fr.iter().all(|wrong| !fr.contains(&format!(" {wrong} "))), "{fr}");
        }
    }

    #[test]
    fn golden_sentences() {
        // A change here changes the shipped corpus and every text stream.
        let golden: Vec<[String; 3]> =
            Grammar::default().sentences(Key::new(1)).take(3).map(|s| [s.en, s.de, s.fr]).collect();
        assert_eq!(
            golden,
            [
                [
                    "she waits in the office on sunday",
                    "sie wartet am sonntag im büro",
                    "elle attend au bureau dimanche"
                ],
                [
                    "how much does the green car cost",
                    "wie viel kostet das grüne auto",
                    "combien coûte la voiture verte"
                ],
                ["they live near the hotel", "sie wohnen beim hotel", "ils habitent près de l'hôtel"],
            ]
        );
    }
}
