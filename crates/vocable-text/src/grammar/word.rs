//! The parts of speech of the lexicon, with every inflected form that is not regular stored in the entry.

/// Grammatical gender; French uses only the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// Masculine.
    M,
    /// Feminine.
    F,
    /// Neuter.
    N,
}

/// Grammatical number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Singular.
    Singular,
    /// Plural.
    Plural,
}

/// German cases that the grammar uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Nominative.
    Nominative,
    /// Accusative.
    Accusative,
    /// Dative.
    Dative,
}

/// A noun in three languages: singular and plural, an empty string where the grammar never uses that number.
///
/// German weak nouns (`der Junge, den Jungen`) have no place in the lexicon: every singular is the same in all cases.
#[derive(Clone, Copy, Debug)]
pub struct Noun {
    pub en: [&'static str; 2],
    pub de_gender: Gender,
    pub de: [&'static str; 2],
    pub fr_gender: Gender,
    pub fr: [&'static str; 2],
}

/// A countable noun.
pub const fn noun(
    en: [&'static str; 2],
    de_gender: Gender,
    de: [&'static str; 2],
    fr_gender: Gender,
    fr: [&'static str; 2],
) -> Noun {
    Noun { en, de_gender, de, fr_gender, fr }
}

/// A noun that is only used in the singular: a substance, or a thing of which there is one.
pub const fn single(
    en: &'static str,
    de_gender: Gender,
    de: &'static str,
    fr_gender: Gender,
    fr: &'static str,
) -> Noun {
    noun([en, ""], de_gender, [de, ""], fr_gender, [fr, ""])
}

/// A noun that is only used in the plural (German gender is then never heard).
pub const fn plural(en: &'static str, de: &'static str, fr_gender: Gender, fr: &'static str) -> Noun {
    noun(["", en], Gender::N, ["", de], fr_gender, ["", fr])
}

/// An adjective: English form, German predicative form and stem before an ending, French masculine and feminine,
/// singular then plural.
#[derive(Clone, Copy, Debug)]
pub struct Adjective {
    pub en: &'static str,
    pub de: &'static str,
    pub de_stem: &'static str,
    pub fr: [&'static str; 4],
    /// French masculine singular before a vowel (`vieil`), where it differs.
    pub fr_before_vowel: &'static str,
    /// Whether French puts it before the noun.
    pub fr_precedes: bool,
}

/// A French adjective that follows its noun.
pub const fn after(en: &'static str, de: &'static str, fr: [&'static str; 4]) -> Adjective {
    Adjective { en, de, de_stem: de, fr, fr_before_vowel: fr[0], fr_precedes: false }
}

/// A French adjective that precedes its noun, with its form before a vowel.
pub const fn before(
    en: &'static str,
    de: &'static str,
    fr: [&'static str; 4],
    fr_before_vowel: &'static str,
) -> Adjective {
    Adjective { en, de, de_stem: de, fr, fr_before_vowel, fr_precedes: true }
}

/// Who or what a verb agrees with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// I.
    First,
    /// You, one person, informally addressed.
    Second,
    /// He, she, it.
    Third,
    /// We.
    FirstPlural,
    /// They.
    ThirdPlural,
}

/// A verb in the present tense.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// Base form (also the infinitive) and third person singular.
    pub en: [&'static str; 2],
    /// I, you, he, and the plural, which is the infinitive too.
    pub de: [&'static str; 4],
    /// I, you, he, we, they, infinitive.
    pub fr: [&'static str; 6],
}

/// A verb from its forms.
pub const fn verb(en: [&'static str; 2], de: [&'static str; 4], fr: [&'static str; 6]) -> Verb {
    Verb { en, de, fr }
}

impl Verb {
    /// The English form.
    pub fn english(&self, person: Person) -> &'static str {
        self.en[usize::from(person == Person::Third)]
    }

    /// The German form.
    pub fn german(&self, person: Person) -> &'static str {
        match person {
            Person::First => self.de[0],
            Person::Second => self.de[1],
            Person::Third => self.de[2],
            Person::FirstPlural | Person::ThirdPlural => self.de[3],
        }
    }

    /// The German infinitive, equal to the plural in every verb of the lexicon.
    pub fn german_infinitive(&self) -> &'static str {
        self.de[3]
    }

    /// The French form.
    pub fn french(&self, person: Person) -> &'static str {
        match person {
            Person::First => self.fr[0],
            Person::Second => self.fr[1],
            Person::Third => self.fr[2],
            Person::FirstPlural => self.fr[3],
            Person::ThirdPlural => self.fr[4],
        }
    }

    /// The French infinitive.
    pub fn french_infinitive(&self) -> &'static str {
        self.fr[5]
    }
}
