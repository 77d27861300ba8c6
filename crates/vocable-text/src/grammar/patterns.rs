//! Sentence patterns: each draws its words and lays them out in the word order of every language.

use super::dice::Dice;
use super::lexicon::*;
use super::numbers::{spell_french, spell_german, spell_number};
use super::phrase::{Determiner, NounPhrase, Phrase, Subject, phrase};
use super::word::{Adjective, Case, Gender, Noun, Number, Person, Verb};

/// A sentence of any pattern.
pub fn any(dice: &mut Dice) -> Phrase {
    // How often each pattern is drawn, relative to the others.
    const PATTERNS: [(u32, fn(&mut Dice) -> Phrase); 22] = [
        (14, transitive),
        (8, intransitive),
        (4, residence),
        (6, motion),
        (6, modal),
        (5, giving),
        (4, description),
        (6, location),
        (5, existence),
        (7, price),
        (5, weather),
        (5, directions),
        (4, opening_hours),
        (3, departure),
        (3, age),
        (3, digits),
        (4, duration),
        (3, negation),
        (4, reason),
        (4, condition),
        (4, contrast),
        (10, question),
    ];
    let total: u32 = PATTERNS.iter().map(|(weight, _)| weight).sum();
    let mut draw = dice.between(1, total);
    for (weight, pattern) in PATTERNS {
        if draw <= weight {
            return pattern(dice);
        }
        draw -= weight;
    }
    unreachable!("the draw is at most the total of the weights")
}

// ---- parts ----

const PRONOUNS: [([&str; 3], Person, bool); 6] = [
    (["i", "ich", "je"], Person::First, false),
    (["you", "du", "tu"], Person::Second, false),
    (["he", "er", "il"], Person::Third, false),
    (["she", "sie", "elle"], Person::Third, true),
    (["we", "wir", "nous"], Person::FirstPlural, false),
    (["they", "sie", "ils"], Person::ThirdPlural, false),
];

fn pronoun(dice: &mut Dice) -> Subject {
    let (words, person, feminine) = *dice.one(&PRONOUNS);
    Subject {
        words: words.into(),
        person,
        feminine,
    }
}

fn name(dice: &mut Dice) -> Subject {
    let (name, feminine) = *dice.one(NAMES);
    Subject {
        words: phrase(name, name, name),
        person: Person::Third,
        feminine,
    }
}

/// A noun in a number it has.
fn number_of(dice: &mut Dice, noun: &Noun) -> Number {
    match noun.en {
        [_, ""] => Number::Singular,
        ["", _] => Number::Plural,
        _ if dice.chance(0.5) => Number::Plural,
        _ => Number::Singular,
    }
}

fn relative(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(RELATIVES);
    let determiner = *dice.one(&[Determiner::My, Determiner::Our, Determiner::Your]);
    NounPhrase {
        determiner,
        adjective: None,
        noun,
        number: number_of(dice, noun),
    }
}

fn stranger(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(PEOPLE);
    NounPhrase {
        determiner: Determiner::The,
        adjective: None,
        noun,
        number: number_of(dice, noun),
    }
}

/// Somebody other than a speaker: a name, a relative, a stranger.
fn somebody(dice: &mut Dice) -> Subject {
    match dice.between(0, 9) {
        0..=2 => name(dice),
        3..=6 => Subject::of(&relative(dice)),
        _ => Subject::of(&stranger(dice)),
    }
}

/// Anybody who can be the subject of a verb.
fn person(dice: &mut Dice) -> Subject {
    if dice.chance(0.45) {
        pronoun(dice)
    } else {
        somebody(dice)
    }
}

fn animal(dice: &mut Dice) -> NounPhrase<'static> {
    let noun = dice.word(ANIMALS);
    let number = number_of(dice, noun);
    let determiner = *dice.one(&[Determiner::The, Determiner::My, Determiner::Your, Determiner::This]);
    NounPhrase {
        determiner: if number == Number::Plural {
            Determiner::The
        } else {
            determiner
        },
        adjective: None,
        noun,
        number,
    }
}

/// How many of something there are: small numbers and round tens mostly.
fn count(dice: &mut Dice) -> u32 {
    match dice.between(0, 9) {
        0..=5 => dice.between(2, 20),
        6..=8 => dice.between(3, 9) * 10,
        _ => dice.between(2, 9) * 10 + dice.between(1, 9),
    }
}

fn adjective_for_things(dice: &mut Dice) -> &'static Adjective {
    if dice.chance(0.5) {
        dice.word(COLOURS)
    } else {
        dice.word(SIZES)
    }
}

/// A thing with a determiner of the singular or plural.
fn thing(dice: &mut Dice, nouns: &'static [Noun]) -> NounPhrase<'static> {
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
    NounPhrase {
        determiner,
        adjective,
        noun,
        number,
    }
}

/// A singular thing that everybody knows of.
fn known_thing(dice: &mut Dice) -> NounPhrase<'static> {
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
    NounPhrase {
        determiner,
        adjective: None,
        noun,
        number: Number::Singular,
    }
}

/// Something to eat or drink, counted where it can be.
fn provisions(dice: &mut Dice, nouns: &'static [Noun]) -> NounPhrase<'static> {
    let noun = dice.word(nouns);
    let number = number_of(dice, noun);
    let determiner = if number == Number::Plural && dice.chance(0.7) {
        Determiner::Count(count(dice))
    } else {
        Determiner::Some
    };
    NounPhrase {
        determiner,
        adjective: None,
        noun,
        number,
    }
}

fn the(noun: &Noun) -> NounPhrase<'_> {
    NounPhrase {
        determiner: Determiner::The,
        adjective: None,
        noun,
        number: Number::Singular,
    }
}

/// A preposition in front of a noun phrase, German in the given case.
fn with_preposition([en, de, fr]: [&str; 3], np: &NounPhrase, case: Case) -> Phrase {
    phrase(en, de, fr).then(&np.phrase(case))
}

/// "at the station".
fn at(place: &Place) -> Phrase {
    with_preposition([place.en_at, place.de_at, place.fr], &the(&place.noun), Case::Dative)
}

/// "to the station".
fn to(place: &Place) -> Phrase {
    with_preposition(["to", place.de_to.0, place.fr], &the(&place.noun), place.de_to.1)
}

fn somewhere(dice: &mut Dice) -> Phrase {
    if dice.chance(0.2) {
        let [en, de, fr] = *dice.one(CITIES);
        phrase(format!("in {en}"), format!("in {de}"), format!("à {fr}"))
    } else {
        at(dice.word(PLACES))
    }
}

fn to_somewhere(dice: &mut Dice) -> Phrase {
    if dice.chance(0.3) {
        let [en, de, fr] = *dice.one(CITIES);
        phrase(format!("to {en}"), format!("nach {de}"), format!("à {fr}"))
    } else {
        to(dice.word(PLACES))
    }
}

fn on_day(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(DAYS);
    phrase(format!("on {en}"), format!("am {de}"), fr)
}

fn in_month(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(MONTHS);
    phrase(format!("in {en}"), format!("im {de}"), format!("en {fr}"))
}

fn at_hour(dice: &mut Dice) -> Phrase {
    let hour = dice.between(2, 12);
    phrase(
        format!("at {}", spell_number(u64::from(hour))),
        format!("um {} uhr", spell_german(hour)),
        format!("à {} heures", spell_french(hour, Gender::F)),
    )
}

/// When something happens as a rule.
fn time(dice: &mut Dice) -> Phrase {
    match dice.between(0, 9) {
        0..=4 => on_day(dice),
        5..=6 => in_month(dice),
        _ => (*dice.one(TIMES)).into(),
    }
}

/// When something is going to happen.
fn plan(dice: &mut Dice) -> Phrase {
    match dice.between(0, 9) {
        0..=3 => on_day(dice),
        4 => in_month(dice),
        _ => (*dice.one(PLANS)).into(),
    }
}

/// A clause before its words are put in order.
struct Clause {
    subject: Subject,
    verb: Verb,
    /// Between subject and verb in English, after the verb elsewhere.
    adverb: Phrase,
    time: Phrase,
    /// Objects and places.
    rest: Phrase,
}

impl Clause {
    /// Statement with the subject in front.
    fn statement(&self) -> Phrase {
        let Self {
            subject,
            verb,
            adverb,
            time,
            rest,
        } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!(
                "{en} {} {} {} {}",
                adverb.en,
                verb.english(subject.person),
                rest.en,
                time.en
            ),
            format!(
                "{de} {} {} {} {}",
                verb.german(subject.person),
                time.de,
                adverb.de,
                rest.de
            ),
            format!(
                "{fr} {} {} {} {}",
                verb.french(subject.person),
                adverb.fr,
                rest.fr,
                time.fr
            ),
        )
    }

    /// Statement with the time (or a condition) in front; the German verb stays second.
    fn time_first(&self) -> Phrase {
        let Self {
            subject,
            verb,
            adverb,
            time,
            rest,
        } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!(
                "{} {en} {} {} {}",
                time.en,
                adverb.en,
                verb.english(subject.person),
                rest.en
            ),
            format!(
                "{} {} {de} {} {}",
                time.de,
                verb.german(subject.person),
                adverb.de,
                rest.de
            ),
            format!(
                "{} {fr} {} {} {}",
                time.fr,
                verb.french(subject.person),
                adverb.fr,
                rest.fr
            ),
        )
    }

    /// The clause under a modal verb: the German infinitive goes last.
    fn under(&self, modal: &Verb) -> Phrase {
        let Self {
            subject,
            verb,
            time,
            rest,
            ..
        } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!(
                "{en} {} {} {} {}",
                modal.english(subject.person),
                verb.en[0],
                rest.en,
                time.en
            ),
            format!(
                "{de} {} {} {} {}",
                modal.german(subject.person),
                time.de,
                rest.de,
                verb.german_infinitive()
            ),
            format!(
                "{fr} {} {} {} {}",
                modal.french(subject.person),
                verb.french_infinitive(),
                rest.fr,
                time.fr
            ),
        )
    }

    /// A question, after an interrogative where one is given.
    fn question(&self, interrogative: &Phrase) -> Phrase {
        let Self {
            subject,
            verb,
            time,
            rest,
            ..
        } = self;
        let Phrase { en, de, fr } = &subject.words;
        let auxiliary = if subject.person == Person::Third { "does" } else { "do" };
        phrase(
            format!(
                "{} {auxiliary} {en} {} {} {}",
                interrogative.en, verb.en[0], rest.en, time.en
            ),
            format!(
                "{} {} {de} {} {}",
                interrogative.de,
                verb.german(subject.person),
                time.de,
                rest.de
            ),
            format!(
                "{} est-ce que {fr} {} {} {}",
                interrogative.fr,
                verb.french(subject.person),
                rest.fr,
                time.fr
            ),
        )
    }
}

/// What somebody does to something: the verb with an object that suits it.
fn action(dice: &mut Dice) -> (Verb, NounPhrase<'static>) {
    match dice.between(0, 12) {
        0 | 1 => (DRINK, provisions(dice, DRINKS)),
        2 | 3 => (EAT, provisions(dice, FOODS)),
        4 => (READ, thing(dice, READABLES)),
        5 => (
            WRITE,
            NounPhrase {
                determiner: Determiner::A,
                ..the(dice.word(WRITABLES))
            },
        ),
        6 => (
            OPEN,
            NounPhrase {
                adjective: None,
                ..thing(dice, OPENABLES)
            },
        ),
        7 => (
            CLOSE,
            NounPhrase {
                adjective: None,
                ..thing(dice, OPENABLES)
            },
        ),
        8 => (*dice.one(&[BUY, SELL]), provisions(dice, FOODS)),
        9 => (
            SEE,
            NounPhrase {
                adjective: None,
                ..thing(dice, ANIMALS)
            },
        ),
        10 => (HAVE, thing(dice, THINGS)),
        _ => (*dice.one(&[BUY, SELL, SEE, BRING]), thing(dice, THINGS)),
    }
}

/// Something somebody does without an object.
fn activity(dice: &mut Dice) -> Verb {
    *dice.one(&[WORK, WAIT, SLEEP, PLAY, STAY])
}

// ---- patterns ----

/// "my sister buys twelve apples at the market on monday"
fn transitive(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let (verb, object) = action(dice);
    let adverb = if dice.chance(0.15) {
        (*dice.one(ADVERBS)).into()
    } else {
        Phrase::default()
    };
    let time = if dice.chance(0.6) && adverb == Phrase::default() {
        time(dice)
    } else {
        Phrase::default()
    };
    let object = object.phrase(Case::Accusative);
    // One brings something to somebody, not at a place.
    let placed = dice.chance(0.4) && verb.en != BRING.en;
    let rest = if placed { object.then(&somewhere(dice)) } else { object };
    let time_first = time != Phrase::default() && dice.chance(0.25);
    let clause = Clause {
        subject,
        verb,
        adverb,
        time,
        rest,
    };
    if time_first {
        clause.time_first()
    } else {
        clause.statement()
    }
}

/// "the children play in the park every day"
fn intransitive(dice: &mut Dice) -> Phrase {
    let (subject, verb) = if dice.chance(0.25) {
        (Subject::of(&animal(dice)), *dice.one(&[WAIT, SLEEP, PLAY, STAY]))
    } else {
        (person(dice), activity(dice))
    };
    let (adverb, time) = if dice.chance(0.3) {
        ((*dice.one(ADVERBS)).into(), in_month(dice))
    } else {
        (Phrase::default(), time(dice))
    };
    let clause = Clause {
        subject,
        verb,
        adverb,
        time,
        rest: somewhere(dice),
    };
    if dice.chance(0.25) {
        clause.time_first()
    } else {
        clause.statement()
    }
}

/// "my friends live in a small house near the bridge"
fn residence(dice: &mut Dice) -> Phrase {
    let home = match dice.between(0, 2) {
        0 => {
            let [en, de, fr] = *dice.one(CITIES);
            phrase(format!("in {en}"), format!("in {de}"), format!("à {fr}"))
        }
        1 => {
            let building = dice.one(BUILDINGS);
            let np = NounPhrase {
                adjective: dice.chance(0.6).then(|| dice.word(SIZES)),
                ..the(building)
            };
            with_preposition(["near", "bei", "près de"], &np, Case::Dative)
        }
        _ => {
            let adjective = if dice.chance(0.5) {
                dice.one(&SIZES[..5])
            } else {
                dice.word(COLOURS)
            };
            let house = NounPhrase {
                determiner: Determiner::A,
                adjective: Some(adjective),
                ..the(&BUILDINGS[0])
            };
            let home = with_preposition(["in", "in", "dans"], &house, Case::Dative);
            if dice.chance(0.5) {
                let near = with_preposition(
                    ["near", "bei", "près de"],
                    &the(dice.one(&BUILDINGS[1..])),
                    Case::Dative,
                );
                home.then(&near)
            } else {
                home
            }
        }
    };
    let none = Phrase::default();
    Clause {
        subject: person(dice),
        verb: LIVE,
        adverb: none.clone(),
        time: none,
        rest: home,
    }
    .statement()
}

/// "we go to the beach by train in july"
fn motion(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let time = time(dice);
    let place = to_somewhere(dice);
    let within_reach = place.en.ends_with("kitchen") || place.en.ends_with("garden");
    if dice.chance(0.6) && !within_reach {
        let [en, de, fr] = *dice.one(VEHICLES);
        // German says the means before the goal.
        let rest = phrase(
            format!("{} {en}", place.en),
            format!("{de} {}", place.de),
            format!("{} {fr}", place.fr),
        );
        Clause {
            subject,
            verb: RIDE,
            adverb: Phrase::default(),
            time,
            rest,
        }
        .statement()
    } else {
        let verb = *dice.one(&[GO, COME, COME]);
        // `nach` a city one rides, even if English goes there.
        let verb = if verb.en[0] == "go" && place.de.starts_with("nach") {
            RIDE
        } else {
            verb
        };
        Clause {
            subject,
            verb,
            adverb: Phrase::default(),
            time,
            rest: place,
        }
        .statement()
    }
}

/// "peter wants to read this book tomorrow"
fn modal(dice: &mut Dice) -> Phrase {
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
    Clause {
        subject,
        verb,
        adverb: Phrase::default(),
        time,
        rest: object.phrase(Case::Accusative),
    }
    .under(&modal)
}

/// "anna gives her brother a red hat"
fn giving(dice: &mut Dice) -> Phrase {
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
        NounPhrase {
            determiner: own,
            adjective: None,
            noun,
            number: number_of(dice, noun),
        }
    } else {
        stranger(dice)
    };
    let rest = phrase(
        format!("{} {}", receiver.english(), object.english()),
        format!("{} {}", receiver.german(Case::Dative), object.german(Case::Accusative)),
        format!("{} à {}", object.french(), receiver.french()),
    );
    let time = if dice.chance(0.5) {
        plan(dice)
    } else {
        Phrase::default()
    };
    Clause {
        subject,
        verb,
        adverb: Phrase::default(),
        time,
        rest,
    }
    .statement()
}

/// "the old church is very beautiful"; "my brother is tired today"
fn description(dice: &mut Dice) -> Phrase {
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
    let time = if MOODS.iter().any(|mood| mood.en == adjective.en) {
        moment.into()
    } else {
        Phrase::default()
    };
    Clause {
        subject,
        verb: BE,
        adverb: Phrase::default(),
        time,
        rest,
    }
    .statement()
}

/// "my key is under the table in the kitchen"
fn location(dice: &mut Dice) -> Phrase {
    let item = if dice.chance(0.3) {
        animal(dice)
    } else {
        known_thing(dice)
    };
    let subject = if dice.chance(0.3) {
        somebody(dice)
    } else {
        Subject::of(&item)
    };
    let stands_alone = subject.words.en != item.english() || LARGE.contains(&item.noun.en[0]);
    let (preposition, noun) = if stands_alone {
        (*dice.one(BY_BUILDINGS), dice.word(BUILDINGS))
    } else {
        (*dice.one(ON_THINGS), dice.word(SUPPORTS))
    };
    let adjective = dice.chance(0.4).then(|| {
        if stands_alone {
            dice.word(SIZES)
        } else {
            dice.word(COLOURS)
        }
    });
    let place = with_preposition(preposition, &NounPhrase { adjective, ..the(noun) }, Case::Dative);
    let time = if dice.chance(0.2) {
        phrase("now", "jetzt", "maintenant")
    } else {
        Phrase::default()
    };
    Clause {
        subject,
        verb: BE,
        adverb: Phrase::default(),
        time,
        rest: place,
    }
    .statement()
}

/// "there are seventeen chairs in the library"
fn existence(dice: &mut Dice) -> Phrase {
    let (noun, most) = *dice.one(&[
        (&THINGS[1], 99),
        (&THINGS[2], 99),
        (&ANIMALS[0], 9),
        (&ANIMALS[1], 9),
        (&ANIMALS[2], 50),
    ]);
    // Blue cats and green dogs are for other grammars.
    let coloured = if noun.de[1] == "stühle" || noun.de[1] == "blumen" {
        COLOURS
    } else {
        &COLOURS[3..5]
    };
    let adjective = dice.chance(0.4).then(|| {
        if dice.chance(0.5) {
            dice.word(coloured)
        } else {
            dice.word(SIZES)
        }
    });
    let many = count(dice).min(most);
    let np = NounPhrase {
        determiner: Determiner::Count(many),
        adjective,
        noun,
        number: Number::Plural,
    };
    let place = at(dice.word(PLACES));
    phrase("there are", "es gibt", "il y a")
        .then(&np.phrase(Case::Accusative))
        .then(&place)
}

/// "this red bicycle costs ninety euros and fifty cents"
fn price(dice: &mut Dice) -> Phrase {
    let np = NounPhrase {
        adjective: dice.chance(0.5).then(|| dice.word(COLOURS)),
        ..known_thing(dice)
    };
    let np = if dice.chance(0.5) {
        NounPhrase {
            determiner: Determiner::The,
            ..np
        }
    } else {
        np
    };
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
        rest = rest.then(&phrase(
            format!("and {en} cents"),
            format!("und {de} cent"),
            format!("et {fr} centimes"),
        ));
    }
    let none = Phrase::default();
    Clause {
        subject: Subject::of(&np),
        verb: COST,
        adverb: none.clone(),
        time: none,
        rest,
    }
    .statement()
}

/// "in january it snows in berlin"; "it is twelve degrees in paris today"
fn weather(dice: &mut Dice) -> Phrase {
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
    let Weather {
        en,
        de: [subject, verb, predicate],
        fr,
        seasons,
    } = *dice.one(WEATHER);
    let time = if dice.chance(0.5) || seasons.is_empty() {
        on_day(dice)
    } else {
        (*dice.one(seasons)).into()
    };
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

/// "turn left after the bridge"; "walk two hundred metres to the church"
fn directions(dice: &mut Dice) -> Phrase {
    let building = &the(dice.word(BUILDINGS));
    match dice.between(0, 3) {
        0 => {
            let [en, de, fr] = *dice.one(SIDES);
            let landmark = with_preposition(*dice.one(ALONG), building, Case::Dative);
            phrase(
                format!("please turn {en} {}", landmark.en),
                format!("bitte bieg {} {de} ab", landmark.de),
                format!("tourne {fr} {} s'il te plaît", landmark.fr),
            )
        }
        1 => {
            let metres = dice.between(1, 9) * 100;
            phrase(
                format!("walk {} metres to", spell_number(u64::from(metres))),
                format!("geh {} meter bis zu", spell_german(metres)),
                format!("marche {} mètres jusque à", spell_french(metres, Gender::M)),
            )
            .then(&building.phrase(Case::Dative))
        }
        2 => {
            let [en, de, fr] = *dice.one(SIDES);
            phrase("go straight to", "geh geradeaus bis zu", "va tout droit jusque à")
                .then(&building.phrase(Case::Dative))
                .then(&phrase(
                    format!("and turn {en}"),
                    format!("und bieg {de} ab"),
                    format!("et tourne {fr}"),
                ))
        }
        _ => {
            let [en, de, fr] = *dice.one(SIDES);
            let place = loop {
                let noun = &dice.word(PLACES).noun;
                if noun.en != building.noun.en {
                    break the(noun).phrase(Case::Nominative);
                }
            };
            let landmark = with_preposition(ALONG[1], building, Case::Dative);
            phrase(
                format!("{} is on the {en} {}", place.en, landmark.en),
                format!("{} ist {de} {}", place.de, landmark.de),
                format!("{} est {fr} {}", place.fr, landmark.fr),
            )
        }
    }
}

/// "the museum opens at nine on tuesday"
fn opening_hours(dice: &mut Dice) -> Phrase {
    let place = the(dice.word(OPEN_TO_PUBLIC)).phrase(Case::Nominative);
    let (hour, day) = (at_hour(dice), on_day(dice));
    let [en, de, fr] = *dice.one(&[["opens", "öffnet", "ouvre"], ["closes", "schließt", "ferme"]]);
    phrase(
        format!("{} {en} {} {}", place.en, hour.en, day.en),
        format!("{} {de} {} {}", place.de, day.de, hour.de),
        format!("{} {fr} {} {}", place.fr, day.fr, hour.fr),
    )
}

/// "the train to berlin leaves at seven on friday"
fn departure(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(CITIES);
    let (hour, time) = (at_hour(dice), on_day(dice));
    let [vehicle_en, vehicle_de, vehicle_fr] = *dice.one(&[
        ["train", "der zug", "le train"],
        ["bus", "der bus", "le bus"],
        ["boat", "das boot", "le bateau"],
    ]);
    phrase(
        format!("the {vehicle_en} to {en} leaves {} {}", hour.en, time.en),
        format!("{vehicle_de} nach {de} fährt {} {} ab", time.de, hour.de),
        format!("{vehicle_fr} pour {fr} part {} {}", time.fr, hour.fr),
    )
}

/// "my brother is twelve years old"
fn age(dice: &mut Dice) -> Phrase {
    let (subject, years) = match dice.between(0, 4) {
        0 | 1 => (name(dice), dice.between(3, 99)),
        2 | 3 => {
            let np = NounPhrase {
                number: Number::Singular,
                ..relative(dice)
            };
            (Subject::of(&np), dice.between(20, 89))
        }
        _ => (Subject::of(&the(&PEOPLE[4])), dice.between(3, 17)),
    };
    phrase(
        format!("{} is {} years old", subject.words.en, spell_number(u64::from(years))),
        format!("{} ist {} jahre alt", subject.words.de, spell_german(years)),
        format!("{} a {} ans", subject.words.fr, spell_french(years, Gender::M)),
    )
}

/// "my number is three two seven five nine"
fn digits(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(&[
        ["my number is", "meine nummer ist", "mon numéro est le"],
        ["your number is", "deine nummer ist", "ton numéro est le"],
        ["the number is", "die nummer ist", "le numéro est le"],
        ["our number is", "unsere nummer ist", "notre numéro est le"],
    ]);
    let mut words = phrase(en, de, fr);
    for _ in 0..dice.between(4, 7) {
        let digit = dice.between(0, 9);
        words = words.then(&phrase(
            spell_number(u64::from(digit)),
            spell_german(digit),
            spell_french(digit, Gender::M),
        ));
    }
    words
}

/// "we stay three weeks in berlin"; "please wait twenty minutes at the station"
fn duration(dice: &mut Dice) -> Phrase {
    let short = dice.chance(0.5);
    let unit = &DURATIONS[usize::from(!short)];
    let determiner = Determiner::Count(dice.between(2, 20));
    let span = NounPhrase {
        determiner,
        adjective: None,
        noun: unit,
        number: Number::Plural,
    }
    .phrase(Case::Accusative);
    let place = somewhere(dice);
    if short && dice.chance(0.5) {
        phrase("please wait", "bitte warte", "attends")
            .then(&span)
            .then(&place)
            .then(&phrase("", "", "s'il te plaît"))
    } else {
        let none = Phrase::default();
        let verb = if short {
            *dice.one(&[SLEEP, WAIT, WORK, PLAY])
        } else {
            *dice.one(&[STAY, WORK])
        };
        Clause {
            subject: person(dice),
            verb,
            adverb: none.clone(),
            time: none,
            rest: span.then(&place),
        }
        .statement()
    }
}

/// "my father does not drink coffee in the evening"
fn negation(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let (verb, nouns) = *dice.one(&[(DRINK, DRINKS), (EAT, FOODS), (BUY, FOODS), (SELL, FOODS)]);
    let noun = dice.word(nouns);
    let object = NounPhrase {
        determiner: Determiner::No,
        adjective: None,
        noun,
        number: number_of(dice, noun),
    };
    let time = if dice.chance(0.5) {
        on_day(dice)
    } else {
        (*dice.one(PLANS)).into()
    };
    let auxiliary = if subject.person == Person::Third { "does" } else { "do" };
    let Phrase { en, de, fr } = &subject.words;
    phrase(
        format!("{en} {auxiliary} not {} {} {}", verb.en[0], object.english(), time.en),
        format!(
            "{de} {} {} {}",
            verb.german(subject.person),
            time.de,
            object.german(Case::Accusative)
        ),
        format!(
            "{fr} ne {} pas {} {}",
            verb.french(subject.person),
            object.french(),
            time.fr
        ),
    )
}

/// "anna drinks tea because she is ill"
fn reason(dice: &mut Dice) -> Phrase {
    let subject = somebody(dice);
    let mood = dice.word(MOODS);
    let pronoun = subject.pronoun();
    let because = phrase(
        format!("because {} {} {}", pronoun.en, BE.english(subject.person), mood.en),
        format!("weil {} {} {}", pronoun.de, mood.de, BE.german(subject.person)),
        format!(
            "parce que {} {} {}",
            pronoun.fr,
            BE.french(subject.person),
            subject.french_predicate(mood)
        ),
    );
    let none = Phrase::default();
    let (verb, rest) = match mood.en {
        "tired" => (*dice.one(&[SLEEP, STAY, WAIT]), at(dice.word(PLACES))),
        "ill" if dice.chance(0.5) => (DRINK, provisions(dice, DRINKS).phrase(Case::Accusative)),
        "ill" => (STAY, at(dice.word(PLACES))),
        _ => (PLAY, at(dice.word(PLACES))),
    };
    Clause {
        subject,
        verb,
        adverb: none.clone(),
        time: none,
        rest,
    }
    .statement()
    .then(&because)
}

/// "when it rains we stay in the library"
fn condition(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let Weather {
        en,
        de: [subject_de, verb_de, predicate],
        fr,
        ..
    } = *dice.one(WEATHER);
    // The German verb closes a subordinate clause.
    let time = phrase(
        format!("when {en}"),
        format!("wenn {subject_de} {predicate} {verb_de}"),
        format!("quand {fr}"),
    );
    let (verb, rest) = if dice.chance(0.4) {
        let (verb, nouns) = *dice.one(&[(DRINK, DRINKS), (EAT, FOODS)]);
        (verb, provisions(dice, nouns).phrase(Case::Accusative))
    } else {
        (activity(dice), at(dice.word(PLACES)))
    };
    Clause {
        subject,
        verb,
        adverb: Phrase::default(),
        time,
        rest,
    }
    .time_first()
}

/// "my father likes coffee but my mother likes tea"
fn contrast(dice: &mut Dice) -> Phrase {
    let half = |subject: Subject, noun: &'static Noun| {
        let number = if noun.en[0].is_empty() {
            Number::Plural
        } else {
            Number::Singular
        };
        let liked = NounPhrase {
            determiner: Determiner::The,
            adjective: None,
            noun,
            number,
        };
        // What one likes in general has an article only in French.
        let bare = NounPhrase {
            determiner: Determiner::Some,
            ..liked
        };
        let rest = phrase(bare.english(), bare.german(Case::Accusative), liked.french());
        let none = Phrase::default();
        Clause {
            subject,
            verb: LIKE,
            adverb: none.clone(),
            time: none,
            rest,
        }
        .statement()
    };
    let nouns = if dice.chance(0.5) { DRINKS } else { FOODS };
    let first = dice.word(nouns);
    let second = loop {
        let noun = dice.word(nouns);
        if noun.en != first.en {
            break noun;
        }
    };
    let one = person(dice);
    let other = loop {
        let other = person(dice);
        if other.words != one.words {
            break other;
        }
    };
    half(one, first)
        .then(&phrase("but", "aber", "mais"))
        .then(&half(other, second))
}

/// Questions of several kinds.
fn question(dice: &mut Dice) -> Phrase {
    let none = Phrase::default();
    match dice.between(0, 7) {
        0 => {
            let np = known_thing(dice);
            let np = NounPhrase {
                adjective: dice.chance(0.6).then(|| adjective_for_things(dice)),
                ..np
            };
            phrase("where is", "wo ist", "où est").then(&np.phrase(Case::Nominative))
        }
        1 => {
            let np = NounPhrase {
                adjective: dice.chance(0.5).then(|| adjective_for_things(dice)),
                ..known_thing(dice)
            };
            let Phrase { en, de, fr } = np.phrase(Case::Nominative);
            phrase(
                format!("how much does {en} cost"),
                format!("wie viel kostet {de}"),
                format!("combien coûte {fr}"),
            )
        }
        2 => {
            let time = time(dice);
            let clause = Clause {
                subject: person(dice),
                verb: activity(dice),
                adverb: none.clone(),
                time,
                rest: none,
            };
            clause.question(&phrase("where", "wo", "où"))
        }
        3 => {
            let (verb, object) = action(dice);
            let rest = object.phrase(Case::Accusative);
            let clause = Clause {
                subject: person(dice),
                verb,
                adverb: none.clone(),
                time: none.clone(),
                rest,
            };
            clause.question(&phrase("when", "wann", "quand"))
        }
        4 => {
            let (verb, object) = action(dice);
            let rest = object.phrase(Case::Accusative);
            let clause = Clause {
                subject: person(dice),
                verb,
                adverb: none.clone(),
                time: time(dice),
                rest,
            };
            clause.question(&none)
        }
        5 => {
            let (verb, object) = action(dice);
            let who = Subject {
                words: phrase("who", "wer", "qui"),
                person: Person::Third,
                feminine: false,
            };
            let rest = object.phrase(Case::Accusative);
            Clause {
                subject: who,
                verb,
                adverb: none,
                time: time(dice),
                rest,
            }
            .statement()
        }
        6 => {
            let noun = *dice.one(&[
                &ANIMALS[0],
                &ANIMALS[1],
                &ANIMALS[2],
                &THINGS[1],
                &THINGS[2],
                &READABLES[0],
                &FOODS[0],
            ]);
            let [en, de, fr] = [noun.en[1], noun.de[1], noun.fr[1]];
            let verb = *dice.one(&[SEE, BUY, SELL]);
            let interrogative = phrase(
                format!("how many {en}"),
                format!("wie viele {de}"),
                format!("combien de {fr}"),
            );
            let rest = if dice.chance(0.6) {
                somewhere(dice)
            } else {
                none.clone()
            };
            Clause {
                subject: person(dice),
                verb,
                adverb: none.clone(),
                time: none,
                rest,
            }
            .question(&interrogative)
        }
        _ => {
            let object = if dice.chance(0.5) {
                thing(dice, THINGS)
            } else {
                provisions(dice, DRINKS)
            };
            phrase(
                format!("can you bring me {} please", object.english()),
                format!("kannst du mir bitte {} bringen", object.german(Case::Accusative)),
                format!("est-ce que tu peux me apporter {} s'il te plaît", object.french()),
            )
        }
    }
}
