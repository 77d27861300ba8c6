//! Sentences of two clauses.

use super::clause::Clause;
use super::parts::*;
use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::phrase::{Determiner, NounPhrase, Phrase, Subject, phrase};
use crate::grammar::word::{Case, Noun, Number};

/// "anna drinks tea because she is ill"
pub fn reason(dice: &mut Dice) -> Phrase {
    let subject = somebody(dice);
    let mood = dice.word(MOODS);
    let pronoun = subject.pronoun();
    let because = phrase(
        format!("because {} {} {}", pronoun.en, BE.english(subject.person), mood.en),
        format!("weil {} {} {}", pronoun.de, mood.de, BE.german(subject.person)),
        format!("parce que {} {} {}", pronoun.fr, BE.french(subject.person), subject.french_predicate(mood)),
    );
    let (verb, rest) = match mood.en {
        "tired" => (*dice.one(&[SLEEP, STAY, WAIT]), at(dice.word(PLACES))),
        "ill" if dice.chance(0.5) => (DRINK, provisions(dice, DRINKS).phrase(Case::Accusative)),
        "ill" => (STAY, at(dice.word(PLACES))),
        _ => (PLAY, at(dice.word(PLACES))),
    };
    Clause::new(subject, verb, rest).statement().then(&because)
}

/// "when it rains we stay in the library"
pub fn condition(dice: &mut Dice) -> Phrase {
    let subject = person(dice);
    let Weather { en, de: [subject_de, verb_de, predicate], fr, .. } = *dice.one(WEATHER);
    // The German verb closes a subordinate clause.
    let time = phrase(format!("when {en}"), format!("wenn {subject_de} {predicate} {verb_de}"), format!("quand {fr}"));
    let (verb, rest) = if dice.chance(0.4) {
        let (verb, nouns) = *dice.one(&[(DRINK, DRINKS), (EAT, FOODS)]);
        (verb, provisions(dice, nouns).phrase(Case::Accusative))
    } else {
        (activity(dice), at(dice.word(PLACES)))
    };
    Clause::new(subject, verb, rest).when(time).time_first()
}

/// "my father likes coffee but my mother likes tea"
pub fn contrast(dice: &mut Dice) -> Phrase {
    let half = |subject: Subject, noun: &'static Noun| {
        let number = if noun.en[0].is_empty() { Number::Plural } else { Number::Singular };
        let liked = NounPhrase::new(Determiner::The, noun, number);
        // What one likes in general has an article only in French.
        let bare = NounPhrase { determiner: Determiner::Some, ..liked };
        let rest = phrase(bare.english(), bare.german(Case::Accusative), liked.french());
        Clause::new(subject, LIKE, rest).statement()
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
    half(one, first).then(&phrase("but", "aber", "mais")).then(&half(other, second))
}
