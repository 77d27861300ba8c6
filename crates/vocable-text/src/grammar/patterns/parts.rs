//! Parts that many patterns share: people, things, places, times.

use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::numbers::{spell_french, spell_german, spell_number};
use crate::grammar::phrase::{Determiner, NounPhrase, Phrase, Subject, phrase};
use crate::grammar::word::{Adjective, Case, Gender, Noun, Number, Person, Verb};

const PRONOUNS: [([&str; 3], Person, bool); 6] = [
    (["i", "ich", "je"], Person::First, false),
    (["you", "du", "tu"], Person::Second, false),
    (["he", "er", "il"], Person::Third, false),
    (["she", "sie", "elle"], Person::Third, true),
    (["we", "wir", "nous"], Person::FirstPlural, false),
    (["they", "sie", "ils"], Person::ThirdPlural, false),
];

pub fn pronoun(dice: &mut Dice) -> Subject {
    let (words, person, feminine) = *dice.one(&PRONOUNS);
    Subject { words: words.into(), person, feminine }
}

pub fn name(dice: &mut Dice) -> Subject {
    let (name, feminine) = *dice.one(NAMES);
    Subject { words: phrase(name, name, name), person: Person::Third, feminine }
}

/// A noun in a number it has.
pub fn number_of(dice: &mut Dice, noun: &Noun) -> Number {
    match noun.en {
        [_, ""] => Number::Singular,
        ["", _] => Number::Plural,
        _ if dice.chance(0.5) => Number::Plural,
        _ => Number::Singular,
    }
}

pub fn relative(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(RELATIVES);
    let determiner = *dice.one(&[Determiner::My, Determiner::Our, Determiner::Your]);
    NounPhrase::new(determiner, noun, number_of(dice, noun))
}

pub fn stranger(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(PEOPLE);
    NounPhrase::new(Determiner::The, noun, number_of(dice, noun))
}

/// Somebody other than a speaker: a name, a relative, a stranger.
pub fn somebody(dice: &mut Dice) -> Subject {
    match dice.between(0, 9) {
        0..=2 => name(dice),
        3..=6 => Subject::of(&relative(dice)),
        _ => Subject::of(&stranger(dice)),
    }
}

/// Anybody who can be the subject of a verb.
pub fn person(dice: &mut Dice) -> Subject {
    if dice.chance(0.45) { pronoun(dice) } else { somebody(dice) }
}

pub fn animal(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(ANIMALS);
    let number = number_of(dice, noun);
    let determiner = *dice.one(&[Determiner::The, Determiner::My, Determiner::Your, Determiner::This]);
    NounPhrase::new(if number == Number::Plural { Determiner::The } else { determiner }, noun, number)
}

/// How many of something there are: small numbers and round tens mostly.
pub fn count(dice: &mut Dice) -> u32 {
    match dice.between(0, 9) {
        0..=5 => dice.between(2, 20),
        6..=8 => dice.between(3, 9) * 10,
        _ => dice.between(2, 9) * 10 + dice.between(1, 9),
    }
}

pub fn adjective_for_things(dice: &mut Dice) -> &'static Adjective {
    if dice.chance(0.5) { dice.word(COLOURS) } else { dice.word(SIZES) }
}

/// A thing with a determiner of the singular or plural.
pub fn thing(dice: &mut Dice, nouns: &'static [Noun]) -> NounPhrase<'static> {
    let noun = dice.word(nouns);
    let number = number_of(dice, noun);
    let determiner = match number {
        Number::Singular => *dice.one(&[
            Determiner::A,
            Determiner::A,
            Determiner::The,
            Determiner::This,
            Determiner::My,
            Determiner::Your,
        ]),
        Number::Plural => match dice.between(0, 4) {
            0 => Determiner::The,
            1 => Determiner::My,
            2 => Determiner::Our,
            _ => Determiner::Count(count(dice)),
        },
    };
    let adjective = dice.chance(0.35).then(|| adjective_for_things(dice));
    NounPhrase { adjective, ..NounPhrase::new(determiner, noun, number) }
}

/// A singular thing that everybody knows of.
pub fn known_thing(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = loop {
        let noun = dice.word(THINGS);
        if !noun.en[0].is_empty() {
            break noun;
        }
    };
    let determiner = *dice.one(&[
        Determiner::The,
        Determiner::This,
        Determiner::My,
        Determiner::Your,
        Determiner::His,
        Determiner::Her,
    ]);
    NounPhrase::new(determiner, noun, Number::Singular)
}

/// Something to eat or drink, counted where it can be.
pub fn provisions(dice: &mut Dice, nouns: &'static [Noun]) -> NounPhrase<'static> {
    let noun = dice.word(nouns);
    let number = number_of(dice, noun);
    let determiner =
        if number == Number::Plural && dice.chance(0.7) { Determiner::Count(count(dice)) } else { Determiner::Some };
    NounPhrase::new(determiner, noun, number)
}

pub fn the(noun: &Noun) -> NounPhrase<'_> {
    NounPhrase::new(Determiner::The, noun, Number::Singular)
}

/// A preposition in front of a noun phrase, German in the given case.
pub fn with_preposition([en, de, fr]: [&str; 3], np: &NounPhrase, case: Case) -> Phrase {
    phrase(en, de, fr).then(&np.phrase(case))
}

/// "at the station".
pub fn at(place: &Place) -> Phrase {
    with_preposition([place.en_at, place.de_at, place.fr], &the(&place.noun), Case::Dative)
}

/// "to the station".
pub fn to(place: &Place) -> Phrase {
    with_preposition(["to", place.de_to.0, place.fr], &the(&place.noun), place.de_to.1)
}

pub fn somewhere(dice: &mut Dice) -> Phrase {
    if dice.chance(0.2) {
        let [en, de, fr] = *dice.one(CITIES);
        phrase(format!("in {en}"), format!("in {de}"), format!("à {fr}"))
    } else {
        at(dice.word(PLACES))
    }
}

pub fn to_somewhere(dice: &mut Dice) -> Phrase {
    if dice.chance(0.3) {
        let [en, de, fr] = *dice.one(CITIES);
        phrase(format!("to {en}"), format!("nach {de}"), format!("à {fr}"))
    } else {
        to(dice.word(PLACES))
    }
}

pub fn on_day(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(DAYS);
    phrase(format!("on {en}"), format!("am {de}"), fr)
}

pub fn in_month(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(MONTHS);
    phrase(format!("in {en}"), format!("im {de}"), format!("en {fr}"))
}

pub fn at_hour(dice: &mut Dice) -> Phrase {
    let hour = dice.between(2, 12);
    phrase(
        format!("at {}", spell_number(u64::from(hour))),
        format!("um {} uhr", spell_german(hour)),
        format!("à {} heures", spell_french(hour, Gender::F)),
    )
}

/// When something happens as a rule.
pub fn time(dice: &mut Dice) -> Phrase {
    match dice.between(0, 9) {
        0..=4 => on_day(dice),
        5..=6 => in_month(dice),
        _ => (*dice.one(TIMES)).into(),
    }
}

/// When something is going to happen.
pub fn plan(dice: &mut Dice) -> Phrase {
    match dice.between(0, 9) {
        0..=3 => on_day(dice),
        4 => in_month(dice),
        _ => (*dice.one(PLANS)).into(),
    }
}

/// What somebody does to something: the verb with an object that suits it.
pub fn action(dice: &mut Dice) -> (Verb, NounPhrase<'static>) {
    match dice.between(0, 12) {
        0 | 1 => (DRINK, provisions(dice, DRINKS)),
        2 | 3 => (EAT, provisions(dice, FOODS)),
        4 => (READ, thing(dice, READABLES)),
        5 => (WRITE, NounPhrase { determiner: Determiner::A, ..the(dice.word(WRITABLES)) }),
        6 => (OPEN, NounPhrase { adjective: None, ..thing(dice, OPENABLES) }),
        7 => (CLOSE, NounPhrase { adjective: None, ..thing(dice, OPENABLES) }),
        8 => (*dice.one(&[BUY, SELL]), provisions(dice, FOODS)),
        9 => (SEE, NounPhrase { adjective: None, ..thing(dice, ANIMALS) }),
        10 => (HAVE, thing(dice, THINGS)),
        _ => (*dice.one(&[BUY, SELL, SEE, BRING]), thing(dice, THINGS)),
    }
}

/// Something somebody does without an object.
pub fn activity(dice: &mut Dice) -> Verb {
    *dice.one(&[WORK, WAIT, SLEEP, PLAY, STAY])
}
