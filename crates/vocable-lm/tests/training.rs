//! The objective: what is learnt by heart, what a part of the batch changes, and how the whole is scored.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::Device;
use vocable_lm::{LanguageModelling, LmConfig, LmTask, TransformerLm, log_likelihood};
use vocable_random::Key;
use vocable_text::CharVocabulary;
use vocable_train::{BatchId, Event, Objective, OptimiserConfig, Record, Schedule, TrainConfig, save_model, train};

const LINES: [&str; 4] = ["three red hats", "two blue shoes", "one", "a much longer green coat"];

fn sentences() -> (Vec<Vec<u32>>, CharVocabulary) {
    let vocabulary = CharVocabulary::from_lines(LINES);
    (LINES.iter().map(|line| vocabulary.encode(line)).collect(), vocabulary)
}

fn task(model: LmConfig) -> LmTask {
    LmTask { model, batch_tokens: 64, ..LmTask::official() }
}

fn small() -> LmConfig {
    LmConfig { layers: 2, width: 32, feed_forward: 64, heads: 2, ..LmConfig::mini() }
}

fn run(config: LmConfig, updates: usize, folder: &Path, observe: &mut dyn FnMut(Event)) -> TransformerLm {
    let (sentences, vocabulary) = sentences();
    let marks = [vocabulary.eos(), vocabulary.pad()];
    let device = Device::flex().autodiff();
    let model = config.init(vocabulary.len(), vocabulary.pad(), Key::new(1), &device);
    let valid = sentences[..1].to_vec();
    let task = task(config);
    let objective = LanguageModelling::new(&task, sentences, valid, marks, Key::new(2), device).unwrap();
    let adamw = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.0, clip: 1.0 };
    let recipe = TrainConfig::new(updates, 1e-2, Schedule::Linear { warmup: 0.1 }, adamw);
    let recipe = TrainConfig { validate_every: updates, ..recipe };
    train(&recipe, 1, model, &objective, folder, &AtomicBool::new(false), &mut |event| observe(event)).unwrap()
}

#[test]
fn a_few_sentences_are_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Vec::new();
    let mut observe = |event: Event| {
        if let Event::Recorded { record: Record::Validation { numbers: found, .. }, .. } = event {
            numbers = found.clone();
        }
    };
    let still = LmConfig { dropout: 0.0, attention_dropout: 0.0, ..small() };
    let model = run(still, 300, folder.path(), &mut observe).valid();
    let (sentences, vocabulary) = sentences();
    let marks = [vocabulary.eos(), vocabulary.pad()];
    let learnt = log_likelihood(&model, &sentences, marks, 4, &Device::flex());
    // All that is uncertain is which of four sentences it is: ln 4 of each of them, which nothing can undercut.
    let least = 4.0 * 4_f64.ln();
    assert!((least - 1e-3..1.2 * least).contains(&learnt.nats), "{learnt:?}");
    let strange = log_likelihood(&model, &[vocabulary.encode("stah der eerht")], marks, 1, &Device::flex());
    assert!(strange.perplexity() > 5.0, "{strange:?}");
    // The validation is the first sentence alone.
    let first = log_likelihood(&model, &sentences[..1], marks, 1, &Device::flex());
    let recorded = numbers.iter().find(|(name, _)| name == "lm/perplexity").expect("it is reported").1;
    assert!((recorded - first.perplexity()).abs() < 1e-4, "{recorded} and {first:?}");
}

#[test]
fn batches_are_scored_as_their_sentences() {
    let (sentences, vocabulary) = sentences();
    let marks = [vocabulary.eos(), vocabulary.pad()];
    let model = small().init(vocabulary.len(), vocabulary.pad(), Key::new(3), &Device::flex());
    let together = log_likelihood(&model, &sentences, marks, 4, &Device::flex());
    let alone = log_likelihood(&model, &sentences, marks, 1, &Device::flex());
    assert_eq!(together.tokens, sentences.iter().map(|sentence| sentence.len() + 1).sum::<usize>());
    // Some sixty log-probabilities in float32.
    assert!((together.nats - alone.nats).abs() < 1e-3, "{together:?} and {alone:?}");
}

#[test]
fn layers_that_run_again_learn_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |recompute: bool, name: &str| {
        let path = folder.path().join(name);
        let model = run(LmConfig { recompute, ..small() }, 3, &folder.path().join(format!("{name}-run")), &mut |_| {});
        save_model(&model, &path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(learnt(false, "kept") == learnt(true, "again"), "another model was learnt");
}

#[test]
fn long_sentences_are_left_out_of_training_and_named() {
    let (sentences, vocabulary) = sentences();
    let (task, marks) = (LmTask { max_tokens: 20, ..task(small()) }, [vocabulary.eos(), vocabulary.pad()]);
    let objective =
        LanguageModelling::new(&task, sentences, Vec::new(), marks, Key::new(1), Device::flex().autodiff()).unwrap();
    assert_eq!(
        objective.notes(),
        ["left out 1 of 4 sentences, longer than max_tokens (or batch_tokens) = 20 tokens: sentence 3"]
    );
    let all = (0..9).flat_map(|update| objective.prepare(BatchId::Train { update, micro: 0 }).unwrap().data);
    assert!(all.into_iter().all(|sentence| sentence.len() < 20));
}
