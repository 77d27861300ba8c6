//! Tokenizers against SentencePiece (fixtures/sentencepiece, fixtures/hf), and their files.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vocable_text::{CharModel, CharVocabulary, Tokenizer};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn cases() -> Value {
    serde_json::from_slice(&fs::read(fixture("sentencepiece/cases.json")).unwrap()).unwrap()
}

#[test]
fn random_texts_have_the_identifiers_of_sentencepiece() {
    let plain = CharModel::read(fixture("hf/spm_char.model")).unwrap();
    let odd = CharModel::read(fixture("sentencepiece/odd.model")).unwrap();
    let cases = cases();
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 1500);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        for (name, model) in [("plain", &plain), ("odd", &odd)] {
            let expected: Vec<u32> = serde_json::from_value(case[name].clone()).unwrap();
            assert_eq!(model.encode(text).ids, expected, "{name}: {text:?}");
        }
    }
}

#[test]
fn every_code_point_has_the_normal_form_of_sentencepiece() {
    let model = CharModel::read(fixture("hf/spm_char.model")).unwrap();
    let normal: String = ('\0'..=char::MAX).map(|c| model.normalise(&format!("a{c}b")) + "\n").collect();
    assert_eq!(vocable_files::sha256(normal), cases()["normalised"].as_str().unwrap());
}

#[test]
fn the_characters_of_a_folder_have_the_identifiers_of_its_tokenizer() {
    let (folder, text) = (fixture("hf/tts"), "yes; very fine");
    let characters = CharVocabulary::open(&folder).unwrap();
    assert_eq!((characters.len(), characters.mask(), characters.blank()), (50, 48, 49));
    assert_eq!(characters.encode(text), Tokenizer::open(folder).unwrap().encode(text).ids);

    // Without the tokens behind the model's.
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("hf/spm_char.model"), folder.path().join("spm_char.model")).unwrap();
    let message = CharVocabulary::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("must end with <mask> <ctc_blank>"), "{message}");
    assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
}

#[test]
fn a_folders_tokenizer_encodes_and_decodes() {
    let tokenizer = Tokenizer::open(fixture("hf/tts")).unwrap();
    assert_eq!((tokenizer.len(), tokenizer.model().len()), (50, 48));
    assert_eq!(
        (tokenizer.id("<mask>"), tokenizer.id("<ctc_blank>"), tokenizer.id("</s>")),
        (Some(48), Some(49), Some(2))
    );
    assert_eq!(tokenizer.id("<none>"), None);
    let encoded = tokenizer.encode("yes; very fine");
    assert_eq!(encoded.ids, [4, 14, 5, 13, 40, 4, 22, 5, 19, 14, 4, 18, 6, 10, 5]);
    assert!(encoded.unknown.is_empty());
    let with_specials = [&[2, 0, 48], &encoded.ids[..], &[3, 49, 2, 1, 7000]].concat();
    assert_eq!(tokenizer.decode(&with_specials), "yes; very fine");
    let encoded = tokenizer.encode("4 of 42 Ж");
    assert_eq!(encoded.ids, [4, 3, 4, 8, 18, 4, 3, 4, 3]);
    assert_eq!(encoded.unknown, ['4', '2', 'Ж']);
}

#[test]
fn files_return_unchanged() {
    let bytes = fs::read(fixture("hf/spm_char.model")).unwrap();
    let model = CharModel::read(fixture("hf/spm_char.model")).unwrap();
    assert_eq!(model.to_bytes().len(), bytes.len());
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::open(fixture("hf/asr")).unwrap();
    tokenizer.save(folder.path()).unwrap();
    assert_eq!(Tokenizer::open(folder.path()).unwrap(), tokenizer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing partial is left");
    let settings: Value =
        serde_json::from_slice(&fs::read(folder.path().join("tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(settings["added_tokens_decoder"]["48"]["content"], json!("<mask>"));
    assert_eq!(settings["tokenizer_class"], json!("SpeechT5Tokenizer"));
}

#[test]
fn a_vocabulary_and_its_tokenizer_give_the_same_identifiers() {
    let vocabulary = CharVocabulary::from_lines(["the quick brown fox", "É, naïve; ½ off!"]);
    let tokenizer = Tokenizer::from(&vocabulary);
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path()).unwrap();
    let read = Tokenizer::open(folder.path()).unwrap();
    assert_eq!(read.len(), vocabulary.len());
    assert_eq!(CharVocabulary::open(folder.path()).unwrap(), vocabulary);
    for text in ["the fox", " a  ½ naïve\tfox ", "É▁x", "", "ﬁx ＡＢ", "quick\u{200b}ly \u{7f}brown\u{85}fox"]
    {
        assert_eq!(read.encode(text).ids, vocabulary.encode(text), "{text:?}");
        assert_eq!(read.decode(&read.encode(text).ids), vocabulary.decode(&vocabulary.encode(text)));
    }
}

#[test]
fn new_characters_move_the_added_tokens_up() {
    let old = Tokenizer::open(fixture("hf/asr")).unwrap();
    let (new, before) = old.extended(&['ä', 'Ж', '1']).unwrap();
    assert_eq!(new.len(), 53);
    assert_eq!((new.id("<mask>"), new.id("<ctc_blank>")), (Some(51), Some(52)));
    assert_eq!(new.encode("Ж1 e").ids, [4, 49, 50, 4, 5]);
    assert_eq!(before.len(), 53);
    assert_eq!(&before[46..], [Some(46), Some(47), None, None, None, Some(48), Some(49)]);
    let folder = tempfile::tempdir().unwrap();
    new.save(folder.path()).unwrap();
    assert_eq!(Tokenizer::open(folder.path()).unwrap(), new);
    for (characters, reason) in [
        (&['e'][..], "`e` is listed twice"),
        (&['ä', 'ä'], "`ä` is listed twice"),
        (&[' '], "` ` never occurs in a text"),
        (&['▁'], "`▁` never occurs in a text"),
        (&['ﬁ'], "it is normalised to `▁fi`"),
    ] {
        let error = old.extended(characters).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = || Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(message().contains("spm_char.model"));
    fs::write(folder.path().join("spm_char.model"), "text").unwrap();
    assert!(message().contains("spm_char.model: it is not a SentencePiece model"));
    let whole = fs::read(fixture("hf/spm_char.model")).unwrap();
    for length in [0, 7, 500, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path().join("spm_char.model"), &whole[..length]).unwrap();
        assert!(message().contains("it is not a SentencePiece model"), "{length}: {}", message());
    }
    fs::write(folder.path().join("spm_char.model"), &whole).unwrap();
    let added = |value: &str| fs::write(folder.path().join("added_tokens.json"), value).unwrap();
    for (value, reason) in [
        ("[]", "added_tokens.json: invalid type"),
        (r#"{"<mask>": 7}"#, "`<mask>` as 7 contradicts spm_char.model"),
        (r#"{"e": 48}"#, "`e` as 48 contradicts spm_char.model"),
        (r#"{"<a>": 48, "<b>": 48}"#, "`<a>` and `<b>` are both 48"),
    ] {
        added(value);
        assert!(message().contains(reason), "{}", message());
    }
    added(r#"{"</s>": 2}"#);
    assert_eq!(Tokenizer::open(folder.path()).unwrap().len(), 48);
}
