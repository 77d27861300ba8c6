//! Utterances that a task cannot be trained on, and recordings that turn out to be unusable later.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use vocable_audio::{white_noise, write_wav};
use vocable_data::corpus::Corpus;
use vocable_data::manifest::{Manifest, Split, Utterance};
use vocable_random::Key;
use vocable_speecht5::Preset;
use vocable_speecht5::asr::{AsrConfig, Recognition};
use vocable_speecht5::data::Dataset;
use vocable_speecht5::pretrain::{PretrainConfig, Pretraining, TextPart};
use vocable_speecht5::st::{StConfig, Translating};
use vocable_speecht5::to_speech::{Pair, ToSpeech};
use vocable_speecht5::vc::VcConfig;
use vocable_text::CharVocabulary;
use vocable_train::{BatchId, LeftOut, Objective, Unusable};

use super::tiny::{config, device};

const FIRST: BatchId = BatchId::Train { update: 0, micro: 0 };

/// Recordings of so many samples with these texts, by name, each in a voice of its own.
fn dataset(folder: &Path, items: &[(&str, usize, &str)]) -> Arc<Dataset> {
    let utterance = |&(name, samples, text): &(&str, usize, &str)| {
        let file = format!("{name}.wav");
        write_wav(folder.join(&file), &white_noise(samples, Key::new(1)), 16_000).unwrap();
        let seconds = samples as f64 / 16_000.0;
        Utterance { text: text.into(), seconds, ..Utterance::new(name, file, name, Split::Train) }
    };
    let manifest = Manifest { path: folder.join("manifest.jsonl"), utterances: items.iter().map(utterance).collect() };
    // Nothing is kept, so that every batch reads its files.
    let corpus = Corpus::new(manifest).keep(0);
    Arc::new(Dataset::new(corpus, CharVocabulary::from_characters('a'..='z').unwrap(), 4).unwrap())
}

fn recognition(dataset: &Arc<Dataset>, zero_infinity: bool) -> Recognition {
    let recipe = AsrConfig { zero_infinity, ..AsrConfig::base(Preset::Paper) };
    Recognition::in_characters(recipe, config(), dataset.clone(), 0, Key::new(3), device()).unwrap()
}

#[test]
fn what_cannot_be_learned_is_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    // 8000 samples are 24 frames: enough for the beginning of a word and 23 letters, but 13 equal ones need a blank between
    // each two.
    let items = [
        ("good", 8_000, "abc"),
        ("other", 8_000, "abcdefghijklmnopqrstuvw"),
        ("silent", 8_000, ""),
        ("brief", 399, "a"),
        ("hasty", 8_000, "aaaaaaaaaaaaa"),
    ];
    let dataset = dataset(folder.path(), &items);
    let names = |objective: &Recognition| {
        let mut names = objective.prepare(FIRST).unwrap().utterances;
        names.sort();
        names
    };
    let strict = recognition(&dataset, false);
    assert_eq!(names(&strict), ["good", "other"]);
    let notes = strict.notes();
    let said = |words: &str| notes.iter().any(|note| note.contains(words));
    assert!(said("receptive field") && said(": brief"), "{notes:?}");
    assert!(said("too few frames for CTC") && said(": hasty"), "{notes:?}");
    // Where CTC counts nothing for it, the decoder may still learn from it.
    let lenient = recognition(&dataset, true);
    assert_eq!(names(&lenient), ["good", "hasty", "other"]);
    let notes = lenient.notes();
    assert!(notes.iter().any(|note| note.starts_with("CTC counts nothing for 1 training utterance")), "{notes:?}");
}

#[test]
fn a_recording_longer_than_a_batch_is_one_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..8).map(|n| format!("short-{n}")).collect();
    let short = names.iter().map(|name| (name.as_str(), 8_000, "abc"));
    let items: Vec<_> = short.chain([("long", 16_001, "abc"), ("longest", 40_000, "abc")]).collect();
    let dataset = dataset(folder.path(), &items);
    let recipe = AsrConfig { batch_samples: 16_000, ..AsrConfig::base(Preset::Paper) };
    let objective = Recognition::in_characters(recipe, config(), dataset, 0, Key::new(3), device()).unwrap();
    assert_eq!(objective.notes(), [""; 0]);
    let mut heard: Vec<String> = Vec::new();
    let mut largest = 0;
    for update in 0.. {
        let batch = objective.prepare(BatchId::Train { update, micro: 0 }).unwrap().utterances;
        assert!(batch.len() == 1 || batch.iter().all(|name| name.starts_with("short")), "{batch:?}");
        largest = largest.max(batch.len());
        heard.extend(batch);
        if heard.len() >= items.len() {
            break;
        }
    }
    heard.sort();
    let mut all: Vec<&str> = items.iter().map(|(name, ..)| *name).collect();
    all.sort_unstable();
    assert_eq!((heard.iter().map(String::as_str).collect::<Vec<_>>(), largest), (all, 2));
}

#[test]
fn translation_is_not_trained_on_what_is_longer_than_the_recipe_says() {
    let folder = tempfile::tempdir().unwrap();
    let translating = |items: &[(&str, usize, &str)]| {
        let manifest = dataset(folder.path(), items).corpus.manifest().clone();
        let translated = |utterance: Utterance| Utterance { text_de: Some("abc".into()), ..utterance };
        let utterances = manifest.utterances.into_iter().map(translated).collect();
        let corpus = Corpus::new(Manifest { utterances, ..manifest }).keep(0);
        let vocabulary = CharVocabulary::from_characters('a'..='z').unwrap();
        let dataset = Arc::new(Dataset::new(corpus, vocabulary.clone(), 4).unwrap());
        let (recipe, key) = (StConfig::base(Preset::Paper), Key::new(3));
        Translating::new(recipe, config(), dataset, Arc::new(vocabulary), 0, key, device())
    };
    let unusable = [("long", 480_257, "abc"), ("brief", 1_055, "abc")];
    let objective = translating(&[&[("good", 480_256, "abc")], &unusable[..]].concat()).unwrap();
    assert_eq!(objective.prepare(FIRST).unwrap().utterances, ["good"]);
    let notes = objective.notes();
    assert!(notes[0].contains("not of 1056 to 480256 samples") && notes[0].contains("long, brief"), "{notes:?}");
    let error = translating(&unusable).unwrap_err().to_string();
    assert!(
        error.contains("no training utterance has a text that can be used; ") && error.contains("long, brief"),
        "{error}"
    );
}

#[test]
fn conversion_hears_no_less_than_the_receptive_field_and_pairs_no_missing_texts() {
    let folder = tempfile::tempdir().unwrap();
    let items = [("good", 8_000, "abc"), ("brief", 399, "abc"), ("silent", 8_000, ""), ("mute", 8_000, "")];
    let dataset = dataset(folder.path(), &items);
    let vc = ToSpeech::new(VcConfig::base(Preset::Paper), config(), dataset, 0, Key::new(3), device()).unwrap();
    // What is said may be short.
    assert_eq!(vc.prepare(FIRST).unwrap().utterances, ["good → brief"]);
    assert_eq!(vc.test(Split::Train), [Pair { source: 0, target: 1 }]);
    let notes = vc.notes();
    assert!(notes.len() == 1 && notes[0].contains("receptive field: brief → good"), "{notes:?}");
}

#[test]
fn recordings_beyond_half_a_minute_are_no_pairs_of_the_papers_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let items = [("good", 8_000, "abc"), ("other", 8_000, "abc"), ("long", 480_257, "abc")];
    let dataset = dataset(folder.path(), &items);
    let vc = |config| ToSpeech::new(config, self::config(), Arc::clone(&dataset), 0, Key::new(3), device()).unwrap();
    let paper = VcConfig::base(Preset::Paper);
    let notes = vc(paper.clone()).notes();
    assert!(notes.len() == 1 && notes[0].contains("longer than vc.task.max_samples = 480256 samples"), "{notes:?}");
    assert_eq!(vc(VcConfig { max_samples: None, ..paper }).notes(), [""; 0]);
}

#[test]
fn transcripts_are_validated_within_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let validated = |lengths: &[usize], batch_tokens: usize| {
        let texts: Vec<(String, String)> =
            lengths.iter().enumerate().map(|(n, &length)| (format!("u{n}"), "z".repeat(length))).collect();
        let items: Vec<(&str, usize, &str)> =
            texts.iter().map(|(name, text)| (name.as_str(), 400, text.as_str())).collect();
        let mut dataset = Arc::into_inner(dataset(folder.path(), &items)).unwrap();
        let mut manifest = dataset.corpus.manifest().clone();
        manifest.utterances.iter_mut().for_each(|utterance| utterance.split = Split::Valid);
        dataset.corpus = Corpus::new(manifest);
        let text = Some(TextPart { batch_tokens, ..TextPart::base() });
        let recipe = PretrainConfig { speech: None, text, ..PretrainConfig::base(Preset::Paper) };
        let (units, sentences) = (Arc::default(), ["abc".to_owned()]);
        let objective =
            Pretraining::new(recipe, config(), Arc::new(dataset), units, &sentences, Key::new(3), device()).unwrap();
        let batch = |n| objective.prepare(BatchId::Valid(n)).unwrap().utterances.len();
        (0..objective.validation_batches()).map(batch).collect::<Vec<_>>()
    };
    // Three marks beside the letters: 23 of 503 tokens are no more than 12,040, and 703 are more than 600.
    assert_eq!(validated(&[[500; 12].as_slice(), &[700], &[500; 18]].concat(), 12_040), [23, 7]);
    assert_eq!(validated(&[3; 30], 100), [30], "a short batch of training is no measure");
    assert_eq!(validated(&[700], 12_040), [0; 0]);
    assert_eq!(validated(&[0, 3, 0], 12_040), [1], "what has no text is no sentence");
}

#[test]
fn a_recording_that_is_gone_is_left_out_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), &[("one", 8_000, "abc"), ("two", 8_000, "abd"), ("three", 8_000, "abe")]);
    let objective = recognition(&dataset, true);
    assert_eq!(objective.prepare(FIRST).unwrap().utterances.len(), 3);
    fs::remove_file(folder.path().join("one.wav")).unwrap();
    write_wav(folder.path().join("two.wav"), &white_noise(300, Key::new(1)), 16_000).unwrap();
    let batch = objective.prepare(FIRST).unwrap();
    assert_eq!(batch.utterances, ["three"]);
    let mut left_out = batch.left_out;
    left_out.sort_by(|a, b| a.utterance.cmp(&b.utterance));
    let [LeftOut { utterance: one, reason: gone }, LeftOut { utterance: two, reason: shrunk }] = &left_out[..] else {
        panic!("{left_out:?}")
    };
    assert!(one == "one" && gone.contains("one.wav: no such file"), "{gone}");
    assert!(two == "two" && shrunk.ends_with("two.wav: lasts 0.019 s, but the manifest says 0.5 s"), "{shrunk}");
    fs::write(folder.path().join("three.wav"), "noise").unwrap();
    let error = objective.prepare(FIRST).unwrap_err().downcast::<Unusable>().unwrap();
    assert_eq!(error.0.len(), 3);
}
