//! Word and character error rates.
//!
//! A rate over a test set is the sum of all utterances' edits over the sum of all reference tokens, so add the
//! [`EditCounts`] and take their percentage last; the mean of the utterances' own rates is another number.

use crate::{Alignment, EditCounts, align};

/// Aligns the words (what white space separates) of two texts; case and punctuation count, so normalise before.
pub fn word_alignment<'a>(reference: &'a str, hypothesis: &'a str) -> Alignment<&'a str> {
    align(&words(reference), &words(hypothesis))
}

/// The edits from the words of the reference to those of the hypothesis. An empty reference has no words, so that every
/// word of the hypothesis is an insertion.
pub fn word_errors(reference: &str, hypothesis: &str) -> EditCounts {
    word_alignment(reference, hypothesis).counts()
}

/// The utterances with errors, each with its name, its errors and its [`word_alignment`], to read through; `utterances` are
/// names, references and hypotheses.
///
/// ```text
/// first: 1 error in 4 words
/// turn the light  on
/// turn the lights on
///          S
/// ```
pub fn aligned_errors<'a>(utterances: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, reference, hypothesis) in utterances {
        let alignment = word_alignment(reference, hypothesis);
        let counts = alignment.counts();
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (errors, words) = (counts.errors(), counts.reference());
        if errors > 0 {
            let line = format!("{name}: {} in {}", plural(errors, "error"), plural(words, "word"));
            text += &format!("{line}\n{alignment}\n\n");
        }
    }
    text
}

/// Aligns the characters (Unicode scalar values) of two texts; runs of white space count as one space, none at the ends.
pub fn character_alignment(reference: &str, hypothesis: &str) -> Alignment<char> {
    align(&characters(reference), &characters(hypothesis))
}

/// The edits from the characters of the reference to those of the hypothesis, spaces included.
pub fn character_errors(reference: &str, hypothesis: &str) -> EditCounts {
    character_alignment(reference, hypothesis).counts()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn characters(text: &str) -> Vec<char> {
    words(text).join(" ").chars().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utterances_with_errors_are_printed_with_their_alignments() {
        let utterances =
            [("first", "turn the light on", "turn the lights on"), ("second", "stop", "stop"), ("third", "", "oh no")];
        assert_eq!(
            aligned_errors(utterances),
            "first: 1 error in 4 words\nturn the light  on\nturn the lights on\n         S\n\n\
             third: 2 errors in 0 words\n** **\noh no\nI  I\n\n"
        );
        assert_eq!(aligned_errors([("second", "stop", "stop")]), "");
    }

    #[test]
    fn words_are_counted() {
        let counts = word_errors("the cat sat on the mat", "the  cat sits on mat today");
        assert_eq!(counts, EditCounts { hits: 4, substitutions: 1, deletions: 1, insertions: 1 });
        assert_eq!(counts.percent(), Some(50.0));
        assert_eq!(word_errors("one two", "one two").percent(), Some(0.0));
        assert_eq!(word_errors("one two", "").percent(), Some(100.0));
        assert_eq!(word_errors("one", "two three").percent(), Some(200.0));
    }

    #[test]
    fn characters_are_counted_with_single_spaces() {
        assert_eq!(character_errors("größe ab", " grösse  ab").errors(), 2);
        assert_eq!(character_errors("ab cd", "abcd").deletions, 1);
        assert_eq!(character_errors("ab", "ab").percent(), Some(0.0));
    }

    #[test]
    fn empty_references_only_add_insertions() {
        let nothing = word_errors("", "two words");
        assert_eq!((nothing.insertions, nothing.reference(), nothing.percent()), (2, 0, None));
        assert_eq!(word_errors(" ", "").errors(), 0);
        // In a test set they count: (0 + 2) errors over 4 words.
        let total: EditCounts = [word_errors("a b c d", "a b c d"), nothing].into_iter().sum();
        assert_eq!(total.percent(), Some(50.0));
    }

    #[test]
    fn a_test_sets_rate_weighs_by_length() {
        let total: EditCounts = [word_errors("a", "b"), word_errors("a b c", "a b c")].into_iter().sum();
        assert_eq!(total.percent(), Some(25.0));
    }
}
