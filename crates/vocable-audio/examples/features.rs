//! Reads a recording (or makes a tone), prints its features' shapes and writes what Griffin–Lim makes of its log-mel.
//!
//! `cargo run -p vocable-audio --example features [FILE]`

use std::error::Error;

use vocable_audio::{GriffinLim, LogMel, Mfcc, mel_cepstrum, read, resample, write_wav};
use vocable_random::Key;

const RATE: u32 = 16_000;

fn main() -> Result<(), Box<dyn Error>> {
    let samples = match std::env::args().nth(1) {
        Some(path) => {
            let audio = read(path)?;
            println!("{}: {:.2} s at {} Hz", audio.path.display(), audio.seconds(), audio.rate);
            resample(&audio.samples, audio.rate, RATE)
        }
        None => (0..RATE).map(|n| 0.3 * (n as f32 * 0.05).sin() + 0.2 * (n as f32 * 0.15).sin()).collect(),
    };

    let log_mel = LogMel::default().log_mel(&samples);
    println!("log-mel           [{}, {}]", log_mel.len(), log_mel.width);
    let cepstrum = mel_cepstrum(&log_mel, 24);
    println!("mel-cepstrum      [{}, {}]", cepstrum.len(), cepstrum.width);
    let mfcc = Mfcc::new(RATE).mfcc_with_deltas(&samples);
    println!("MFCC with deltas  [{}, {}]", mfcc.len(), mfcc.width);

    let path = std::env::temp_dir().join("vocable-features.wav");
    write_wav(&path, &GriffinLim::new(LogMel::default(), 32).samples(&log_mel, Key::new(1)), RATE)?;
    println!("Griffin-Lim       {}", path.display());
    Ok(())
}
