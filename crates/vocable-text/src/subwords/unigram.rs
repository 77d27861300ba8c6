//! Training of unigram models, with the same result on any number of threads and in any process.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::AddedToken;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};

use super::{NO_WORD, SPACE, UNKNOWN};

/// What the trainer calls unknown characters while it learns.
const LEARNING: &str = "<UNK>";
/// By how much the trainer has the scores of characters differ that it found in longer pieces alone.
const STEP: f64 = 1e-4;

/// Learns pieces with their log-probabilities from words; `size` counts the piece for unknown characters.
///
/// # Errors
/// What the trainer refuses: no words that it can learn from.
pub(super) fn train(words: Vec<String>, size: usize) -> tokenizers::Result<Unigram> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    // The trainer fails on words that hold its own tokens.
    let words = words.into_iter().filter(|word| !word.contains(UNKNOWN) && !word.contains(LEARNING));
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    if counts.is_empty() {
        return Err(NO_WORD.into());
    }
    let characters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    let trainer = UnigramTrainer::builder()
        // The trainer stops at its size when it adds a piece to the characters, so that there must be room for one.
        .vocab_size(size.max(characters.len() + 2) as u32)
        .special_tokens(vec![AddedToken::from(UNKNOWN, true)])
        .unk_token(Some(UNKNOWN.into()))
        .show_progress(false)
        .build()?;
    // Sums are rounded by the share of each thread: one has them all.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut model = Unigram::default();
    // Pieces are what is seen before different characters, so that words which are always whole would be none: each comes once
    // more with a character behind it, and counts nothing there.
    let sentences =
        counts.into_iter().flat_map(|(word, count)| [(format!("{word}{SPACE}"), 0), (word, count)]).collect();
    alone.install(|| trainer.do_train(sentences, &mut model))?;
    let mut pieces: Vec<(String, f64)> = model.iter().skip(1).cloned().collect();
    settle(&mut pieces, characters.len());
    Unigram::from([(UNKNOWN.to_owned(), 0.0)].into_iter().chain(pieces).collect(), Some(0), false)
}

/// Orders pieces by score, and has the order of a hash map, in which the trainer gives the lowest scores to rare characters, decide
/// on nothing: single characters whose scores may be of that kind, [`STEP`] apart, get them in their own order.
fn settle(pieces: &mut [(String, f64)], characters: usize) {
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let below = lowest + STEP * characters as f64;
    let mut rare: Vec<&mut (String, f64)> =
        pieces.iter_mut().filter(|(piece, score)| piece.chars().count() == 1 && *score < below).collect();
    let mut scores: Vec<f64> = rare.iter().map(|(_, score)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    rare.sort_by(|a, b| a.0.cmp(&b.0));
    for ((_, score), settled) in rare.into_iter().zip(scores) {
        *score = settled;
    }
    pieces.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, size: usize) -> Vec<(String, f64)> {
        train(text.split(' ').map(String::from).collect(), size).unwrap().iter().cloned().collect()
    }

    #[test]
    fn the_same_words_give_the_same_pieces_also_of_characters_that_are_rare() {
        let text = "▁quarz ▁quarz ▁jux ▁völker ▁by ▁by ▁fjord ▁haus ▁hauses ▁im ▁im ▁weg ▁wege ▁pc ▁pcs";
        let first = pieces(text, 40);
        assert!(first.is_sorted_by(|(_, a), (_, b)| a >= b), "{first:?}");
        let handed_out = |pair: &[(String, f64)]| (pair[0].1 - pair[1].1 - STEP).abs() < 1e-9;
        assert!(first.windows(2).filter(|pair| handed_out(pair)).count() > 1, "{first:?}");
        for _ in 0..5 {
            assert_eq!(pieces(text, 40), first);
        }
    }

    #[test]
    fn words_that_are_always_whole_are_pieces() {
        let text = format!("▁hunde ▁katzen ▁haus{}", " ▁und".repeat(50));
        assert!(pieces(&text, 25).iter().any(|(piece, _)| piece == "▁und"));
    }
}
