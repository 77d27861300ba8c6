//! Ways, opening hours and departures.

use super::parts::*;
use crate::grammar::dice::Dice;
use crate::grammar::lexicon::*;
use crate::grammar::numbers::{spell_french, spell_german, spell_number};
use crate::grammar::phrase::{Phrase, phrase};
use crate::grammar::word::{Case, Gender};

/// "turn left after the bridge"; "walk two hundred metres to the church"
pub fn directions(dice: &mut Dice) -> Phrase {
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
                .then(&phrase(format!("and turn {en}"), format!("und bieg {de} ab"), format!("et tourne {fr}")))
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
pub fn opening_hours(dice: &mut Dice) -> Phrase {
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
pub fn departure(dice: &mut Dice) -> Phrase {
    let [en, de, fr] = *dice.one(CITIES);
    let (hour, time) = (at_hour(dice), on_day(dice));
    let [vehicle_en, vehicle_de, vehicle_fr] =
        *dice.one(&[["train", "der zug", "le train"], ["bus", "der bus", "le bus"], ["boat", "das boot", "le bateau"]]);
    phrase(
        format!("the {vehicle_en} to {en} leaves {} {}", hour.en, time.en),
        format!("{vehicle_de} nach {de} fährt {} {} ab", time.de, hour.de),
        format!("{vehicle_fr} pour {fr} part {} {}", time.fr, hour.fr),
    )
}
