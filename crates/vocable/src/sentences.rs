//! Long texts in parts.

/// Marks that end a sentence where a space follows.
const MARKS: [char; 6] = ['.', '!', '?', '…', ':', ';'];
/// Full-width marks, which no space needs to follow, and the brackets that may.
const WIDE_MARKS: [char; 3] = ['。', '！', '？'];
const CLOSING: [char; 6] = ['」', '』', '）', '”', '’', '》'];

/// Cuts a text into parts that fit: at the ends of sentences, and a sentence that is too long between words. Parts are as
/// long as they can be; a word that does not fit by itself is a part all the same.
pub fn parts(text: &str, fits: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in packed(text, &ends(text, is_sentence), &fits) {
        match fits(part) {
            true => parts.push(part),
            false => parts.extend(packed(part, &ends(part, |_, next| next.is_whitespace()), &fits)),
        }
    }
    parts
}

/// Whether a sentence ends between what stands before and the next character.
fn is_sentence(before: &str, next: char) -> bool {
    let wide = before.trim_end_matches(CLOSING).ends_with(WIDE_MARKS);
    match next.is_whitespace() {
        true => wide || before.ends_with(MARKS),
        false => wide && !WIDE_MARKS.contains(&next) && !CLOSING.contains(&next),
    }
}

/// Places at which the text may be cut, by what stands before them and the character behind; the last is its end.
fn ends(text: &str, may_cut: impl Fn(&str, char) -> bool) -> Vec<usize> {
    let places = text.char_indices().filter(|&(at, next)| may_cut(&text[..at], next)).map(|(at, _)| at);
    places.chain([text.len()]).collect()
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
        let text = "你好。世界！「好吗？」好 吗？！";
        assert_eq!(parts(text, short(6)), ["你好。世界！", "「好吗？」", "好 吗？！"]);
        assert_eq!(parts(text, short(3)), ["你好。", "世界！", "「好吗？」", "好", "吗？！"]);
    }
}
