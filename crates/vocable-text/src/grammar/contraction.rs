//! What adjacent words do to each other: English a/an, German `in dem` → `im`, French elision and contraction.

/// English: `a` before a vowel is `an`.
pub fn english(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let vowel_follows = words.get(index + 1).is_some_and(|next| next.starts_with(['a', 'e', 'i', 'o', 'u']));
        out.push(if *word == "a" && vowel_follows { "an" } else { word });
    }
    out.join(" ")
}

/// German: a preposition and a weak definite article are one word.
pub fn german(text: &str) -> String {
    let merged = |preposition: &str, article: &str| match (preposition, article) {
        ("in", "dem") => Some("im"),
        ("in", "das") => Some("ins"),
        ("an", "dem") => Some("am"),
        ("an", "das") => Some("ans"),
        ("zu", "dem") => Some("zum"),
        ("zu", "der") => Some("zur"),
        ("bei", "dem") => Some("beim"),
        ("von", "dem") => Some("vom"),
        _ => None,
    };
    let mut out: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        match out.last().and_then(|last| merged(last, word)) {
            Some(one) => *out.last_mut().expect("something precedes") = one,
            None => out.push(word),
        }
    }
    out.join(" ")
}

/// French: `ma amie` → `mon amie`, `ce arbre` → `cet arbre`, `le eau` → `l'eau`, then `à le` → `au`, `de les` → `des`.
pub fn french(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut elided = false;
    for (index, word) in words.iter().enumerate() {
        let before_vowel = words.get(index + 1).is_some_and(|next| elides(next));
        let form = match *word {
            "ma" if before_vowel => "mon",
            "ta" if before_vowel => "ton",
            "sa" if before_vowel => "son",
            "ce" if before_vowel => "cet",
            "le" | "la" if before_vowel => "l'",
            "je" if before_vowel => "j'",
            "ne" if before_vowel => "n'",
            "de" if before_vowel => "d'",
            "me" if before_vowel => "m'",
            "que" if before_vowel => "qu'",
            "jusque" if before_vowel => "jusqu'",
            other => other,
        };
        if elided {
            out.last_mut().expect("an elided word precedes").push_str(form);
        } else {
            // The preposition may itself hang on an elided word: `jusqu'à`.
            let last = out.last().map(|last| last.rsplit('\'').next().expect("a split has a last part"));
            let contracted = match (last, form) {
                (Some("à"), "le") => Some(("à", "au")),
                (Some("à"), "les") => Some(("à", "aux")),
                (Some("de"), "le") => Some(("de", "du")),
                (Some("de"), "les") => Some(("de", "des")),
                _ => None,
            };
            match contracted {
                Some((preposition, one)) => {
                    let last = out.last_mut().expect("a preposition precedes");
                    last.truncate(last.len() - preposition.len());
                    last.push_str(one);
                }
                None => out.push(form.to_owned()),
            }
        }
        elided = form.ends_with('\'');
    }
    out.join(" ")
}

/// Whether a French word makes the one before it elide: a vowel or a mute h, save for numbers that never do.
fn elides(word: &str) -> bool {
    const NEVER: [&str; 2] = ["huit", "onze"];
    let first = word.chars().next().expect("words are not empty");
    "aâàeéèêiîoôuhœ".contains(first) && !NEVER.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_article() {
        assert_eq!(english("a old cat and a dog"), "an old cat and a dog");
    }

    #[test]
    fn german_prepositions() {
        assert_eq!(german("er ist in dem haus bei der tür"), "er ist im haus bei der tür");
        assert_eq!(german("sie geht zu der schule"), "sie geht zur schule");
        assert_eq!(german("in den park"), "in den park");
    }

    #[test]
    fn french_elision_and_contraction() {
        assert_eq!(french("je aime le eau"), "j'aime l'eau");
        assert_eq!(french("je ne aime pas la eau"), "je n'aime pas l'eau");
        assert_eq!(french("à le hôtel"), "à l'hôtel");
        assert_eq!(french("à le marché"), "au marché");
        assert_eq!(french("de le lait"), "du lait");
        assert_eq!(french("de la eau"), "de l'eau");
        assert_eq!(french("jusque à la gare"), "jusqu'à la gare");
        assert_eq!(french("jusque à le arbre"), "jusqu'à l'arbre");
        assert_eq!(french("jusque à le pont"), "jusqu'au pont");
        assert_eq!(french("ma échelle"), "mon échelle");
        assert_eq!(french("ce âne"), "cet âne");
        assert_eq!(french("est-ce que anna"), "est-ce qu'anna");
        assert_eq!(french("le huit"), "le huit");
    }
}
