//! Writes a folder of recordings to try `vocable prepare` on: three tones of different formats and one broken file.
//!
//! `cargo run -p vocable --example recordings -- demo`, then the command that it prints.

use std::path::PathBuf;

use hound::{SampleFormat, WavSpec, WavWriter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("vocable-recordings"), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let mut manifest = String::new();
    for (name, rate, channels, bits) in [("studio", 44_100, 2, 24), ("phone", 8_000, 1, 16), ("plain", 16_000, 1, 16)] {
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(dir.join(format!("{name}.wav")), spec)?;
        for n in 0..2 * rate {
            let value = 0.3 * (f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin();
            for _ in 0..channels {
                writer.write_sample((value * f64::from(1_u32 << (bits - 1))) as i32)?;
            }
        }
        writer.finalize()?;
        manifest.push_str(&line(name));
    }
    std::fs::write(dir.join("broken.wav"), "a text that calls itself a recording")?;
    manifest.push_str(&line("broken"));
    std::fs::write(dir.join("manifest.jsonl"), manifest)?;
    let dir = dir.display();
    println!("cargo run -p vocable -- prepare jsonl --from {dir}/manifest.jsonl --to {dir}-prepared --skip-bad");
    Ok(())
}

fn line(name: &str) -> String {
    let rest = r#""speaker":"tone","text":"la","seconds":2.0,"split":"train""#;
    format!("{{\"id\":\"{name}\",\"audio\":\"{name}.wav\",{rest}}}\n")
}
