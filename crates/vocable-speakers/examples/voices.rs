//! A small network learns the shipped voices; how near their recordings are to each other.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::Device;
use vocable_data::corpus::Corpus;
use vocable_data::manifest::{Manifest, Split};
use vocable_random::Key;
use vocable_speakers::{SpeakerEncoder, SpeakerTask, SpeakerTraining, XVectorConfig, unit};
use vocable_train::{OptimiserConfig, Schedule, TrainConfig, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
    let corpus = Arc::new(Corpus::new(Manifest::read(mini)?));
    let task = SpeakerTask { model: XVectorConfig::mini(), batch_items: 16, ..SpeakerTask::official() };
    let training = SpeakerTraining::new(task.clone(), corpus.clone(), Key::new(2), Device::flex().autodiff())?;
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 2e-6, clip: 0.0 };
    let recipe = TrainConfig::new(60, 1e-3, Schedule::Constant, adamw);
    let folder = tempfile::tempdir()?;
    let model = training.init(Key::new(1));
    let model = train(&recipe, 1, model, &training, folder.path(), &AtomicBool::new(false), &mut |_| {})?;
    let encoder = SpeakerEncoder::new(folder.path(), task.model, model.valid().encoder);

    let manifest = corpus.manifest();
    let tested: Vec<usize> = manifest.split(Split::TestClean).into_iter().take(6).collect();
    let vector = |&index: &usize| Ok::<_, Box<dyn Error>>(unit(&encoder.embed(&corpus.audio(index)?)?));
    let vectors = tested.iter().map(vector).collect::<Result<Vec<_>, _>>()?;
    for (index, vector) in tested.iter().zip(&vectors) {
        let cosine = |other: &Vec<f32>| vector.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
        let row: Vec<String> = vectors.iter().map(|other| format!("{:6.3}", cosine(other))).collect();
        println!("{:24}{}", manifest.utterances[*index].id, row.join(""));
    }
    Ok(())
}
