//! Sentence patterns: each draws its words and lays them out in the word order of every language.

mod clause;
mod compounds;
mod doings;
mod parts;
mod questions;
mod states;
mod travel;

use super::dice::Dice;
use super::phrase::Phrase;

/// A sentence of any pattern.
pub fn any(dice: &mut Dice) -> Phrase {
    // How often each pattern is drawn, relative to the others.
    type Pattern = fn(&mut Dice) -> Phrase;
    const PATTERNS: [(u32, Pattern); 22] = [
        (14, doings::transitive),
        (8, doings::intransitive),
        (4, doings::residence),
        (6, doings::motion),
        (6, doings::modal),
        (5, doings::giving),
        (4, states::description),
        (6, states::location),
        (5, states::existence),
        (7, states::price),
        (5, states::weather),
        (5, travel::directions),
        (4, travel::opening_hours),
        (3, travel::departure),
        (3, states::age),
        (3, states::digits),
        (4, doings::duration),
        (3, doings::negation),
        (4, compounds::reason),
        (4, compounds::condition),
        (4, compounds::contrast),
        (10, questions::question),
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
