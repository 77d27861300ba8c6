//! Long texts in parts.

/// Cuts a text into parts that fit: at the ends of sentences, and a sentence that is too long between words. Parts are as
/// long as they can be; a word that does not fit by itself is a part all the same.
pub fn parts(text: &str, fits: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in packed(text, &ends(text, |before| before.ends_with(['.', '!', '?', '…', ':', ';'])), &fits) {
        match fits(part) {
            true => parts.push(part),
            false => parts.extend(packed(part, &ends(part, |_| true), &fits)),
        }
    }
    parts
}

/// Places behind a word at which the text may be cut, by what stands before them; the last is its end.
fn ends(text: &str, may_cut: impl Fn(&str) -> bool) -> Vec<usize> {
    let spaces = text.match_indices(char::is_whitespace).map(|(at, _)| at);
    spaces.filter(|&at| may_cut(&text[..at])).chain([text.len()]).collect()
}

/// The text between some of the ends, as few as possible where what lies between two fits.
fn packed<'a>(text: &'a str, ends: &[usize], fits: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let (mut parts, mut start, mut reached) = (Vec::new(), 0, 0);
    for &end in ends {
        if reached > start && !fits(text[start..end].trim()) {
            parts.push(text[start..reached].trim());
            start = reached;
        }
        reached = end;
    }
    parts.push(text[start..reached].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_with_sentences_and_else_with_words() {
        let short = |limit: usize| move |text: &str| text.chars().count() <= limit;
        let text = "One two. Three!  Four five six?\nSeven";
        assert_eq!(parts(text, short(100)), [text]);
        assert_eq!(parts(text, short(16)), ["One two. Three!", "Four five six?", "Seven"]);
        assert_eq!(parts(text, short(9)), ["One two.", "Three!", "Four five", "six?", "Seven"]);
        assert_eq!(parts("a.b 3.5 metres", short(7)), ["a.b 3.5", "metres"]);
        assert_eq!(parts("incomprehensible word", short(5)), ["incomprehensible", "word"]);
        assert!(parts(" \n ", short(5)).is_empty());
    }
}
