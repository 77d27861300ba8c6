//! Questions.

use super::clause::Clause;
use super::parts::*;
use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::phrase::{NounPhrase, Phrase, Subject, phrase};
use crate::grammar::word::{Case, Person};

/// Questions of several kinds.
pub fn question(dice: &mut Dice) -> Phrase {
    let none = Phrase::default();
    match dice.between(0, 7) {
        0 => {
            let np = known_thing(dice);
            let np = NounPhrase { adjective: dice.chance(0.6).then(|| adjective_for_things(dice)), ..np };
            phrase("where is", "wo ist", "où est").then(&np.phrase(Case::Nominative))
        }
        1 => {
            let np =
                NounPhrase { adjective: dice.chance(0.5).then(|| adjective_for_things(dice)), ..known_thing(dice) };
            let Phrase { en, de, fr } = np.phrase(Case::Nominative);
            phrase(format!("how much does {en} cost"), format!("wie viel kostet {de}"), format!("combien coûte {fr}"))
        }
        2 => {
            let time = time(dice);
            let clause = Clause::new(person(dice), activity(dice), none).when(time);
            clause.question(&phrase("where", "wo", "où"))
        }
        3 => {
            let (verb, object) = action(dice);
            let rest = object.phrase(Case::Accusative);
            let clause = Clause::new(person(dice), verb, rest);
            clause.question(&phrase("when", "wann", "quand"))
        }
        4 => {
            let (verb, object) = action(dice);
            let rest = object.phrase(Case::Accusative);
            let clause = Clause::new(person(dice), verb, rest).when(time(dice));
            clause.question(&none)
        }
        5 => {
            let (verb, object) = action(dice);
            let who = Subject { words: phrase("who", "wer", "qui"), person: Person::Third, feminine: false };
            let rest = object.phrase(Case::Accusative);
            Clause::new(who, verb, rest).when(time(dice)).statement()
        }
        6 => {
            let noun = *dice.one(&[DOG, CAT, BIRD, CHAIR, FLOWER, BOOK, APPLES]);
            let [en, de, fr] = [noun.en[1], noun.de[1], noun.fr[1]];
            let verb = *dice.one(&[SEE, BUY, SELL]);
            let interrogative = phrase(format!("how many {en}"), format!("wie viele {de}"), format!("combien de {fr}"));
            let rest = if dice.chance(0.6) { somewhere(dice) } else { none.clone() };
            Clause::new(person(dice), verb, rest).question(&interrogative)
        }
        _ => {
            let object = if dice.chance(0.5) { thing(dice, THINGS) } else { provisions(dice, DRINKS) };
            phrase(
                format!("can you bring me {} please", object.english()),
                format!("kannst du mir bitte {} bringen", object.german(Case::Accusative)),
                format!("est-ce que tu peux me apporter {} s'il te plaît", object.french()),
            )
        }
    }
}
