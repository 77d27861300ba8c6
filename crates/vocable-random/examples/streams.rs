//! Every draw follows from a seed and a path of names: the order of the calls does not matter.

use rand::RngExt;
use vocable_random::{Key, hash32};

fn main() {
    let run = Key::new(1337);
    for step in [2_usize, 0, 1] {
        let key = run.fold("crop").fold(step);
        println!("step {step}: crop starts at {}", key.rng().random_range(0..16_000));
    }
    let mask: Vec<u8> = (0..16).map(|n| u8::from(hash32(run.fold("dropout").seed(), n) >> 31 == 0)).collect();
    println!("a dropout mask: {mask:?}");
}
