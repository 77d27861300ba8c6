//! How large the states of every layer are for a recording: `states FOLDER RECORDING`.

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use vocable_hubert::{Hubert, RATE};

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().unwrap_or_else(|| fixtures.join("hubert/safetensors"));
    let recording = arguments.next().unwrap_or_else(|| fixtures.join("hf/asr_0.wav"));
    let hubert = Hubert::open(folder, &Device::flex())?;
    let samples = vocable_audio::read(recording)?.expect_rate(RATE)?.samples;
    for layer in 1..=hubert.config.num_hidden_layers {
        let states = hubert.hidden_states(&samples, layer)?;
        let square = states.data.iter().map(|value| value * value).sum::<f32>() / states.data.len() as f32;
        println!("layer {layer}: {} frames of {} values of about {:.3}", states.len(), states.width, square.sqrt());
    }
    Ok(())
}
