//! What is so: descriptions, places, prices, weather, ages, numbers.

use super::clause::Clause;
use super::parts::*;
use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::numbers::{spell_french, spell_german, spell_number};
use crate::grammar::phrase::{Determiner, NounPhrase, Phrase, Subject, phrase};
use crate::grammar::word::{Adjective, Case, Gender, Number};

/// "the old church is very beautiful"; "my brother is tired today"
pub fn description(dice: &mut Dice) -> Phrase {
    let (subject, adjective): (Subject, &Adjective) = if dice.chance(0.5) {
        (somebody(dice), dice.word(MOODS))
    } else if dice.chance(0.5) {
        let np = known_thing(dice);
        (Subject::of(&np), adjective_for_things(dice))
    } else {
        let adjective = *dice.one(&[&SIZES[0], &SIZES[1], &SIZES[2], &SIZES[4]]);
        (Subject::of(&the(&dice.word(PLACES).noun)), adjective)
    };
    let very = dice.chance(0.5);
    let [en, de, fr] = if very { ["very", "sehr", "très"] } else { [""; 3] };
    let rest = phrase(
        format!("{en} {}", adjective.en),
        format!("{de} {}", adjective.de),
        format!("{fr} {}", subject.french_predicate(adjective)),
    );
    let moment = *dice.one(&[["today", "heute", "aujourd'hui"], ["now", "jetzt", "maintenant"]]);
    let time = if MOODS.iter().any(|mood| mood.en == adjective.en) { moment.into() } else { Phrase::default() };
    Clause::new(subject, BE, rest).when(time).statement()
}

/// "my key is under the table in the kitchen"
pub fn location(dice: &mut Dice) -> Phrase {
    let item = if dice.chance(0.3) { animal(dice) } else { known_thing(dice) };
    let subject = if dice.chance(0.3) { somebody(dice) } else { Subject::of(&item) };
    let stands_alone = subject.words.en != item.english() || LARGE.contains(&item.noun.en[0]);
    let (preposition, noun) = if stands_alone {
        (*dice.one(BY_BUILDINGS), dice.word(BUILDINGS))
    } else {
        (*dice.one(ON_THINGS), dice.word(SUPPORTS))
    };
    let adjective = dice.chance(0.4).then(|| if stands_alone { dice.word(SIZES) } else { dice.word(COLOURS) });
    let place = with_preposition(preposition, &NounPhrase { adjective, ..the(noun) }, Case::Dative);
    let time = if dice.chance(0.2) { phrase("now", "jetzt", "maintenant") } else { Phrase::default() };
    Clause::new(subject, BE, place).when(time).statement()
}

/// "there are seventeen chairs in the library"
pub fn existence(dice: &mut Dice) -> Phrase {
    // What there is, how many at most, and in which colours: blue cats are for other grammars.
    let (noun, most, coloured) = *dice.one(&[
        (&CHAIR, 99, COLOURS),
        (&FLOWER, 99, COLOURS),
        (&DOG, 9, FURS),
        (&CAT, 9, FURS),
        (&BIRD, 50, FURS),
    ]);
    let adjective = dice.chance(0.4).then(|| if dice.chance(0.5) { dice.word(coloured) } else { dice.word(SIZES) });
    let many = count(dice).min(most);
    let np = NounPhrase { adjective, ..NounPhrase::new(Determiner::Count(many), noun, Number::Plural) };
    let place = at(dice.word(PLACES));
    phrase("there are", "es gibt", "il y a").then(&np.phrase(Case::Accusative)).then(&place)
}

/// "this red bicycle costs ninety euros and fifty cents"
pub fn price(dice: &mut Dice) -> Phrase {
    let np = NounPhrase { adjective: dice.chance(0.5).then(|| dice.word(COLOURS)), ..known_thing(dice) };
    let np = if dice.chance(0.5) { NounPhrase { determiner: Determiner::The, ..np } } else { np };
    let amount = |n| (spell_number(u64::from(n)), spell_german(n), spell_french(n, Gender::M));
    let euros = match dice.between(0, 4) {
        0 => dice.between(2, 9) * 100,
        1 | 2 => count(dice),
        _ => dice.between(2, 9) * 10 + dice.between(1, 9),
    };
    let (en, de, fr) = amount(euros);
    let mut rest = phrase(format!("{en} euros"), format!("{de} euro"), format!("{fr} euros"));
    if euros < 100 && dice.chance(0.4) {
        let (en, de, fr) = amount(dice.between(1, 9) * 10);
        rest = rest.then(&phrase(format!("and {en} cents"), format!("und {de} cent"), format!("et {fr} centimes")));
    }
    Clause::new(Subject::of(&np), COST, rest).statement()
}

/// "in january it snows in berlin"; "it is twelve degrees in paris today"
pub fn weather(dice: &mut Dice) -> Phrase {
    let [city_en, city_de, city_fr] = *dice.one(CITIES);
    if dice.chance(0.35) {
        let degrees = dice.between(2, 35);
        let [en, de, fr] = *dice.one(&[["today", "heute", "aujourd'hui"], ["now", "jetzt", "maintenant"]]);
        return phrase(
            format!("it is {} degrees in {city_en} {en}", spell_number(u64::from(degrees))),
            format!("{de} sind es in {city_de} {} grad", spell_german(degrees)),
            format!("il fait {} degrés à {city_fr} {fr}", spell_french(degrees, Gender::M)),
        );
    }
    let Weather { en, de: [subject, verb, predicate], fr, seasons } = *dice.one(WEATHER);
    let time = if dice.chance(0.5) || seasons.is_empty() { on_day(dice) } else { (*dice.one(seasons)).into() };
    if dice.chance(0.5) {
        phrase(
            format!("{} {en} in {city_en}", time.en),
            format!("{} {verb} {subject} in {city_de} {predicate}", time.de),
            format!("{} {fr} à {city_fr}", time.fr),
        )
    } else {
        phrase(
            format!("{en} in {city_en} {}", time.en),
            format!("{subject} {verb} {} in {city_de} {predicate}", time.de),
            format!("{fr} à {city_fr} {}", time.fr),
        )
    }
}

/// "my brother is twelve years old"
pub fn age(dice: &mut Dice) -> Phrase {
    let (subject, years) = match dice.between(0, 4) {
        0 | 1 => (name(dice), dice.between(3, 99)),
        2 | 3 => {
            let np = NounPhrase { number: Number::Singular, ..relative(dice) };
            (Subject::of(&np), dice.between(20, 89))
        }
        _ => (Subject::of(&the(&GIRL)), dice.between(3, 17)),
    };
    phrase(
        format!("{} is {} years old", subject.words.en, spell_number(u64::from(years))),
        format!("{} ist {} jahre alt", subject.words.de, spell_german(years)),
        format!("{} a {} ans", subject.words.fr, spell_french(years, Gender::M)),
    )
}

/// "my number is three two seven five nine"
pub fn digits(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(&[
        ["my number is", "meine nummer ist", "mon numéro est le"],
        ["your number is", "deine nummer ist", "ton numéro est le"],
        ["the number is", "die nummer ist", "le numéro est le"],
        ["our number is", "unsere nummer ist", "notre numéro est le"],
    ]);
    let mut words = phrase(en, de, fr);
    for _ in 0..dice.between(4, 7) {
        let digit = dice.between(0, 9);
        words =
            words.then(&phrase(spell_number(u64::from(digit)), spell_german(digit), spell_french(digit, Gender::M)));
    }
    words
}
