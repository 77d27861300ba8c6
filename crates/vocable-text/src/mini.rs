//! The plan of "Vocable mini", the corpus that ships: who says which sentence of the grammar, in which split.
//!
//! The plan is a pure function, so `corpora/mini/make.py` records what [`plan`] says and a test compares the manifest
//! with it.

use std::collections::{HashMap, HashSet};

use vocable_random::Key;

use crate::grammar::words::{FREQUENT, RARE};
use crate::grammar::{Grammar, Sentence};

/// The voices of `train`, `valid` and `test-clean`.
pub const SEEN: [&str; 4] = ["awb", "rms", "slt", "kal16"];
/// The voice of `test-other`, heard nowhere else.
pub const UNSEEN: &str = "ked";
/// How often each of [`FREQUENT`] is heard at least, over all voices and splits.
pub const HEARD: usize = 20;
/// How often of these in `train`.
pub const TRAINED: usize = 12;
/// How often a word of [`RARE`] is heard at least.
pub const RARE_HEARD: usize = 4;

const VALID: usize = 16;
const TEST_CLEAN: usize = 24;
const TEST_OTHER: usize = 60;
/// Training sentences of which every seen voice has its recording.
const PARALLEL: usize = 190;
/// Words of a sentence at least: every file costs its headers, and a recording its silence.
const SHORTEST: usize = 5;
/// Sentences among which those for training are chosen.
const CANDIDATES: usize = 20_000;
/// What the silence around a sentence costs, in words.
const PAUSE: f64 = 4.0;

/// One recording to make.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// Unique name, such as `train-0042-slt`; the part before the voice names the sentence.
    pub id: String,
    /// The voice.
    pub speaker: &'static str,
    /// `train`, `valid`, `test-clean` or `test-other`.
    pub split: &'static str,
    /// What is said, with its translations.
    pub sentence: Sentence,
}

/// All recordings of the corpus, in the order of the manifest.
pub fn plan() -> Vec<Utterance> {
    let key = Key::new(2).fold("vocable mini");
    let mut evaluation = distinct(
        Grammar { rare: 0.02 },
        key.fold("evaluation"),
        VALID + TEST_CLEAN + TEST_OTHER,
    );
    let test_other = evaluation.split_off(VALID + TEST_CLEAN);
    let test_clean = evaluation.split_off(VALID);
    let valid = evaluation;

    let mut hearings = Hearings::new();
    for (sentences, voices) in [(&valid, SEEN.len()), (&test_clean, SEEN.len()), (&test_other, 1)] {
        sentences
            .iter()
            .for_each(|sentence| hearings.evaluate(&sentence.en, voices));
    }
    let held_out: HashSet<&str> = [&valid, &test_clean, &test_other]
        .into_iter()
        .flatten()
        .map(|sentence| sentence.en.as_str())
        .collect();
    let candidates = distinct(Grammar { rare: 0.1 }, key.fold("train"), CANDIDATES);
    let mut pool = Pool::new(
        candidates
            .into_iter()
            .filter(|sentence| !held_out.contains(sentence.en.as_str()))
            .collect(),
    );
    let mut parallel: Vec<Sentence> = (0..PARALLEL)
        .map(|_| pool.take_best(&mut hearings, SEEN.len()))
        .collect();
    let mut single = Vec::new();
    while hearings.any_missing() {
        single.push(pool.take_best(&mut hearings, 1));
    }
    // What later choices made superfluous goes again.
    parallel.retain(|sentence| !hearings.forget_if_superfluous(&sentence.en, SEEN.len()));
    single.retain(|sentence| !hearings.forget_if_superfluous(&sentence.en, 1));

    let first_single = parallel.len();
    let everybody = |split, sentences: Vec<Sentence>| {
        sentences
            .into_iter()
            .enumerate()
            .flat_map(move |(index, sentence)| SEEN.map(|speaker| utterance(split, index, speaker, sentence.clone())))
    };
    let in_turn = single
        .into_iter()
        .enumerate()
        .map(|(index, sentence)| utterance("train", first_single + index, SEEN[index % SEEN.len()], sentence));
    let unseen = test_other
        .into_iter()
        .enumerate()
        .map(|(index, sentence)| utterance("test-other", index, UNSEEN, sentence));
    everybody("train", parallel)
        .chain(in_turn)
        .chain(everybody("valid", valid))
        .chain(everybody("test-clean", test_clean))
        .chain(unseen)
        .collect()
}

fn utterance(split: &'static str, index: usize, speaker: &'static str, sentence: Sentence) -> Utterance {
    Utterance {
        id: format!("{split}-{index:04}-{speaker}"),
        speaker,
        split,
        sentence,
    }
}

/// The first `n` different sentences of a key that are long enough to record.
fn distinct(grammar: Grammar, key: Key, n: usize) -> Vec<Sentence> {
    let mut seen = HashSet::new();
    let long_enough = |sentence: &Sentence| sentence.en.split(' ').count() >= SHORTEST;
    grammar
        .sentences(key)
        .filter(long_enough)
        .filter(|sentence| seen.insert(sentence.en.clone()))
        .take(n)
        .collect()
}

/// Sentences to choose from, with what each would bring.
struct Pool {
    sentences: Vec<Sentence>,
    /// The different words of every sentence, by their place in the vocabulary.
    words: Vec<Vec<usize>>,
    /// How dear each word is: what few sentences hold must be bought when it is on offer.
    price: Vec<f64>,
}

impl Pool {
    fn new(sentences: Vec<Sentence>) -> Self {
        let vocabulary = vocabulary();
        let words: Vec<Vec<usize>> = sentences
            .iter()
            .map(|sentence| {
                let mut ids: Vec<usize> = sentence.en.split(' ').map(|word| vocabulary[word]).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            })
            .collect();
        let mut frequency = vec![1.0_f64; vocabulary.len()];
        words.iter().flatten().for_each(|&word| frequency[word] += 1.0);
        let price = frequency.iter().map(|n| 1.0 / n).collect();
        Self {
            sentences,
            words,
            price,
        }
    }

    /// Removes the sentence that brings the most missing hearings for its length when `voices` say it.
    fn take_best(&mut self, hearings: &mut Hearings, voices: usize) -> Sentence {
        let score = |index: usize| {
            let gain: f64 = self.words[index]
                .iter()
                .map(|&w| self.price[w] * hearings.missing(w).min(voices) as f64)
                .sum();
            gain / (self.sentences[index].en.split(' ').count() as f64 + PAUSE)
        };
        // The first of the best: the order of the pool is part of the plan.
        let (best, _) = (0..self.words.len())
            .map(|index| (index, score(index)))
            .reduce(|a, b| if b.1 > a.1 { b } else { a })
            .expect("a pool is never used up");
        self.words.remove(best);
        let sentence = self.sentences.remove(best);
        hearings.train(&sentence.en, voices);
        sentence
    }
}

fn vocabulary() -> HashMap<&'static str, usize> {
    FREQUENT
        .iter()
        .chain(&RARE)
        .enumerate()
        .map(|(id, word)| (*word, id))
        .collect()
}

/// How often every word is heard, by its place in the vocabulary.
struct Hearings {
    vocabulary: HashMap<&'static str, usize>,
    total: Vec<usize>,
    training: Vec<usize>,
}

impl Hearings {
    fn new() -> Self {
        let vocabulary = vocabulary();
        let none = vec![0; vocabulary.len()];
        Self {
            vocabulary,
            total: none.clone(),
            training: none,
        }
    }

    fn words(&self, text: &str) -> Vec<usize> {
        text.split(' ').map(|word| self.vocabulary[word]).collect()
    }

    /// How many hearings a word lacks, in training or altogether.
    fn missing(&self, word: usize) -> usize {
        let (total, training) = if word < FREQUENT.len() {
            (HEARD, TRAINED)
        } else {
            (RARE_HEARD, RARE_HEARD)
        };
        total
            .saturating_sub(self.total[word])
            .max(training.saturating_sub(self.training[word]))
    }

    fn any_missing(&self) -> bool {
        (0..self.total.len()).any(|word| self.missing(word) > 0)
    }

    fn evaluate(&mut self, text: &str, voices: usize) {
        self.words(text).into_iter().for_each(|word| self.total[word] += voices);
    }

    fn train(&mut self, text: &str, voices: usize) {
        self.evaluate(text, voices);
        self.words(text)
            .into_iter()
            .for_each(|word| self.training[word] += voices);
    }

    /// Takes a training sentence back if no word is then missing.
    fn forget_if_superfluous(&mut self, text: &str, voices: usize) -> bool {
        let words = self.words(text);
        for &word in &words {
            self.total[word] -= voices;
            self.training[word] -= voices;
        }
        let superfluous = words.iter().all(|&word| self.missing(word) == 0);
        if !superfluous {
            self.train(text, voices);
        }
        superfluous
    }
}
