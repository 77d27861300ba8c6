//! Cardinal numbers in words.

use super::word::Gender;

const ENGLISH: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ENGLISH_TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ENGLISH_SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "quintillion"),
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// A cardinal number in English words without hyphens: `spell_number(342)` is "three hundred and forty two".
pub fn spell_number(n: u64) -> String {
    if n < 20 {
        return ENGLISH[n as usize].to_owned();
    }
    if n < 100 {
        let tens = ENGLISH_TENS[(n / 10) as usize];
        return if n.is_multiple_of(10) { tens.to_owned() } else { format!("{tens} {}", ENGLISH[(n % 10) as usize]) };
    }
    if n < 1000 {
        let hundreds = format!("{} hundred", ENGLISH[(n / 100) as usize]);
        return if n.is_multiple_of(100) { hundreds } else { format!("{hundreds} and {}", spell_number(n % 100)) };
    }
    let (scale, name) = ENGLISH_SCALES.into_iter().find(|(scale, _)| n >= *scale).expect("n >= 1000");
    let head = format!("{} {name}", spell_number(n / scale));
    match n % scale {
        0 => head,
        rest if rest < 100 => format!("{head} and {}", spell_number(rest)),
        rest => format!("{head} {}", spell_number(rest)),
    }
}

const GERMAN: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const GERMAN_TENS: [&str; 10] =
    ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

/// A cardinal number below 1000 in German; one is "eins", as in counting.
pub fn spell_german(n: u32) -> String {
    assert!(n < 1000, "German numbers are spelled below 1000, not {n}");
    let one_in_compound = |digit: u32| if digit == 1 { "ein" } else { GERMAN[digit as usize] };
    if n < 20 {
        return GERMAN[n as usize].to_owned();
    }
    if n < 100 {
        let tens = GERMAN_TENS[(n / 10) as usize];
        return if n.is_multiple_of(10) { tens.to_owned() } else { format!("{}und{tens}", one_in_compound(n % 10)) };
    }
    let hundreds = format!("{}hundert", one_in_compound(n / 100));
    if n.is_multiple_of(100) { hundreds } else { hundreds + &spell_german(n % 100) }
}

const FRENCH: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FRENCH_TENS: [&str; 7] = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante"];

/// A cardinal number below 1000 in French, agreeing with the noun that follows (`vingt et une`).
pub fn spell_french(n: u32, gender: Gender) -> String {
    assert!(n < 1000, "French numbers are spelled below 1000, not {n}");
    if n == 1 && gender == Gender::F {
        return "une".to_owned();
    }
    if n < 20 {
        return FRENCH[n as usize].to_owned();
    }
    if n < 80 {
        // Seventy counts on from sixty.
        let tens = (n / 10).min(6);
        let word = FRENCH_TENS[tens as usize];
        return match n - tens * 10 {
            0 => word.to_owned(),
            rest @ (1 | 11) => format!("{word} et {}", spell_french(rest, gender)),
            rest => format!("{word}-{}", FRENCH[rest as usize]),
        };
    }
    if n < 100 {
        return if n == 80 {
            "quatre-vingts".to_owned()
        } else {
            format!("quatre-vingt-{}", spell_french(n - 80, gender))
        };
    }
    let head = if n < 200 { "cent".to_owned() } else { format!("{} cent", FRENCH[(n / 100) as usize]) };
    match n % 100 {
        0 if n >= 200 => head + "s",
        0 => head,
        rest => format!("{head} {}", spell_french(rest, gender)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english() {
        for (n, words) in [
            (0, "zero"),
            (13, "thirteen"),
            (20, "twenty"),
            (45, "forty five"),
            (100, "one hundred"),
            (342, "three hundred and forty two"),
            (1_000, "one thousand"),
            (2_005, "two thousand and five"),
            (1_234_567, "one million two hundred and thirty four thousand five hundred and sixty seven"),
        ] {
            assert_eq!(spell_number(n), words);
        }
        assert!(spell_number(u64::MAX).starts_with("eighteen quintillion"));
    }

    #[test]
    fn german() {
        for (n, words) in [
            (1, "eins"),
            (16, "sechzehn"),
            (17, "siebzehn"),
            (21, "einundzwanzig"),
            (30, "dreißig"),
            (45, "fünfundvierzig"),
            (200, "zweihundert"),
            (101, "einhunderteins"),
        ] {
            assert_eq!(spell_german(n), words);
        }
    }

    #[test]
    fn french() {
        for (n, words) in [
            (17, "dix-sept"),
            (21, "vingt et un"),
            (45, "quarante-cinq"),
            (61, "soixante et un"),
            (70, "soixante-dix"),
            (71, "soixante et onze"),
            (77, "soixante-dix-sept"),
            (80, "quatre-vingts"),
            (81, "quatre-vingt-un"),
            (91, "quatre-vingt-onze"),
            (100, "cent"),
            (200, "deux cents"),
            (250, "deux cent cinquante"),
        ] {
            assert_eq!(spell_french(n, Gender::M), words);
        }
        assert_eq!(spell_french(41, Gender::F), "quarante et une");
        assert_eq!(spell_french(81, Gender::F), "quatre-vingt-une");
        assert_eq!(spell_french(71, Gender::F), "soixante et onze");
    }

    #[test]
    fn no_two_numbers_share_their_words() {
        for spell in [|n| spell_number(u64::from(n)), spell_german, |n| spell_french(n, Gender::M)] {
            let words: std::collections::HashSet<_> = (0..1000_u32).map(spell).collect();
            assert_eq!(words.len(), 1000);
        }
    }
}
