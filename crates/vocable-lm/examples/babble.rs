//! A language model that learns some sentences by heart, and how probable it finds others.

use std::error::Error;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::Device;
use vocable_lm::{LanguageModelling, LmConfig, LmTask, log_likelihood};
use vocable_random::Key;
use vocable_text::CharVocabulary;
use vocable_train::{OptimiserConfig, Schedule, TrainConfig, train};

const LINES: [&str; 4] = ["three red hats", "two blue shoes", "one green coat", "four red shoes"];

fn main() -> Result<(), Box<dyn Error>> {
    let vocabulary = CharVocabulary::from_lines(LINES);
    let encode = |lines: &[&str]| lines.iter().map(|line| vocabulary.encode(line)).collect::<Vec<_>>();
    let marks = [vocabulary.eos(), vocabulary.pad()];
    let config = LmConfig { layers: 2, width: 32, feed_forward: 64, heads: 2, dropout: 0.0, ..LmConfig::mini() };
    let task = LmTask { model: config, batch_tokens: 128, ..LmTask::official() };
    let device = Device::flex().autodiff();
    let model = task.model.init(vocabulary.len(), vocabulary.pad(), Key::new(1), &device);
    let objective = LanguageModelling::new(&task, encode(&LINES), Vec::new(), marks, Key::new(2), device.clone())?;
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.0, clip: 1.0 };
    let recipe = TrainConfig::new(150, 1e-2, Schedule::Linear { warmup: 0.1 }, adamw);
    let folder = tempfile::tempdir()?;
    let model = train(&recipe, 1, model, &objective, folder.path(), &AtomicBool::new(false), &mut |_| {})?.valid();
    for line in ["three red hats", "three red shoes", "stah der eerht"] {
        let found = log_likelihood(&model, &encode(&[line]), marks, 1, &device.clone().inner());
        println!("{line}: {:.2} per character", found.perplexity());
    }
    Ok(())
}
