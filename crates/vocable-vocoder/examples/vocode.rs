//! A recording through its log-mel and back: `vocode RECORDING OUT.wav [VOCODER_DIR]`, without arguments a tone.

use std::error::Error;

use burn::tensor::Device;
use vocable_audio::{LogMel, read, resample, write_wav};
use vocable_random::Key;
use vocable_vocoder::Vocoder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let log_mel = LogMel::default();
    let rate = log_mel.config().rate;
    let samples = match arguments.first() {
        Some(path) => {
            let audio = read(path)?;
            resample(&audio.samples, audio.rate, rate)
        }
        None => (0..rate).map(|n| 0.3 * (n as f32 * 0.2).sin()).collect(),
    };
    let frames = log_mel.log_mel(&samples);
    let vocoder = match arguments.get(2) {
        Some(folder) => Vocoder::open(folder, &Device::flex())?,
        None => Vocoder::griffin_lim(LogMel::default()),
    };
    let again = vocoder.samples(&frames, Key::new(1));
    println!("{}: {} frames, {} samples at {} Hz", vocoder.kind(), frames.len(), again.len(), vocoder.rate());
    if let Some(path) = arguments.get(1) {
        write_wav(path, &again, vocoder.rate())?;
    }
    Ok(())
}
