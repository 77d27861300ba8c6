//! What somebody does: to something, somewhere, at some time.

use super::clause::Clause;
use super::parts::*;
use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::phrase::{Determiner, NounPhrase, Phrase, Subject, phrase};
use crate::grammar::word::{Case, Number, Person};

/// "my sister buys twelve apples at the market on monday"
pub fn transitive(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let (verb, object) = action(dice);
    let adverb = if dice.chance(0.15) { (*dice.one(ADVERBS)).into() } else { Phrase::default() };
    let time = if dice.chance(0.6) && adverb == Phrase::default() { time(dice) } else { Phrase::default() };
    let object = object.phrase(Case::Accusative);
    // One brings something to somebody, not at a place.
    let placed = dice.chance(0.4) && verb.en != BRING.en;
    let rest = if placed { object.then(&somewhere(dice)) } else { object };
    let time_first = time != Phrase::default() && dice.chance(0.25);
    let clause = Clause::new(subject, verb, rest).when(time).how(adverb);
    if time_first { clause.time_first() } else { clause.statement() }
}

/// "the children play in the park every day"
pub fn intransitive(dice: &mut Dice) -> Phrase {
    let (subject, verb) = if dice.chance(0.25) {
        (Subject::of(&animal(dice)), *dice.one(&[WAIT, SLEEP, PLAY, STAY]))
    } else {
        (person(dice), activity(dice))
    };
    let (adverb, time) =
        if dice.chance(0.3) { ((*dice.one(ADVERBS)).into(), in_month(dice)) } else { (Phrase::default(), time(dice)) };
    let clause = Clause::new(subject, verb, somewhere(dice)).when(time).how(adverb);
    if dice.chance(0.25) { clause.time_first() } else { clause.statement() }
}

/// "my friends live in a small house near the bridge"
pub fn residence(dice: &mut Dice) -> Phrase {
    let home = match dice.between(0, 2) {
        0 => {
            let [en, de, fr] = *dice.one(CITIES);
            phrase(format!("in {en}"), format!("in {de}"), format!("à {fr}"))
        }
        1 => {
            let building = dice.one(BUILDINGS);
            let np = NounPhrase { adjective: dice.chance(0.6).then(|| dice.word(SIZES)), ..the(building) };
            with_preposition(["near", "bei", "près de"], &np, Case::Dative)
        }
        _ => {
            let adjective = if dice.chance(0.5) { dice.one(&SIZES[..5]) } else { dice.word(COLOURS) };
            let house = NounPhrase { determiner: Determiner::A, adjective: Some(adjective), ..the(&HOUSE) };
            let home = with_preposition(["in", "in", "dans"], &house, Case::Dative);
            if dice.chance(0.5) {
                let near = with_preposition(["near", "bei", "près de"], &the(dice.one(&BUILDINGS[1..])), Case::Dative);
                home.then(&near)
            } else {
                home
            }
        }
    };
    Clause::new(person(dice), LIVE, home).statement()
}

/// "we go to the beach by train in july"
pub fn motion(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let time = time(dice);
    let place = to_somewhere(dice);
    let within_reach = place.en.ends_with("kitchen") || place.en.ends_with("garden");
    if dice.chance(0.6) && !within_reach {
        let [en, de, fr] = *dice.one(VEHICLES);
        // German says the means before the goal.
        let rest = phrase(format!("{} {en}", place.en), format!("{de} {}", place.de), format!("{} {fr}", place.fr));
        Clause::new(subject, RIDE, rest).when(time).statement()
    } else {
        let verb = *dice.one(&[GO, COME, COME]);
        // `nach` a city one rides, even if English goes there.
        let verb = if verb.en[0] == "go" && place.de.starts_with("nach") { RIDE } else { verb };
        Clause::new(subject, verb, place).when(time).statement()
    }
}

/// "peter wants to read this book tomorrow"
pub fn modal(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let (verb, object) = loop {
        let (verb, object) = action(dice);
        // Nobody must have something on a day.
        if verb.en[0] != "have" {
            break (verb, object);
        }
    };
    let modal = *dice.one(&[WANT, WANT, CAN, MUST]);
    let time = plan(dice);
    Clause::new(subject, verb, object.phrase(Case::Accusative)).when(time).under(&modal)
}

/// "anna gives her brother a red hat"
pub fn giving(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let verb = *dice.one(&[GIVE, BRING]);
    let object = thing(dice, THINGS);
    let receiver = if dice.chance(0.5) {
        let own = match (subject.person, subject.feminine) {
            (Person::First, _) => Determiner::My,
            (Person::Second, _) => Determiner::Your,
            (Person::FirstPlural, _) => Determiner::Our,
            (Person::Third, true) => Determiner::Her,
            (Person::Third, false) => Determiner::His,
            (Person::ThirdPlural, _) => Determiner::The,
        };
        let nouns = if own == Determiner::The { PEOPLE } else { RELATIVES };
        let noun = dice.word(nouns);
        NounPhrase::new(own, noun, number_of(dice, noun))
    } else {
        stranger(dice)
    };
    let rest = phrase(
        format!("{} {}", receiver.english(), object.english()),
        format!("{} {}", receiver.german(Case::Dative), object.german(Case::Accusative)),
        format!("{} à {}", object.french(), receiver.french()),
    );
    let time = if dice.chance(0.5) { plan(dice) } else { Phrase::default() };
    Clause::new(subject, verb, rest).when(time).statement()
}

/// "my father does not drink coffee in the evening"
pub fn negation(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let (verb, nouns) = *dice.one(&[(DRINK, DRINKS), (EAT, FOODS), (BUY, FOODS), (SELL, FOODS)]);
    let noun = dice.word(nouns);
    let object = NounPhrase::new(Determiner::No, noun, number_of(dice, noun));
    let time = if dice.chance(0.5) { on_day(dice) } else { (*dice.one(PLANS)).into() };
    let auxiliary = if subject.person == Person::Third { "does" } else { "do" };
    let Phrase { en, de, fr } = &subject.words;
    phrase(
        format!("{en} {auxiliary} not {} {} {}", verb.en[0], object.english(), time.en),
        format!("{de} {} {} {}", verb.german(subject.person), time.de, object.german(Case::Accusative)),
        format!("{fr} ne {} pas {} {}", verb.french(subject.person), object.french(), time.fr),
    )
}

/// "we stay three weeks in berlin"; "please wait twenty minutes at the station"
pub fn duration(dice: &mut Dice) -> Phrase {
    let short = dice.chance(0.5);
    let unit = &DURATIONS[usize::from(!short)];
    let determiner = Determiner::Count(dice.between(2, 20));
    let span = NounPhrase::new(determiner, unit, Number::Plural).phrase(Case::Accusative);
    let place = somewhere(dice);
    if short && dice.chance(0.5) {
        phrase("please wait", "bitte warte", "attends").then(&span).then(&place).then(&phrase("", "", "s'il te plaît"))
    } else {
        let verb = if short { *dice.one(&[SLEEP, WAIT, WORK, PLAY]) } else { *dice.one(&[STAY, WORK]) };
        Clause::new(person(dice), verb, span.then(&place)).statement()
    }
}
