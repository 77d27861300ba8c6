//! A module under the names of another program: written, then read into a new module.

use std::error::Error;

use burn::module::Module;
use burn::tensor::Device;
use vocable_nn::{Init, Linear};
use vocable_published::{Layout, Names, load, published, visit};
use vocable_random::Key;
use vocable_weights::{Weights, write_safetensors};

/// Two layers.
#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
}

const NAMES: Names = Names { rows: &[("layers.*", "fc*", Layout::Linear)], constants: &["version"], wrapper: None };

fn net(seed: u64) -> Net {
    let init = Init::new(Key::new(seed), &Device::flex());
    Net { layers: vec![Linear::new(3, 5, &init), Linear::without_bias(5, 2, &init)] }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("net.safetensors");
    write_safetensors(&path, published(&net(1), |path| NAMES.names(path).next(), |_| 1), None)?;
    let weights = Weights::open(&path)?;
    let (read, report) = load(&weights, &NAMES, net(2), &[], |name| NAMES.meaning(name))?;
    report.strict(&[], weights.path())?;
    visit(&read, |path, leaf| {
        let (name, _) = NAMES.names(path).next().expect("the table names every parameter");
        println!("{path:16} {name:12} {:?}", leaf.shape());
    });
    Ok(())
}
