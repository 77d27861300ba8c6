//! `vocable inspect`, `import`, `export`, `vocab`, `features` and `score` as a user runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::Device;
use serde_json::{Value, json};
use vocable_audio::{LogMel, Mfcc, read};
use vocable_data::kmeans::{KMeans, MiniBatch};
use vocable_random::Key;
use vocable_speecht5::checkpoint::{Checkpoint, visit};
use vocable_speecht5::huggingface::ModelFolder;
use vocable_speecht5::{Regularisation, SpeechT5};
use vocable_text::{CharVocabulary, Tokenizer};
use vocable_weights::Weights;

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).display().to_string()
}

fn vocable(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vocable")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("messages are UTF-8")
}

/// What a command prints; it must succeed in silence.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = vocable(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[track_caller]
fn objects(arguments: &[&str]) -> Vec<Value> {
    printed(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn complaint(arguments: &[&str]) -> String {
    let output = vocable(arguments);
    let said = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

/// All parameters of a model, bit by bit.
fn parameters(model: &SpeechT5) -> Vec<(String, Vec<u32>)> {
    let mut parameters = Vec::new();
    visit(model, |path, leaf| {
        parameters.push((path.to_owned(), leaf.values().iter().map(|value| value.to_bits()).collect()));
    });
    parameters
}

/// A tokenizer of as many tokens as the fairseq checkpoint has rows.
fn tokenizer_for(checkpoint: &str, folder: &Path) {
    let rows = Checkpoint::open(checkpoint).unwrap().sizes().unwrap().vocabulary.unwrap();
    let characters = (0..rows - 7).map(|n| char::from_u32('a' as u32 + n as u32).unwrap());
    Tokenizer::from(&CharVocabulary::from_characters(characters).unwrap()).save(folder).unwrap();
}

#[test]
fn tensors_are_listed_with_what_they_mean() {
    let found = objects(&["inspect", &fixture("official/model.pt"), "--json"]);
    let (all, tensors) = found.split_last().unwrap();
    let weights = Weights::open(fixture("official/model.pt")).unwrap();
    assert_eq!(tensors.len(), weights.tensors().count());
    for (object, tensor) in tensors.iter().zip(weights.tensors()) {
        assert_eq!((object["name"].as_str(), &object["shape"]), (Some(tensor.name()), &json!(tensor.shape())));
    }
    let meaning = |name: &str| tensors.iter().find(|tensor| tensor["name"] == name).unwrap()["meaning"].clone();
    assert_eq!(meaning("text_encoder_prenet.encoder_prenet.0.weight"), "tokens.weight");
    assert_eq!(meaning("encoder.version"), "(computed)");
    let values: usize = weights.tensors().map(|tensor| tensor.count()).sum();
    assert_eq!(
        (&all["tensors"], &all["values"], all["format"].as_str()),
        (&json!(tensors.len()), &json!(values), Some("fairseq"))
    );
    assert!(all["config"]["width"].as_u64().unwrap() > 0);
    // Readable, for a folder and for the weights of something else.
    let lines = printed(&["inspect", &fixture("hf/asr")]);
    assert!(lines.contains("embed_tokens.weight") && lines.contains("names of transformers; width 64"), "{lines}");
    let lines = printed(&["inspect", &fixture("hf/hifigan")]);
    assert!(lines.contains("conv_pre.weight") && lines.contains("(unknown)") && lines.contains("no SpeechT5"));
    assert!(complaint(&["inspect", &fixture("hf/asr_0.wav")]).contains("asr_0.wav: neither safetensors nor"));
}

#[test]
fn import_export_import_is_bit_equal() {
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    let source = fixture("official/model.pt");
    fs::create_dir(path("tokens")).unwrap();
    tokenizer_for(&source, Path::new(&path("tokens")));
    let import = |from: &str, to: &str, more: &[&str]| {
        vocable(&[&["import", from, "--tokenizer", &path("tokens"), "-o", to], more].concat())
    };
    let first = import(&source, &path("first"), &["--as", "base"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    printed(&["export", &path("first"), "--extended", "-o", &path("whole.safetensors")]);
    assert!(import(&path("whole.safetensors"), &path("second"), &["--as", "base", "--strict"]).status.success());
    let bytes = |folder: &str| fs::read(out.path().join(folder).join("model.safetensors")).unwrap();
    assert_eq!(bytes("second"), bytes("first"));
    let parameters =
        |folder: &str| parameters(&ModelFolder::open(path(folder)).unwrap().load_strict(&Device::flex()).unwrap());
    assert!(parameters("first") == parameters("second"));

    // All of the file, in one file; and from there the same again.
    printed(&["import", &source, "--extended", "-o", &path("a.safetensors")]);
    printed(&["import", &path("a.safetensors"), "--extended", "-o", &path("b.safetensors")]);
    assert_eq!(fs::read(path("a.safetensors")).unwrap(), fs::read(path("b.safetensors")).unwrap());

    // A folder of one class has not all that another one wants.
    printed(&["export", &path("first"), "--as", "asr", "-o", &path("asr")]);
    let class = |folder: &str| ModelFolder::open(path(folder)).unwrap().architecture.class();
    assert_eq!(class("asr"), "SpeechT5ForSpeechToText");
    let said = complaint(&["export", &path("asr"), "--as", "tts", "-o", &path("tts")]);
    assert!(said.contains("lacks everything of") && !Path::new(&path("tts")).exists(), "{said}");
    let said = complaint(&["import", &source, "--tokenizer", &fixture("hf/asr"), "-o", &path("none")]);
    assert!(said.contains("the tokenizer 50 tokens"), "{said}");
    assert!(complaint(&["import", &source, "-o", &path("none")]).contains("--tokenizer"));
}

#[test]
fn a_trained_stage_is_exported() {
    let runs = tempfile::tempdir().unwrap();
    let stages = runs.path().join("stages");
    let (stage, prepared) = (stages.join("finetune-asr-1"), stages.join("prepare-1"));
    fs::create_dir_all(stage.join("outputs")).unwrap();
    fs::create_dir_all(prepared.join("outputs")).unwrap();
    let vocabulary = CharVocabulary::from_characters("abcde".chars()).unwrap();
    vocabulary.save(prepared.join("outputs/vocabulary.json")).unwrap();
    let folder = ModelFolder::open(fixture("hf/asr")).unwrap();
    let config = folder.model_config().clone();
    let (rows, pad) = (vocabulary.len(), vocabulary.pad());
    let model = config.init(rows, pad, &Regularisation::none(), Key::new(5), &Device::flex());
    vocable_train::save_model(&model, &stage.join("outputs/model.safetensors")).unwrap();
    let tree = vocable_lab::config::tree(&(&config, 1));
    fs::write(stage.join("config.toml"), vocable_lab::config::to_toml(&tree)).unwrap();
    let mut manifest = json!({ "status": "done", "kind": "finetune-asr", "inputs": { "prepare": "prepare-1" } });
    let write = |manifest: &Value| fs::write(stage.join("manifest.json"), manifest.to_string()).unwrap();
    write(&manifest);
    let out: PathBuf = runs.path().join("out");
    let arguments = ["export", stage.to_str().unwrap(), "-o", out.to_str().unwrap()];
    assert!(printed(&arguments).contains("a SpeechT5ForSpeechToText"));
    let read = ModelFolder::open(&out).unwrap();
    let (found, expected) = (parameters(&read.load_strict(&Device::flex()).unwrap()), parameters(&model));
    let parts = read.architecture.parts();
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        if parts.contains(&name.split('.').next().unwrap()) {
            assert_eq!(found, expected, "{name}");
        }
    }
    assert_eq!(read.tokenizer.unwrap(), Tokenizer::from(&vocabulary));
    // It transcribes.
    let (file, model) = (fixture("hf/asr_0.wav"), out.to_str().unwrap());
    assert_eq!(objects(&["transcribe", "--model", model, &file, "--max-tokens", "4", "--json"]).len(), 1);
    manifest["kind"] = "finetune-sid".into();
    write(&manifest);
    assert!(complaint(&arguments).contains("a stage \"finetune-sid\" leaves no model"));
    manifest["status"] = "running".into();
    manifest["kind"] = "finetune-asr".into();
    write(&manifest);
    assert!(complaint(&arguments).contains("finish it first"));
}

#[test]
fn characters_are_added() {
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    let asr = fixture("hf/asr");
    let said = printed(&["vocab", "extend", "--model", &asr, "--characters", "äß", "-o", &path("a")]);
    assert!(said.contains("52 tokens, 2 of them new: äß"), "{said}");
    let (old, new) = (ModelFolder::open(&asr).unwrap(), ModelFolder::open(path("a")).unwrap());
    assert_eq!((old.config.vocab_size, new.config.vocab_size), (50, 52));
    assert!(new.tokenizer.as_ref().unwrap().encode("äß").unknown.is_empty());
    let file = fixture("hf/asr_0.wav");
    assert_eq!(objects(&["transcribe", "--model", &path("a"), &file, "--max-tokens", "4", "--json"]).len(), 1);
    // The characters of a text, in the order of their code points.
    fs::write(path("text"), "Größe, Äther").unwrap();
    let unknown = old.tokenizer.unwrap().encode("Größe, Äther").unknown.len();
    let said = printed(&["vocab", "extend", "--model", &asr, "--from", &path("text"), "-o", &path("b")]);
    assert!(said.contains(&format!("{unknown} of them new: ")) && said.trim_end().ends_with("Äßö"), "{said}");
    assert!(complaint(&["vocab", "extend", "--model", &asr, "--characters", "e", "-o", &path("c")]).contains('e'));
    assert!(!Path::new(&path("c")).exists());
}

#[test]
fn features_are_the_librarys() {
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    let files = [fixture("hf/asr_0.wav"), fixture("hf/asr_1.wav")];
    let samples = read(&files[0]).unwrap().expect_rate(16_000).unwrap().samples;
    let tensor = |file: &str, name: &str| Weights::open(file).unwrap().get(name).unwrap().to_f32().unwrap();
    printed(&["features", "mel", &files[0], "-o", &path("one.safetensors")]);
    assert_eq!(tensor(&path("one.safetensors"), "mel"), LogMel::default().log_mel(&samples).data);
    let found = objects(&["features", "mfcc", &files[0], &files[1], "-o", &path("many"), "--json"]);
    let mfcc = Mfcc::new(16_000).mfcc_with_deltas(&samples);
    assert_eq!((found.len(), &found[0]["frames"], &found[0]["width"]), (2, &json!(mfcc.len()), &json!(39)));
    assert_eq!(tensor(&path("many/asr_0.safetensors"), "mfcc"), mfcc.data);
    let frames = mfcc.every(2);
    let centres = KMeans::fit(&frames.data, 39, MiniBatch { n_init: 2, ..MiniBatch::new(4) }, Key::new(1)).unwrap();
    centres.save(Path::new(&path("centres.safetensors"))).unwrap();
    let found = objects(&["features", "units", &files[0], "--clusters", &path("centres.safetensors"), "--json"]);
    assert_eq!(found[0]["units"], json!(centres.assign(&frames.data)));
    assert!(complaint(&["features", "mel", &files[0]]).contains("--output"));
    assert!(complaint(&["features", "units", &files[0]]).contains("--clusters"));
}

#[test]
fn scores_are_those_of_the_metrics() {
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    fs::write(path("truth"), "turn the light on\nstop\n").unwrap();
    fs::write(path("heard"), "turn the lights on\nStop.\n").unwrap();
    let score = |metric: &str, more: &[&str]| {
        objects(&[&["score", metric, &path("truth"), &path("heard"), "--json"], more].concat()).remove(0)
    };
    let wer = score("wer", &[]);
    assert_eq!((&wer["value"], &wer["n"], &wer["edits"]["substitutions"]), (&json!(40.0), &json!(2), &json!(2)));
    assert!(wer["low"].as_f64().unwrap() <= 40.0 && wer["high"].as_f64().unwrap() >= 40.0);
    assert_eq!(score("wer", &["--normalise"])["value"], 20.0);
    assert_eq!(score("cer", &["--normalise"])["edits"]["insertions"], 1);
    assert_eq!(
        (&score("accuracy", &[])["value"], &score("accuracy", &["--normalise"])["value"]),
        (&json!(0.0), &json!(50.0))
    );
    assert!(score("bleu", &[])["value"].as_f64().unwrap() >= 0.0);
    let line = printed(&["score", "wer", &path("truth"), &path("heard")]);
    assert!(line.starts_with("wer 40.00 % (95 %: ") && line.contains("n = 2: 2 substitutions"), "{line}");
    let [one, two] = ["hf/asr_0.wav", "hf/asr_1.wav"].map(fixture);
    let distance = |a: &str, b: &str| objects(&["score", "mcd", a, b, "--json"])[0]["value"].as_f64().unwrap();
    assert_eq!(distance(&one, &one), 0.0);
    assert!(distance(&one, &two) > 1.0);
    fs::write(path("short"), "stop\n").unwrap();
    assert!(complaint(&["score", "wer", &path("truth"), &path("short")]).contains("2 lines of references, but 1"));
}
