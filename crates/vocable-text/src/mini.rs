//! The plan of "Vocable mini", the corpus that ships: who says which sentence of the grammar, in which split.
//!
//! The plan is a pure function: `corpora/mini/make.py` records what [`plan`] says, and a test compares the manifest with
//! it.

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
    let mut evaluation = distinct(Grammar { rare: 0.02 }, key.fold("evaluation"), VALID + TEST_CLEAN + TEST_OTHER);
    let test_other = evaluation.split_off(VALID + TEST_CLEAN);
    let test_clean = evaluation.split_off(VALID);
    let valid = evaluation;

    let mut hearings = Hearings::new();
    for (sentences, voices) in [(&valid, SEEN.len()), (&test_clean, SEEN.len()), (&test_other, 1)] {
        sentences.iter().for_each(|sentence| hearings.evaluate(&sentence.en, voices));
    }
    let held_out: HashSet<&str> =
        [&valid, &test_clean, &test_other].into_iter().flatten().map(|sentence| sentence.en.as_str()).collect();
    let candidates = distinct(Grammar { rare: 0.1 }, key.fold("train"), CANDIDATES);
    let mut pool =
        Pool::new(candidates.into_iter().filter(|sentence| !held_out.contains(sentence.en.as_str())).collect());
    let mut parallel: Vec<Sentence> = (0..PARALLEL).map(|_| pool.take_best(&mut hearings, SEEN.len())).collect();
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
    let unseen =
        test_other.into_iter().enumerate().map(|(index, sentence)| utterance("test-other", index, UNSEEN, sentence));
    everybody("train", parallel)
        .chain(in_turn)
        .chain(everybody("valid", valid))
        .chain(everybody("test-clean", test_clean))
        .chain(unseen)
        .collect()
}

fn utterance(split: &'static str, index: usize, speaker: &'static str, sentence: Sentence) -> Utterance {
    Utterance { id: format!("{split}-{index:04}-{speaker}"), speaker, split, sentence }
}

/// The first `n` different sentences of a key that are long enough to record.
fn distinct(grammar: Grammar, key: Key, n: usize) -> Vec<Sentence> {
    let mut seen = HashSet::new();
    let long_enough = |sentence: &Sentence| sentence.en.split(' ').count() >= SHORTEST;
    grammar.sentences(key).filter(long_enough).filter(|sentence| seen.insert(sentence.en.clone())).take(n).collect()
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
        Self { sentences, words, price }
    }

    /// Removes the sentence that brings the most missing hearings for its length when `voices` say it.
    fn take_best(&mut self, hearings: &mut Hearings, voices: usize) -> Sentence {
        let score = |index: usize| {
            let gain: f64 =
                self.words[index].iter().map(|&w| self.price[w] * hearings.missing(w).min(voices) as f64).sum();
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
    FREQUENT.iter().chain(&RARE).enumerate().map(|(id, word)| (*word, id)).collect()
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
        Self { vocabulary, total: none.clone(), training: none }
    }

    fn words(&self, text: &str) -> Vec<usize> {
        text.split(' ').map(|word| self.vocabulary[word]).collect()
    }

    /// How many hearings a word lacks, in training or altogether.
    fn missing(&self, word: usize) -> usize {
        let (total, training) = if word < FREQUENT.len() { (HEARD, TRAINED) } else { (RARE_HEARD, RARE_HEARD) };
        total.saturating_sub(self.total[word]).max(training.saturating_sub(self.training[word]))
    }

    fn any_missing(&self) -> bool {
        (0..self.total.len()).any(|word| self.missing(word) > 0)
    }

    fn evaluate(&mut self, text: &str, voices: usize) {
        self.words(text).into_iter().for_each(|word| self.total[word] += voices);
    }

    fn train(&mut self, text: &str, voices: usize) {
        self.evaluate(text, voices);
        self.words(text).into_iter().for_each(|word| self.training[word] += voices);
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Line {
        id: String,
        audio: String,
        speaker: String,
        text: String,
        text_de: String,
        text_fr: String,
        seconds: f64,
        split: String,
    }

    fn folder() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/mini"))
    }

    static MANIFEST: LazyLock<Vec<Line>> = LazyLock::new(|| {
        let text = fs::read_to_string(folder().join("manifest.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    });

    /// Samples of an Ogg Vorbis file: the granule position of its last page.
    fn samples(ogg: &[u8]) -> u64 {
        let last = ogg.windows(4).rposition(|window| window == b"OggS").expect("an Ogg page");
        u64::from_le_bytes(ogg[last + 6..last + 14].try_into().unwrap())
    }

    #[test]
    fn the_manifest_is_the_plan() {
        let plan = plan();
        assert_eq!(MANIFEST.len(), plan.len());
        for (line, utterance) in MANIFEST.iter().zip(&plan) {
            let sentence = &utterance.sentence;
            assert_eq!(line.id, utterance.id);
            assert_eq!((line.speaker.as_str(), line.split.as_str()), (utterance.speaker, utterance.split));
            assert_eq!([&line.text, &line.text_de, &line.text_fr], [&sentence.en, &sentence.de, &sentence.fr]);
        }
    }

    #[test]
    fn every_recording_is_there_and_the_corpus_fits() {
        let mut bytes = fs::metadata(folder().join("manifest.jsonl")).unwrap().len();
        for line in MANIFEST.iter() {
            let ogg = fs::read(folder().join(&line.audio)).unwrap_or_else(|error| panic!("{}: {error}", line.audio));
            bytes += ogg.len() as u64;
            assert_eq!(samples(&ogg) as f64 / 16_000.0, line.seconds, "{}", line.audio);
            assert!((1.0..4.5).contains(&line.seconds), "{} lasts {} s", line.audio, line.seconds);
        }
        assert!(bytes <= 14_000_000, "{bytes} bytes");
        let minutes = MANIFEST.iter().map(|line| line.seconds).sum::<f64>() / 60.0;
        assert!((40.0..=50.0).contains(&minutes), "{minutes} minutes");
        let recordings = SEEN.iter().chain([&UNSEEN]).map(|voice| fs::read_dir(folder().join("audio").join(voice)));
        assert_eq!(recordings.map(|files| files.unwrap().count()).sum::<usize>(), MANIFEST.len());
    }

    #[test]
    fn words_are_heard_as_often_as_declared() {
        let mut total: HashMap<&str, usize> = HashMap::new();
        let mut training: HashMap<&str, usize> = HashMap::new();
        for line in MANIFEST.iter() {
            for word in line.text.split(' ') {
                *total.entry(word).or_default() += 1;
                *training.entry(word).or_default() += usize::from(line.split == "train");
            }
        }
        for word in FREQUENT {
            assert!(total[word] >= HEARD && training[word] >= TRAINED, "{word}: {} {}", total[word], training[word]);
        }
        for word in RARE {
            assert!((RARE_HEARD..HEARD).contains(&training[word]), "{word}: {}", training[word]);
        }
        assert_eq!(total.len(), FREQUENT.len() + RARE.len());
    }

    #[test]
    fn splits_keep_their_promises() {
        // Voices of every sentence, and the split it is in.
        let mut sentences: HashMap<&str, (&str, Vec<&str>)> = HashMap::new();
        for line in MANIFEST.iter() {
            let (split, voices) = sentences.entry(&line.text).or_insert((&line.split, Vec::new()));
            assert_eq!(*split, line.split, "`{}` is in two splits", line.text);
            voices.push(&line.speaker);
        }
        for (text, (split, voices)) in &sentences {
            match *split {
                "train" => assert!(*voices == SEEN || (voices.len() == 1 && voices[0] != UNSEEN), "{text}"),
                "valid" | "test-clean" => assert_eq!(*voices, SEEN, "{text}"),
                "test-other" => assert_eq!(*voices, [UNSEEN], "{text}"),
                other => panic!("split {other}"),
            }
        }
        let count = |split: &str| sentences.values().filter(|(s, _)| *s == split).count();
        assert_eq!([count("valid"), count("test-clean"), count("test-other")], [VALID, TEST_CLEAN, TEST_OTHER]);
    }

    #[test]
    fn the_readme_states_what_is_there() {
        let readme = fs::read_to_string(folder().join("README.md")).unwrap();
        let recordings = |split: &str| MANIFEST.iter().filter(|line| line.split == split).count();
        let alone = recordings("train") - PARALLEL * SEEN.len();
        let minutes = MANIFEST.iter().map(|line| line.seconds).sum::<f64>() / 60.0;
        for statement in [
            format!("| `train` | {} | {PARALLEL} by all four voices, {alone} by one voice each |", recordings("train")),
            format!("| `valid` | {} | {VALID}, parallel |", recordings("valid")),
            format!("| `test-clean` | {} | {TEST_CLEAN}, parallel |", recordings("test-clean")),
            format!("| `test-other` | {} | {TEST_OTHER} |", recordings("test-other")),
            format!("{minutes:.0} minutes"),
            format!("Each of the {} words", FREQUENT.len()),
            format!("heard {HEARD} times or more, {TRAINED} of these in `train`; the {} of", RARE.len()),
        ] {
            assert!(readme.contains(&statement), "README.md does not say: {statement}");
        }
    }

    #[test]
    fn text_for_pretraining_holds_no_evaluation_sentence() {
        let held_out: HashSet<String> =
            MANIFEST.iter().filter(|line| line.split != "train").map(|line| line.text.clone()).collect();
        let key = Key::new(7);
        let everything: Vec<String> = Grammar::default().text(key, 30_000, &HashSet::new()).collect();
        assert!(everything.iter().any(|text| held_out.contains(text)), "the test is empty");
        let text: Vec<String> = Grammar::default().text(key, 30_000, &held_out).collect();
        assert_eq!(text.len(), 30_000);
        assert!(text.iter().all(|text| !held_out.contains(text)));
        assert!(text.iter().zip(Grammar::default().text(key, 30_000, &held_out)).all(|(a, b)| *a == b));
    }
}
