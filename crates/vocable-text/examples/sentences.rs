//! Prints sentences of the grammar in three languages.
use vocable_random::Key;
use vocable_text::grammar::Grammar;

fn main() {
    let n = std::env::args().nth(1).map_or(10, |n| n.parse().expect("a number of sentences"));
    for sentence in Grammar::default().sentences(Key::new(1)).take(n) {
        println!("{}\t{}\t{}", sentence.en, sentence.de, sentence.fr);
    }
}
