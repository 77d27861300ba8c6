//! Numbers in English texts, spelled out (spec section 3.3): published vocabularies have no digits.

use crate::spell_number;

/// Currency signs and what follows the number for them.
const CURRENCIES: [(char, &str); 19] = [
    ('$', "dollars"),
    ('€', "euros"),
    ('£', "pounds"),
    ('¢', "cents"),
    ('¥', "japanese yen"),
    ('﷼', "saudi riyal"),
    ('₹', "indian rupees"),
    ('₽', "russian rubles"),
    ('฿', "thai baht"),
    ('₺', "turkish liras"),
    ('₴', "ukrainian hryvnia"),
    ('₣', "swiss francs"),
    ('₡', "costa rican colon"),
    ('₱', "philippine peso"),
    ('₪', "israeli shekels"),
    ('₮', "mongolian tögrög"),
    ('₩', "south korean won"),
    ('₦', "nigerian naira"),
    ('₫', "vietnamese Đồng"),
];

/// Names of powers of a thousand.
const THOUSANDS: [&str; 12] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];

/// Spells the numbers of an English text: integers up to decillions (longer ones digit by digit), also with commas between
/// thousands, decimals as "point" and their digits, a leading minus, percent, a currency before the number, ordinals
/// ("3rd"). Digits inside words stay. Spaces in a row become one.
///
/// Words and order are those of transformers' `EnglishNumberNormalizer`, which leaves ordinals, counts commas wrongly in
/// numbers above 999,999 and loses a lone 0.
pub fn spell_numbers(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let found = if before.is_some_and(is_word) { None } else { Number::at(rest) };
        match found {
            Some((number, length)) => {
                spelled += &number.spell();
                before = rest[..length].chars().last();
                rest = &rest[length..];
            }
            None => {
                // One space of a run is enough.
                if first != ' ' || before != Some(' ') {
                    spelled.push(first);
                }
                before = Some(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    spelled
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A number as it is written.
struct Number<'a> {
    negative: bool,
    currency: Option<&'static str>,
    /// Digits before the point, without commas.
    whole: String,
    decimals: &'a str,
    percent: bool,
    ordinal: bool,
}

impl<'a> Number<'a> {
    /// The number at the beginning of a text, and how many bytes it takes.
    fn at(text: &'a str) -> Option<(Self, usize)> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let sign = rest.chars().next()?;
        let currency = CURRENCIES.iter().find(|(symbol, _)| *symbol == sign).map(|(_, name)| *name);
        let rest = if currency.is_some() { &rest[sign.len_utf8()..] } else { rest };
        let length = whole_length(rest);
        let (whole, rest) = rest.split_at(length);
        if whole.is_empty() {
            return None;
        }
        let whole: String = whole.chars().filter(|c| *c != ',').collect();
        let plain = !negative && currency.is_none();
        let ends = |rest: &str| !rest.starts_with(is_word);
        let of = |rest: &str| text.len() - rest.len();
        if let Some(rest) = ordinal_end(&whole, rest).filter(|rest| plain && ends(rest)) {
            let number = Self { negative, currency, whole, decimals: "", percent: false, ordinal: true };
            return Some((number, of(rest)));
        }
        let (decimals, rest) = match rest.strip_prefix('.') {
            Some(after) => match after.split_at(digits(after)) {
                ("", _) => ("", rest),
                split => split,
            },
            None => ("", rest),
        };
        let (percent, rest) = rest.strip_prefix('%').map_or((false, rest), |rest| (true, rest));
        let number = Self { negative, currency, whole, decimals, percent, ordinal: false };
        ends(rest).then(|| (number, of(rest)))
    }

    fn spell(&self) -> String {
        let mut words = spell_integer(&self.whole);
        if self.ordinal {
            return ordinal(words);
        }
        if self.negative {
            words = format!("minus {words}");
        }
        // Two zeros are how prices without cents are written.
        if !self.decimals.is_empty() && self.decimals != "00" {
            words += " point";
            for digit in self.decimals.chars() {
                words = format!("{words} {}", spell_digit(digit));
            }
        }
        if self.percent {
            words += " percent";
        }
        match self.currency {
            Some(name) => format!("{words} {name}"),
            None => words,
        }
    }
}

fn digits(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()
}

/// Length of an integer, with commas where there are three digits behind each of them.
fn whole_length(text: &str) -> usize {
    let mut length = digits(text);
    if !(1..=3).contains(&length) {
        return length;
    }
    while let Some(after) = text[length..].strip_prefix(',') {
        if digits(after) != 3 {
            break;
        }
        length += 4;
    }
    length
}

/// What follows the ending of an ordinal, if the text begins with the one that belongs to the number.
fn ordinal_end<'a>(whole: &str, text: &'a str) -> Option<&'a str> {
    let teen = whole.len() > 1 && whole.as_bytes()[whole.len() - 2] == b'1';
    text.strip_prefix(match whole.chars().last()? {
        '1' if !teen => "st",
        '2' if !teen => "nd",
        '3' if !teen => "rd",
        _ => "th",
    })
}

/// An integer of any length.
fn spell_integer(digits: &str) -> String {
    let digits = match digits.trim_start_matches('0') {
        "" => return spell_digit('0'),
        digits => digits,
    };
    if digits.len() > 3 * THOUSANDS.len() {
        return digits.chars().map(spell_digit).collect::<Vec<_>>().join(" ");
    }
    let mut words: Vec<String> = Vec::new();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).collect();
    for (group, name) in groups.iter().zip(THOUSANDS).rev() {
        let value = group.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        if value > 0 {
            words.push(spell_number(value));
            words.extend((!name.is_empty()).then(|| name.to_owned()));
        }
    }
    words.join(" ")
}

fn spell_digit(digit: char) -> String {
    spell_number(digit.to_digit(10).expect("a digit").into())
}

/// The ordinal of a number in words: its last word changes.
fn ordinal(words: String) -> String {
    let (head, last) = words.rsplit_once(' ').map_or(("", words.as_str()), |(head, last)| (head, last));
    let last = match last {
        "one" => "first".into(),
        "two" => "second".into(),
        "three" => "third".into(),
        "five" => "fifth".into(),
        "eight" => "eighth".into(),
        "nine" => "ninth".into(),
        "twelve" => "twelfth".into(),
        other => match other.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{other}th"),
        },
    };
    if head.is_empty() { last } else { format!("{head} {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled() {
        for (text, expected) in [
            ("$3.50", "three point five zero dollars"),
            ("1999", "one thousand nine hundred and ninety nine"),
            ("the 3rd", "the third"),
            ("0", "zero"),
            ("0.5%", "zero point five percent"),
            ("-€12", "minus twelve euros"),
            (
                "It cost £1,234,567.",
                "It cost one million two hundred and thirty four thousand five hundred and sixty seven pounds.",
            ),
            ("1000005", "one million five"),
            ("007", "seven"),
            ("$20.00", "twenty dollars"),
            ("3.14159", "three point one four one five nine"),
            (
                "1st 2nd 11th 12th 13th 20th 21st 103rd",
                "first second eleventh twelfth thirteenth twentieth twenty first one hundred and third",
            ),
            ("1,2", "one,two"),
            ("12,3456", "twelve,three thousand four hundred and fifty six"),
            ("₫5", "five vietnamese Đồng"),
            ("wait  2   hours", "wait two hours"),
            ("5.", "five."),
            ("5.-", "five.-"),
            ("3-4", "three-four"),
            ("", ""),
        ] {
            assert_eq!(spell_numbers(text), expected, "{text}");
        }
        let long = "1".repeat(37);
        assert_eq!(spell_numbers(&long), vec!["one"; 37].join(" "));
        assert!(spell_numbers(&long[..36]).starts_with("one hundred and eleven decillion"));
    }

    #[test]
    fn what_is_no_number_stays() {
        for text in ["", "no numbers", "mp3", "3kg", "2th", "22th", "1990s", "x_1", "a-b", "$", "-", "€ 5x", "½", "٣"]
        {
            assert_eq!(spell_numbers(text), text, "{text}");
        }
    }
}
