//! Keyed choices among words.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use vocable_random::Key;

use super::lexicon::Place;
use super::word::{Adjective, Noun};
use super::words::RARE;

/// A stream of choices.
pub struct Dice {
    rng: ChaCha8Rng,
    rare: f64,
}

/// An entry of the lexicon that may be rare.
pub trait Entry {
    /// Whether its English word is in the rare slice.
    fn is_rare(&self) -> bool;
}

impl Entry for Noun {
    fn is_rare(&self) -> bool {
        self.en.iter().any(|word| RARE.contains(word))
    }
}

impl Entry for Place {
    fn is_rare(&self) -> bool {
        self.noun.is_rare()
    }
}

impl Entry for Adjective {
    fn is_rare(&self) -> bool {
        RARE.contains(&self.en)
    }
}

impl Dice {
    /// The choices of one sentence; a word is drawn from the rare ones with probability `rare`.
    pub fn new(key: Key, rare: f64) -> Self {
        Self { rng: key.rng(), rare }
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.rng.random_bool(p)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        self.rng.random_range(low..=high)
    }

    /// One of several, all alike.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.choose(&mut self.rng).expect("no list of the grammar is empty")
    }

    /// One of a list of words, frequent ones nearly always.
    pub fn word<'a, T: Entry>(&mut self, of: &'a [T]) -> &'a T {
        let rare = self.chance(self.rare) && of.iter().any(Entry::is_rare);
        let slice: Vec<&T> = of.iter().filter(|entry| entry.is_rare() == rare).collect();
        slice.choose(&mut self.rng).expect("no list of the grammar lacks frequent words")
    }
}
