//! Unigram models against SentencePiece (fixtures/sentencepiece).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vocable_text::{CharModel, UnigramModel};

const MODELS: [&str; 3] = ["unigram", "bytes", "suffix"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/sentencepiece").join(name)
}

fn model(name: &str) -> UnigramModel {
    UnigramModel::read(fixture(&format!("{name}.model"))).unwrap()
}

fn cases() -> Vec<Value> {
    serde_json::from_slice(&fs::read(fixture("unigram.json")).unwrap()).unwrap()
}

#[test]
fn random_texts_have_the_pieces_of_sentencepiece() {
    let cases = cases();
    assert_eq!(cases.len(), 600);
    for name in MODELS {
        let model = model(name);
        for case in &cases {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["ids"][name].clone()).unwrap();
            assert_eq!(model.encode(text).ids, expected, "{name}: {text:?}");
        }
    }
}

#[test]
fn pieces_have_the_texts_of_sentencepiece() {
    for name in MODELS {
        let model = model(name);
        for case in cases() {
            let ids: Vec<u32> = serde_json::from_value(case["ids"][name].clone()).unwrap();
            assert_eq!(model.decode(&ids), case["decoded"][name].as_str().unwrap(), "{name}: {ids:?}");
        }
    }
}

/// The best of all ways to cut a short text into pieces, found by trying them.
fn best(model: &UnigramModel, scores: &[f32], text: &str) -> f32 {
    if text.is_empty() {
        return 0.0;
    }
    let ends = text.char_indices().skip(1).map(|(end, _)| end).chain([text.len()]);
    let ways =
        ends.filter_map(|end| Some(scores[model.id(&text[..end])? as usize] + best(model, scores, &text[end..])));
    ways.fold(f32::NEG_INFINITY, f32::max)
}

#[test]
fn no_other_way_to_cut_a_text_is_more_probable() {
    let model = model("suffix");
    let scores: Vec<f32> = fs::read_to_string(fixture("suffix.vocab"))
        .unwrap()
        .lines()
        .map(|line| line.rsplit_once('\t').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(scores.len(), model.len());
    for text in ["turn the", "im garten", "à droite", "lights", "nnnnnnn"] {
        let found: f32 = model.encode(text).ids.iter().map(|&id| scores[id as usize]).sum();
        let expected = best(&model, &scores, &model.normalise(text));
        // A dozen sums in single precision.
        assert!((found - expected).abs() < 1e-4, "{text}: {found} {expected}");
    }
}

#[test]
fn other_files_are_refused() {
    let message = |name: &str| UnigramModel::read(fixture(name)).unwrap_err().to_string();
    assert!(message("odd.model").contains("not a unigram model"));
    assert!(message("unigram.json").contains("it is not a SentencePiece model"));
    assert!(message("nowhere.model").contains("nowhere.model"));
    let characters = CharModel::read(fixture("unigram.model")).unwrap_err().to_string();
    assert!(characters.contains("not one of characters"), "{characters}");
    // No cut of the file is read as another model without its last pieces being noticed or gone as wholes.
    let bytes = fs::read(fixture("suffix.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.model");
    for length in (0..bytes.len()).step_by(37) {
        fs::write(&cut, &bytes[..length]).unwrap();
        assert!(UnigramModel::read(&cut).is_err(), "{length} bytes");
    }
}

#[test]
fn unknown_characters_are_named_once() {
    let encoded = model("unigram").encode("turn Ж right ЖЯ");
    assert_eq!(encoded.unknown, ['Ж', 'Я']);
    assert_eq!(encoded.ids.iter().filter(|&&id| id == model("unigram").unknown()).count(), 2);
    let spelled = model("bytes").encode("Ж");
    assert_eq!((spelled.unknown, model("bytes").decode(&spelled.ids)), (vec!['Ж'], "Ж".to_owned()));
}
