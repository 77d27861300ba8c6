//! Noun phrases and subjects, realised in three languages with agreement.

use super::numbers::{spell_french, spell_german, spell_number};
use super::word::{Adjective, Case, Gender, Noun, Number, Person};

/// The same words in three languages, before contraction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phrase {
    pub en: String,
    pub de: String,
    pub fr: String,
}

/// A phrase from its three wordings.
pub fn phrase(en: impl Into<String>, de: impl Into<String>, fr: impl Into<String>) -> Phrase {
    Phrase { en: en.into(), de: de.into(), fr: fr.into() }
}

impl Phrase {
    /// This phrase followed by another one.
    pub fn then(&self, next: &Phrase) -> Phrase {
        phrase(
            format!("{} {}", self.en, next.en),
            format!("{} {}", self.de, next.de),
            format!("{} {}", self.fr, next.fr),
        )
    }
}

impl From<[&str; 3]> for Phrase {
    fn from([en, de, fr]: [&str; 3]) -> Self {
        phrase(en, de, fr)
    }
}

/// What introduces a noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determiner {
    The,
    /// Indefinite; nothing in an English plural.
    A,
    This,
    My,
    Your,
    Our,
    His,
    Her,
    /// A count of things.
    Count(u32),
    /// Some of a substance, or an indefinite plural.
    Some,
    /// German `kein`, French `pas de`; the English negation is in the verb.
    No,
}

/// A noun with what stands before it.
#[derive(Clone, Copy, Debug)]
pub struct NounPhrase<'a> {
    pub determiner: Determiner,
    pub adjective: Option<&'a Adjective>,
    pub noun: &'a Noun,
    pub number: Number,
}

/// Which set of adjective endings a German determiner calls for.
enum Declension {
    Weak,
    Mixed,
    Strong,
}

impl<'a> NounPhrase<'a> {
    /// A noun behind a determiner, without adjective.
    pub fn new(determiner: Determiner, noun: &'a Noun, number: Number) -> Self {
        Self { determiner, adjective: None, noun, number }
    }

    fn plural(&self) -> bool {
        self.number == Number::Plural
    }

    /// English.
    pub fn english(&self) -> String {
        let determiner = match self.determiner {
            Determiner::The => "the",
            Determiner::A if self.plural() => "",
            Determiner::A => "a",
            Determiner::This if self.plural() => "these",
            Determiner::This => "this",
            Determiner::My => "my",
            Determiner::Your => "your",
            Determiner::Our => "our",
            Determiner::His => "his",
            Determiner::Her => "her",
            Determiner::Count(n) => &spell_number(u64::from(n)),
            Determiner::Some | Determiner::No => "",
        };
        let adjective = self.adjective.map_or("", |adjective| adjective.en);
        format!("{determiner} {adjective} {}", self.noun.en[usize::from(self.plural())])
    }

    /// German in a case.
    pub fn german(&self, case: Case) -> String {
        let stem = match self.determiner {
            Determiner::A => "ein",
            Determiner::My => "mein",
            Determiner::Your => "dein",
            Determiner::Our => "unser",
            Determiner::His => "sein",
            Determiner::Her => "ihr",
            Determiner::No => "kein",
            Determiner::Count(1) => "ein",
            _ => "",
        };
        let (determiner, declension) = match self.determiner {
            Determiner::The => (definite_article(self.noun.de_gender, self.number, case).to_owned(), Declension::Weak),
            Determiner::This => {
                (format!("dies{}", strong_ending(self.noun.de_gender, self.number, case)), Declension::Weak)
            }
            Determiner::Some => (String::new(), Declension::Strong),
            Determiner::A if self.plural() => (String::new(), Declension::Strong),
            Determiner::Count(n) if n > 1 => (spell_german(n), Declension::Strong),
            _ => {
                let ending = ein_ending(self.noun.de_gender, self.number, case);
                (format!("{stem}{ending}"), Declension::Mixed)
            }
        };
        let adjective = self.adjective.map_or(String::new(), |adjective| {
            let ending = match declension {
                Declension::Strong => strong_ending(self.noun.de_gender, self.number, case),
                Declension::Weak => weak_ending(self.noun.de_gender, self.number, case),
                // Where `ein` has no ending of its own, the adjective carries it.
                Declension::Mixed if ein_ending(self.noun.de_gender, self.number, case).is_empty() => {
                    strong_ending(self.noun.de_gender, self.number, case)
                }
                Declension::Mixed => weak_ending(self.noun.de_gender, self.number, case),
            };
            // `müde` and other stems in e do not double it.
            format!("{}{ending}", adjective.de_stem.trim_end_matches('e'))
        });
        format!("{determiner} {adjective} {}", self.german_noun(case))
    }

    fn german_noun(&self, case: Case) -> String {
        let word = self.noun.de[usize::from(self.plural())];
        // The dative plural ends in n, unless the plural already does or is a foreign one in s.
        let ending = if self.plural() && case == Case::Dative && !word.ends_with(['n', 's']) { "n" } else { "" };
        format!("{word}{ending}")
    }

    /// French.
    pub fn french(&self) -> String {
        let feminine = self.noun.fr_gender == Gender::F;
        let plural = self.plural();
        let preceding = self.adjective.is_some_and(|adjective| adjective.fr_precedes);
        let by_number = |masculine, feminine_form, plural_form| match (plural, feminine) {
            (true, _) => plural_form,
            (false, true) => feminine_form,
            (false, false) => masculine,
        };
        let determiner = match self.determiner {
            Determiner::The => by_number("le", "la", "les"),
            // An adjective in front turns `des` into `de`.
            Determiner::A | Determiner::Some if plural && preceding => "de",
            Determiner::A => by_number("un", "une", "des"),
            Determiner::Some => by_number("de le", "de la", "des"),
            Determiner::This => by_number("ce", "cette", "ces"),
            Determiner::My => by_number("mon", "ma", "mes"),
            Determiner::Your => by_number("ton", "ta", "tes"),
            Determiner::Our => by_number("notre", "notre", "nos"),
            Determiner::His | Determiner::Her => by_number("son", "sa", "ses"),
            Determiner::Count(n) => &spell_french(n, self.noun.fr_gender),
            Determiner::No => "de",
        };
        let noun = self.noun.fr[usize::from(plural)];
        let adjective = self.adjective.map_or("", |adjective| {
            let vowel = noun.starts_with(['a', 'â', 'e', 'é', 'h', 'i', 'o', 'œ', 'u']);
            if adjective.fr_precedes && vowel && !feminine && !plural {
                adjective.fr_before_vowel
            } else {
                adjective.fr[usize::from(plural) * 2 + usize::from(feminine)]
            }
        });
        if preceding { format!("{determiner} {adjective} {noun}") } else { format!("{determiner} {noun} {adjective}") }
    }

    /// All three languages, German in the given case.
    pub fn phrase(&self, case: Case) -> Phrase {
        phrase(self.english(), self.german(case), self.french())
    }
}

fn definite_article(gender: Gender, number: Number, case: Case) -> &'static str {
    match (number, case, gender) {
        (Number::Plural, Case::Dative, _) => "den",
        (Number::Plural, _, _) => "die",
        (_, Case::Dative, Gender::F) => "der",
        (_, Case::Dative, _) => "dem",
        (_, _, Gender::F) => "die",
        (_, _, Gender::N) => "das",
        (_, Case::Nominative, Gender::M) => "der",
        (_, Case::Accusative, Gender::M) => "den",
    }
}

/// The endings of `dieser`, and of an adjective that nothing declined precedes.
fn strong_ending(gender: Gender, number: Number, case: Case) -> &'static str {
    match (number, case, gender) {
        (Number::Plural, Case::Dative, _) => "en",
        (Number::Plural, _, _) => "e",
        (_, Case::Dative, Gender::F) => "er",
        (_, Case::Dative, _) => "em",
        (_, _, Gender::F) => "e",
        (_, _, Gender::N) => "es",
        (_, Case::Nominative, Gender::M) => "er",
        (_, Case::Accusative, Gender::M) => "en",
    }
}

/// The endings of an adjective after a determiner that is declined.
fn weak_ending(gender: Gender, number: Number, case: Case) -> &'static str {
    match (number, case, gender) {
        (Number::Singular, Case::Nominative, _) | (Number::Singular, Case::Accusative, Gender::F | Gender::N) => "e",
        _ => "en",
    }
}

/// The endings of `ein`, `kein` and the possessives.
fn ein_ending(gender: Gender, number: Number, case: Case) -> &'static str {
    match (number, case, gender) {
        (Number::Singular, Case::Nominative, Gender::M | Gender::N)
        | (Number::Singular, Case::Accusative, Gender::N) => "",
        _ => strong_ending(gender, number, case),
    }
}

/// A subject with what its verb and its predicate agree with.
#[derive(Clone, Debug)]
pub struct Subject {
    pub words: Phrase,
    pub person: Person,
    /// Of a French predicate.
    pub feminine: bool,
}

impl Subject {
    /// A noun phrase as a subject.
    pub fn of(np: &NounPhrase) -> Self {
        let person = if np.number == Number::Plural { Person::ThirdPlural } else { Person::Third };
        Self { words: np.phrase(Case::Nominative), person, feminine: np.noun.fr_gender == Gender::F }
    }

    /// The pronoun that takes up this third person again.
    pub fn pronoun(&self) -> Phrase {
        let words = match (self.person, self.feminine) {
            (Person::ThirdPlural, false) => ["they", "sie", "ils"],
            (Person::ThirdPlural, true) => ["they", "sie", "elles"],
            (_, true) => ["she", "sie", "elle"],
            (_, false) => ["he", "er", "il"],
        };
        words.into()
    }

    /// A French adjective as this subject's predicate.
    pub fn french_predicate(&self, adjective: &Adjective) -> &'static str {
        let plural = matches!(self.person, Person::ThirdPlural | Person::FirstPlural);
        adjective.fr[usize::from(plural) * 2 + usize::from(self.feminine)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexicon::{COLOURS, SIZES};
    use super::super::word::{Gender, noun, plural, single};
    use super::*;

    const RED: &Adjective = &COLOURS[0];
    const OLD: &Adjective = &SIZES[2];

    fn np<'a>(determiner: Determiner, adjective: &'a Adjective, noun: &'a Noun, number: Number) -> NounPhrase<'a> {
        NounPhrase { determiner, adjective: Some(adjective), noun, number }
    }

    #[test]
    fn german_declension() {
        use Case::{Accusative, Dative, Nominative};
        let (m, f, n) = (
            noun(["", ""], Gender::M, ["hut", "hüte"], Gender::M, ["", ""]),
            noun(["", ""], Gender::F, ["lampe", "lampen"], Gender::M, ["", ""]),
            noun(["", ""], Gender::N, ["auto", "autos"], Gender::M, ["", ""]),
        );
        let single = Number::Singular;
        for (determiner, noun, number, case, expected) in [
            (Determiner::The, &m, single, Nominative, "der rote hut"),
            (Determiner::The, &m, single, Accusative, "den roten hut"),
            (Determiner::The, &m, single, Dative, "dem roten hut"),
            (Determiner::The, &f, single, Accusative, "die rote lampe"),
            (Determiner::The, &f, single, Dative, "der roten lampe"),
            (Determiner::The, &n, single, Nominative, "das rote auto"),
            (Determiner::The, &m, Number::Plural, Dative, "den roten hüten"),
            (Determiner::A, &m, single, Nominative, "ein roter hut"),
            (Determiner::A, &m, single, Accusative, "einen roten hut"),
            (Determiner::A, &f, single, Dative, "einer roten lampe"),
            (Determiner::My, &n, single, Accusative, "mein rotes auto"),
            (Determiner::Our, &m, single, Dative, "unserem roten hut"),
            (Determiner::My, &n, Number::Plural, Dative, "meinen roten autos"),
            (Determiner::Count(3), &m, Number::Plural, Nominative, "drei rote hüte"),
            (Determiner::Count(1), &m, single, Accusative, "einen roten hut"),
            (Determiner::Count(21), &f, Number::Plural, Dative, "einundzwanzig roten lampen"),
            (Determiner::This, &n, single, Nominative, "dieses rote auto"),
            (Determiner::Some, &n, single, Dative, "rotem auto"),
            (Determiner::No, &m, single, Accusative, "keinen roten hut"),
        ] {
            let words = np(determiner, RED, noun, number).german(case);
            assert_eq!(words.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        }
    }

    #[test]
    fn french_agreement_and_position() {
        let tree = single("tree", Gender::M, "baum", Gender::M, "arbre");
        let house = noun(["house", "houses"], Gender::N, ["haus", "häuser"], Gender::F, ["maison", "maisons"]);
        let eggs = plural("eggs", "eier", Gender::M, "œufs");
        assert_eq!(np(Determiner::A, OLD, &tree, Number::Singular).french(), "un vieil arbre");
        assert_eq!(np(Determiner::A, OLD, &house, Number::Singular).french(), "une vieille maison");
        assert_eq!(np(Determiner::A, OLD, &house, Number::Plural).french(), "de vieilles maisons");
        assert_eq!(np(Determiner::The, RED, &eggs, Number::Plural).french(), "les œufs rouges");
        assert_eq!(np(Determiner::Count(21), RED, &house, Number::Plural).french(), "vingt et une maisons rouges");
    }
}
