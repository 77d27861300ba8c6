//! Word order: one clause laid out as statement, question or under a modal verb.

use crate::grammar::phrase::{Phrase, Subject, phrase};
use crate::grammar::word::{Person, Verb};

/// A clause before its words are put in order.
pub struct Clause {
    subject: Subject,
    verb: Verb,
    /// Between subject and verb in English, after the verb elsewhere.
    adverb: Phrase,
    time: Phrase,
    /// Objects and places.
    rest: Phrase,
}

impl Clause {
    /// Who does what.
    pub fn new(subject: Subject, verb: Verb, rest: Phrase) -> Self {
        Self { subject, verb, adverb: Phrase::default(), time: Phrase::default(), rest }
    }

    /// The clause at a time.
    pub fn when(self, time: Phrase) -> Self {
        Self { time, ..self }
    }

    /// The clause with an adverb.
    pub fn how(self, adverb: Phrase) -> Self {
        Self { adverb, ..self }
    }

    /// Statement with the subject in front.
    pub fn statement(&self) -> Phrase {
        let Self { subject, verb, adverb, time, rest } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!("{en} {} {} {} {}", adverb.en, verb.english(subject.person), rest.en, time.en),
            format!("{de} {} {} {} {}", verb.german(subject.person), time.de, adverb.de, rest.de),
            format!("{fr} {} {} {} {}", verb.french(subject.person), adverb.fr, rest.fr, time.fr),
        )
    }

    /// Statement with the time (or a condition) in front; the German verb stays second.
    pub fn time_first(&self) -> Phrase {
        let Self { subject, verb, adverb, time, rest } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!("{} {en} {} {} {}", time.en, adverb.en, verb.english(subject.person), rest.en),
            format!("{} {} {de} {} {}", time.de, verb.german(subject.person), adverb.de, rest.de),
            format!("{} {fr} {} {} {}", time.fr, verb.french(subject.person), adverb.fr, rest.fr),
        )
    }

    /// The clause under a modal verb: the German infinitive goes last.
    pub fn under(&self, modal: &Verb) -> Phrase {
        let Self { subject, verb, time, rest, .. } = self;
        let Phrase { en, de, fr } = &subject.words;
        phrase(
            format!("{en} {} {} {} {}", modal.english(subject.person), verb.en[0], rest.en, time.en),
            format!("{de} {} {} {} {}", modal.german(subject.person), time.de, rest.de, verb.german_infinitive()),
            format!("{fr} {} {} {} {}", modal.french(subject.person), verb.french_infinitive(), rest.fr, time.fr),
        )
    }

    /// A question, after an interrogative where one is given.
    pub fn question(&self, interrogative: &Phrase) -> Phrase {
        let Self { subject, verb, time, rest, .. } = self;
        let Phrase { en, de, fr } = &subject.words;
        let auxiliary = if subject.person == Person::Third { "does" } else { "do" };
        phrase(
            format!("{} {auxiliary} {en} {} {} {}", interrogative.en, verb.en[0], rest.en, time.en),
            format!("{} {} {de} {} {}", interrogative.de, verb.german(subject.person), time.de, rest.de),
            format!("{} est-ce que {fr} {} {} {}", interrogative.fr, verb.french(subject.person), rest.fr, time.fr),
        )
    }
}
