//! Voices of the shipped corpus are learnt, and an interrupted run ends as another one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::Device;
use vocable_data::corpus::Corpus;
use vocable_data::manifest::{Manifest, Split};
use vocable_random::Key;
use vocable_speakers::{SpeakerEncoder, SpeakerTask, SpeakerTraining, XVectorClassifier, XVectorConfig, unit};
use vocable_train::{
    BatchId, Event, Objective, OptimiserConfig, Record, Schedule, TrainConfig, TrainError, save_model, train,
};

fn mini() -> Manifest {
    Manifest::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl")).unwrap()
}

fn task() -> SpeakerTask {
    SpeakerTask {
        model: XVectorConfig { width: 32, ..XVectorConfig::mini() },
        segment: 16_000,
        batch_items: 16,
        ..SpeakerTask::official()
    }
}

fn training(corpus: &Arc<Corpus>) -> SpeakerTraining {
    SpeakerTraining::new(task(), corpus.clone(), Key::new(2), Device::flex().autodiff()).unwrap()
}

fn recipe(updates: usize) -> TrainConfig {
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 2e-6, clip: 0.0 };
    TrainConfig { validate_every: updates, ..TrainConfig::new(updates, 2e-3, Schedule::Constant, adamw) }
}

#[test]
fn recordings_of_a_voice_lie_nearer_to_each_other_than_to_others() {
    let corpus = Arc::new(Corpus::new(mini()));
    let (training, folder) = (training(&corpus), tempfile::tempdir().unwrap());
    let mut accuracy = 0.0;
    let mut observe = |event: Event| {
        if let Event::Recorded { record: Record::Validation { numbers, .. }, .. } = event {
            accuracy = numbers.iter().find(|(name, _)| name == "speakers/accuracy").expect("it is reported").1;
        }
    };
    let model = training.init(Key::new(1));
    let never = AtomicBool::new(false);
    let model = train(&recipe(30), 1, model, &training, folder.path(), &never, &mut observe).unwrap().valid();
    let encoder = SpeakerEncoder::new("", task().model, model.encoder);
    // Sentences that were not trained on, and voices that were.
    let manifest = corpus.manifest();
    let tested: Vec<usize> = manifest.split(Split::TestClean).into_iter().take(24).collect();
    let vectors: Vec<Vec<f32>> =
        tested.iter().map(|&index| unit(&encoder.embed(&corpus.audio(index).unwrap()).unwrap())).collect();
    let speaker = |n: usize| &manifest.utterances[tested[n]].speaker;
    let cosine = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f32>();
    let others = |n: usize| (0..tested.len()).filter(move |&m| m != n);
    let nearest = |n: usize| others(n).max_by(|&a, &b| cosine(n, a).total_cmp(&cosine(n, b))).unwrap();
    let same = (0..tested.len()).filter(|&n| speaker(nearest(n)) == speaker(n)).count();
    let voices = training.speakers().len();
    assert!(voices > 2, "{voices} voices");
    // By chance the nearest would be of the same voice about once in so many voices.
    assert!(same * 10 >= tested.len() * 9, "{same} of {}", tested.len());
    assert!(accuracy > 0.8, "{accuracy}");
}

#[test]
fn an_interrupted_run_ends_as_another_one() {
    let corpus = Arc::new(Corpus::new(mini()));
    let (training, folder) = (training(&corpus), tempfile::tempdir().unwrap());
    let run = |name: &str, stop: usize| {
        let interrupt = AtomicBool::new(false);
        let mut observe = |event: Event| {
            if matches!(event, Event::Recorded { record, .. } if record.update() == stop) {
                interrupt.store(true, Ordering::Relaxed);
            }
        };
        let path = folder.path().join(name);
        train(&recipe(4), 1, training.init(Key::new(1)), &training, &path, &interrupt, &mut observe)
    };
    let bytes = |model: XVectorClassifier| {
        let path = folder.path().join("model.safetensors");
        save_model(&model, &path).unwrap();
        std::fs::read(path).unwrap()
    };
    let whole = bytes(run("whole", usize::MAX).unwrap());
    assert!(matches!(run("broken", 2), Err(TrainError::Interrupted { update: 2, .. })));
    assert!(bytes(run("broken", usize::MAX).unwrap()) == whole, "another model was learnt");
}

#[test]
fn crops_of_a_batch_are_as_long_as_its_shortest_recording() {
    let mut manifest = mini();
    manifest.utterances.truncate(40);
    manifest.utterances[0].seconds = 0.4;
    let left_out = manifest.utterances[0].id.clone();
    let training = training(&Arc::new(Corpus::new(manifest)));
    assert_eq!(training.notes(), [format!("left out 1 of 40 utterances, shorter than 8000 samples: {left_out}")]);
    for update in 0..6 {
        let batch = training.prepare(BatchId::Train { update, micro: 0 }).unwrap();
        assert!(!batch.utterances.contains(&left_out) && batch.sequences[0].padding() == 0.0);
    }
}

#[test]
fn what_cannot_be_trained_is_named() {
    let mut manifest = mini();
    manifest.utterances.retain(|utterance| utterance.speaker == "slt");
    let new = |task, manifest| {
        let device = Device::flex().autodiff();
        SpeakerTraining::new(task, Arc::new(Corpus::new(manifest)), Key::new(1), device).unwrap_err().to_string()
    };
    assert!(new(task(), manifest).contains("has 1 voices; two are needed"));
    let message = new(SpeakerTask { segment: 400, ..task() }, mini());
    assert!(message.contains("crops of 400 samples"), "{message}");
    let mut even = task();
    even.model.layers[0].kernel = 4;
    assert!(new(even, mini()).contains("a kernel of 4"));
}
