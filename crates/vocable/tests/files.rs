//! `vocable inspect`, `import`, `export`, `identify`, `vocab`, `features` and `score` as a user runs them.

#[allow(dead_code, reason = "some of it is for other targets")]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use program::{objects, printed, text, vocable};
use serde_json::json;
use vocable_audio::{LogMel, Mfcc, read};
use vocable_data::kmeans::{KMeans, MiniBatch};
use vocable_random::Key;
use vocable_speecht5::checkpoint::{Checkpoint, visit, write_extended};
use vocable_speecht5::huggingface::ModelFolder;
use vocable_speecht5::sid::{labels, rank_speakers};
use vocable_speecht5::{ModelConfig, Regularisation, SpeakerClassifier, SpeechT5};
use vocable_text::{CharVocabulary, Tokenizer};
use vocable_weights::Weights;

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).display().to_string()
}

#[track_caller]
fn complaint(arguments: &[&str]) -> String {
    program::complaint(2, arguments)
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

    // The same for the official code, and back.
    printed(&["export", &path("first"), "--fairseq", "-o", &path("whole.pt")]);
    assert!(import(&path("whole.pt"), &path("third"), &["--as", "base", "--strict"]).status.success());
    assert_eq!(bytes("third"), bytes("first"));

    // A folder of one class has not all that another one wants.
    printed(&["export", &path("first"), "--as", "asr", "-o", &path("asr")]);
    let class = |folder: &str| ModelFolder::open(path(folder)).unwrap().architecture.class();
    assert_eq!(class("asr"), "SpeechT5ForSpeechToText");
    printed(&["export", &path("asr"), "--fairseq", "-o", &path("asr.pt")]);
    assert!(import(&path("asr.pt"), &path("returned"), &["--as", "asr", "--strict"]).status.success());
    assert_eq!(bytes("returned"), bytes("asr"));
    let said = complaint(&["export", &path("asr"), "--as", "tts", "-o", &path("tts")]);
    assert!(said.contains("lacks everything of") && !Path::new(&path("tts")).exists(), "{said}");
    let said = complaint(&["import", &source, "--tokenizer", &fixture("hf/asr"), "-o", &path("none")]);
    assert!(said.contains("the tokenizer 50 tokens"), "{said}");
    assert!(complaint(&["import", &source, "-o", &path("none")]).contains("--tokenizer"));
}

/// A finished stage of training over five characters, whose model is still to be saved.
struct Finished {
    _runs: tempfile::TempDir,
    folder: PathBuf,
    vocabulary: CharVocabulary,
}

impl Finished {
    fn new(kind: &str, config: &ModelConfig) -> Self {
        let runs = tempfile::tempdir().unwrap();
        let (folder, prepared) = (runs.path().join("stages/finetune-1"), runs.path().join("stages/prepare-1"));
        fs::create_dir_all(folder.join("outputs")).unwrap();
        fs::create_dir_all(prepared.join("outputs")).unwrap();
        let vocabulary = CharVocabulary::from_characters("abcde".chars()).unwrap();
        vocabulary.save(prepared.join("outputs/vocabulary.json")).unwrap();
        let tree = vocable_lab::config::tree(&(config, 1));
        fs::write(folder.join("config.toml"), vocable_lab::config::to_toml(&tree)).unwrap();
        let finished = Self { _runs: runs, folder, vocabulary };
        finished.describe(kind, "done");
        finished
    }

    fn describe(&self, kind: &str, status: &str) {
        let manifest = json!({ "status": status, "kind": kind, "inputs": { "prepare": "prepare-1" } });
        fs::write(self.folder.join("manifest.json"), manifest.to_string()).unwrap();
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.join("outputs").join(name)
    }

    fn fresh(&self, config: &ModelConfig) -> SpeechT5 {
        let (rows, pad) = (self.vocabulary.len(), self.vocabulary.pad());
        config.init(rows, pad, &Regularisation::none(), Key::new(5), &Device::flex())
    }
}

#[test]
fn a_trained_stage_is_exported() {
    let config = ModelFolder::open(fixture("hf/asr")).unwrap().model_config().clone();
    let stage = Finished::new("finetune-asr", &config);
    let model = stage.fresh(&config);
    vocable_train::save_model(&model, &stage.output("model.safetensors")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = ["export", stage.folder.to_str().unwrap(), "-o", out.to_str().unwrap()];
    assert!(printed(&arguments).contains("a SpeechT5ForSpeechToText"));
    let read = ModelFolder::open(&out).unwrap();
    let (found, expected) = (parameters(&read.load_strict(&Device::flex()).unwrap()), parameters(&model));
    let parts = read.architecture.parts();
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        if parts.contains(&name.split('.').next().unwrap()) {
            assert_eq!(found, expected, "{name}");
        }
    }
    assert_eq!(read.tokenizer.unwrap(), Tokenizer::from(&stage.vocabulary));
    // It transcribes.
    let (file, model) = (fixture("hf/asr_0.wav"), out.to_str().unwrap());
    let transcribe = ["transcribe", "--model", model, &file, "--max-tokens", "4", "--json"];
    assert_eq!(objects(&transcribe).len(), 1);
    // Classes of transformers have no CTC head, files of everything do.
    let jointly = [&transcribe[..], &["--ctc-weight", "0.5"]].concat();
    assert!(complaint(&jointly).contains("--extended` puts one into a folder"));
    let weights = out.join("model.safetensors");
    printed(&["export", stage.folder.to_str().unwrap(), "--extended", "-o", weights.to_str().unwrap()]);
    assert_eq!(objects(&jointly).len(), 1);
    stage.describe("decode-asr", "done");
    assert!(complaint(&arguments).contains("a stage \"decode-asr\" leaves no model"));
    stage.describe("finetune-asr", "running");
    assert!(complaint(&arguments).contains("finish it first"));
}

#[test]
fn a_trained_classifier_names_speakers() {
    let config = ModelFolder::open(fixture("hf/asr")).unwrap().model_config().clone();
    // Wide weights, for speakers to differ.
    let config = ModelConfig { deviation: 0.3, ..config };
    let stage = Finished::new("finetune-sid", &config);
    let speakers = ["anna", "ben of the hill", "çelik"].map(str::to_owned);
    let labels = labels(&speakers);
    let init = config.initial(Key::new(6), &Device::flex());
    let model = SpeakerClassifier::new(stage.fresh(&config), config.width, labels.len(), &init);
    vocable_train::save_model(&model, &stage.output("model.safetensors")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["export", stage.folder.to_str().unwrap(), "-o", &path("sid")];
    assert!(complaint(&arguments).contains("speakers.json"));
    fs::write(stage.output("speakers.json"), json!(speakers).to_string()).unwrap();
    assert!(printed(&arguments).contains("a SpeechT5ForSequenceClassification"));

    let files = [fixture("hf/asr_0.wav"), fixture("hf/vc_0.wav")];
    let found = objects(&["identify", "--model", &path("sid"), &files[0], &files[1], "--top", "2", "--json"]);
    assert_eq!(found.len(), 2);
    for (found, file) in found.iter().zip(&files) {
        let samples = read(file).unwrap().expect_rate(16_000).unwrap().samples;
        let ranked = rank_speakers(&model, &labels, &samples, &Device::flex());
        assert_eq!(ranked.len(), 3, "special symbols are no speakers");
        assert!(ranked[0].1 > ranked[1].1 && ranked.iter().map(|(_, score)| score).sum::<f64>() < 1.0);
        assert_eq!(found["speakers"].as_array().unwrap().len(), 2);
        for (found, (speaker, score)) in found["speakers"].as_array().unwrap().iter().zip(ranked) {
            assert_eq!(found["speaker"], speaker);
            // Digits on the way.
            assert!((found["score"].as_f64().unwrap() - score).abs() < 1e-9);
        }
        assert_eq!((&found["speaker"], &found["file"]), (&found["speakers"][0]["speaker"], &json!(file)));
    }
    let line = printed(&["identify", "--model", &path("sid"), &files[0]]);
    assert!(line.starts_with(&format!("{} 0.", found[0]["speaker"].as_str().unwrap())), "{line}");

    // The same from its own folder, and from one file with the names beside it.
    let weights = |to: &str| fs::read(folder.path().join(to).join("model.safetensors")).unwrap();
    printed(&["export", &path("sid"), "-o", &path("again")]);
    write_extended(Path::new(&path("all.safetensors")), &model, &config, None).unwrap();
    fs::write(path("names"), "anna 20\nben of the hill 7\nçelik 3\n").unwrap();
    printed(&["import", &path("all.safetensors"), "--speakers", &path("names"), "-o", &path("imported")]);
    for other in ["again", "imported"] {
        assert!(weights(other) == weights("sid"), "{other}");
        assert_eq!(
            objects(&["identify", "--model", &path(other), &files[0], "--json"])[0]["speaker"],
            found[0]["speaker"]
        );
    }

    printed(&["export", &path("sid"), "--fairseq", "-o", &path("sid.pt")]);
    printed(&["import", &path("sid.pt"), "--speakers", &path("names"), "-o", &path("returned")]);
    assert!(weights("returned") == weights("sid"));

    assert!(complaint(&["export", &path("sid"), "--extended", "-o", &path("x")]).contains("leave --extended"));
    let import = ["import", &path("all.safetensors"), "--speakers", &path("names"), "-o", &path("x")];
    for twice in ["anna\nben\nanna\n", "anna 1\nben 2\nanna 1\n"] {
        fs::write(path("names"), twice).unwrap();
        let said = complaint(&import);
        assert!(said.contains("names: two classes would be called \"anna"), "{said}");
    }
    fs::write(path("names"), "anna\nben\n").unwrap();
    let import = ["import", &path("all.safetensors"), "--speakers", &path("names"), "-o", &path("x")];
    assert!(complaint(&import).contains("names: 2 speakers, where 3 are classified"));
    let import = ["import", &fixture("hf/asr/model.safetensors"), "--speakers", &path("names"), "-o", &path("x")];
    assert!(complaint(&import).contains("it holds no speaker classifier"));
    let said = complaint(&["identify", "--model", &fixture("hf/asr"), &files[0]]);
    assert!(said.contains("it is for a SpeechT5ForSpeechToText, which names no speakers"), "{said}");
    let said = complaint(&["transcribe", "--model", &path("sid"), &files[0]]);
    assert!(said.contains("where a SpeechT5ForSpeechToText is needed"), "{said}");
    assert!(!Path::new(&path("x")).exists());
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
    // All else is said as before.
    let lengths = |folder: &ModelFolder| (folder.config.max_text_positions, folder.config.max_speech_positions);
    assert_eq!((lengths(&new), &new.config.other), (lengths(&old), &old.config.other));
    let generation = |folder: &str| fs::read(Path::new(folder).join("generation_config.json")).unwrap();
    assert_eq!(generation(&path("a")), generation(&asr));
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
    for (folder, layer, width) in [(fixture("hubert/bin"), "2", 16), (fixture("hf/asr"), "1", 64)] {
        let model = ["--model", &folder, "--layer", layer];
        let states = path("states.safetensors");
        printed(&[&["features", "states", &files[0], "-o", &states], &model[..]].concat());
        let states = tensor(&states, "states");
        let centres = KMeans::fit(&states, width, MiniBatch { n_init: 2, ..MiniBatch::new(4) }, Key::new(1)).unwrap();
        centres.save(Path::new(&path("others.safetensors"))).unwrap();
        let units = ["features", "units", &files[0], "--clusters", &path("others.safetensors"), "--json"];
        assert_eq!(objects(&[&units, &model[..]].concat())[0]["units"], json!(centres.assign(&states)));
        assert!(complaint(&units).contains(&format!("centres of {width} values, where 39 are expected")));
        let beyond = ["--model", &folder, "--layer", "9"];
        assert!(complaint(&[&units, &beyond[..]].concat()).contains("--layer is 9, where 1 to"));
    }
    assert!(complaint(&["features", "states", &files[0], "-o", &path("x")]).contains("states need --model"));
    assert!(complaint(&["features", "mel", &files[0]]).contains("--output"));
    assert!(complaint(&["features", "units", &files[0]]).contains("--clusters"));
}

#[cfg(unix)]
#[test]
fn links_are_written_through_and_what_is_no_file_is_left_alone() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    let mel = |to: &str| ["features".to_owned(), "mel".to_owned(), fixture("hf/asr_0.wav"), "-o".to_owned(), path(to)];
    let written = |to: &str| printed(&mel(to).each_ref().map(String::as_str));
    fs::write(path("far.safetensors"), "").unwrap();
    std::os::unix::fs::symlink("far.safetensors", path("link.safetensors")).unwrap();
    written("link.safetensors");
    written("plain.safetensors");
    assert!(Path::new(&path("link.safetensors")).is_symlink());
    assert_eq!(fs::read(path("far.safetensors")).unwrap(), fs::read(path("plain.safetensors")).unwrap());
    // Like any other new file, it is for whoever may read here.
    fs::write(path("any"), "").unwrap();
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode();
    assert_eq!(mode("plain.safetensors"), mode("any"));
    let pipe = path("pipe.safetensors");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = complaint(&mel("pipe.safetensors").each_ref().map(String::as_str));
    assert!(said.contains("pipe.safetensors: it is no regular file"), "{said}");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
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
    let aligned = "line 1: 1 error in 4 words\nturn the light  on\nturn the lights on\n         S\n\n";
    assert_eq!(score("wer", &["--normalise", "--aligned"])["aligned"], aligned);
    let line = printed(&["score", "wer", "--aligned", "--normalise", &path("truth"), &path("heard")]);
    assert!(line.ends_with(&format!("insertions\n\n{}\n", aligned.trim_end())), "{line}");
    assert!(complaint(&["score", "cer", "--aligned", &path("truth"), &path("heard")]).contains("--aligned is for"));
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
    // Several are paired by their names, wherever they lie.
    for (to, from) in [("a/1.wav", &one), ("a/2.wav", &two), ("b/2.wav", &two), ("b/deep/1.wav", &one)] {
        fs::create_dir_all(Path::new(&path(to)).parent().unwrap()).unwrap();
        fs::copy(from, path(to)).unwrap();
    }
    assert_eq!(distance(&path("a"), &path("b")), 0.0);
    fs::rename(path("b/deep/1.wav"), path("b/3.wav")).unwrap();
    let said = complaint(&["score", "mcd", &path("a"), &path("b")]);
    assert!(said.contains("a/1.wav: there is none of this name among the hypotheses"), "{said}");
    assert!(complaint(&["score", "mcd", &one, &path("b")]).contains("asr_0.wav: there is none of this name"));
    fs::rename(path("b/3.wav"), path("b/deep/2.wav")).unwrap();
    let said = complaint(&["score", "mcd", &path("a"), &path("b")]);
    assert!(said.contains("b/deep/2.wav: ") && said.contains("b/2.wav has the same name"), "{said}");
    fs::write(path("short"), "stop\n").unwrap();
    assert!(complaint(&["score", "wer", &path("truth"), &path("short")]).contains("2 lines of references, but 1"));
}
