//! Scores three recognised sentences: alignments, word error rate, its interval.
//!
//! `cargo run -p vocable-metrics --example score`

use vocable_metrics::{Bootstrap, EditCounts, character_errors, word_alignment};
use vocable_random::Key;

fn main() {
    let sentences = [
        ("the quick brown fox jumps", "the quick brown fox jumps"),
        ("over the lazy dog", "over a lazy dog now"),
        ("and runs away", "and away"),
    ];
    let mut words = Vec::new();
    for (reference, hypothesis) in sentences {
        let alignment = word_alignment(reference, hypothesis);
        println!("{alignment}\n");
        words.push(alignment.counts());
    }
    let total: EditCounts = words.iter().copied().sum();
    let characters: EditCounts =
        sentences.iter().map(|(reference, hypothesis)| character_errors(reference, hypothesis)).sum();
    if let (Some(wer), Some(cer), Some(interval)) =
        (total.percent(), characters.percent(), Bootstrap::new(Key::new(1)).interval(&words[..]))
    {
        println!("WER {wer:.1} % (95 %: {:.1} to {:.1}), CER {cer:.1} %", interval.low, interval.high);
    }
}
