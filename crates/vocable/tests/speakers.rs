//! `vocable speakers` as a user runs it.

#[allow(dead_code, reason = "some of it is for other targets")]
mod program;

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use program::{complaint, objects, printed, text, vocable};
use serde_json::json;
use vocable_data::manifest::Manifest;
use vocable_data::speaker;
use vocable_speakers::{SpeakerEncoder, unit};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).display().to_string()
}

/// The manifest of the shipped corpus with the first utterances of each split alone, and recordings where they are.
fn short_manifest(folder: &Path) -> String {
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
    let mut manifest = Manifest::read(&mini).unwrap();
    let mut utterances = Vec::new();
    for split in vocable_data::manifest::Split::ALL {
        for index in manifest.split(split).into_iter().take(12) {
            let mut utterance = manifest.utterances[index].clone();
            utterance.audio = fs::canonicalize(manifest.resolve(&utterance.audio)).unwrap();
            utterances.push(utterance);
        }
    }
    manifest = Manifest { path: folder.join("manifest.jsonl"), utterances };
    manifest.write().unwrap();
    manifest.path.display().to_string()
}

#[test]
fn vectors_of_recordings_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, wav) = (fixture("speakers/spkrec"), fixture("hf/asr_0.wav"));
    let samples = vocable_audio::read(&wav).unwrap().samples;
    let expected = SpeakerEncoder::open(&model, &Device::flex()).unwrap().embed(&samples).unwrap();
    for name in ["voice.npy", "voice.safetensors"] {
        let found = objects(&["speakers", "embed", "--model", &model, &wav, "-o", &path(name), "--json"]);
        assert_eq!(found[0]["width"], 12);
        assert_eq!(speaker::read(Path::new(&path(name)), 12).unwrap(), unit(&expected));
    }
    let said = printed(&["speakers", "embed", "--model", &model, "--raw", &wav, "-o", &path("raw.npy")]);
    assert!(said.ends_with("raw.npy: 12 values\n"), "{said}");
    assert_eq!(speaker::read(Path::new(&path("raw.npy")), 12).unwrap(), expected);
    // Several make a folder; one that is too short is named, and the others are there.
    vocable_audio::write_wav(path("short.wav"), &[0.1; 100], 16_000).unwrap();
    let output = vocable(&["speakers", "embed", "--model", &model, &wav, &path("short.wav"), "-o", &path("many")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("short.wav: 100 samples are too few for a speaker vector: 480 are needed"));
    assert_eq!(speaker::read(Path::new(&path("many/asr_0.npy")), 12).unwrap(), unit(&expected));
    let message = complaint(2, &["speakers", "embed", "--model", &path("many"), &wav, "-o", &path("x.npy")]);
    assert!(message.contains("embedding_model.ckpt"), "{message}");
}

#[test]
fn vectors_that_are_not_finite_are_errors_with_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, model) = (short_manifest(folder.path()), folder.path().join("model"));
    let mut encoder = SpeakerEncoder::open(fixture("speakers/spkrec"), &Device::flex()).unwrap();
    // Finite weights whose sums are not.
    let output = &mut encoder.model.output;
    output.weight = output.weight.clone().map(|weight| weight * 1e36);
    output.bias = output.bias.take().map(|bias| bias.map(|bias| bias.zeros_like() + f32::MAX));
    encoder.save(&model).unwrap();
    let (model, wav, out) = (model.display().to_string(), fixture("hf/asr_0.wav"), folder.path().join("voice.npy"));
    let said = complaint(1, &["speakers", "embed", "--model", &model, &wav, "-o", out.to_str().unwrap()]);
    assert!(said.contains("asr_0.wav: its vector holds a value that is not finite") && !out.exists(), "{said}");
    let said = complaint(2, &["speakers", "verify", "--model", &model, "--manifest", &manifest]);
    assert!(said.contains(": its vector holds a value that is not finite"), "{said}");
}

#[test]
fn what_is_trained_on_a_manifest_embeds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let manifest = short_manifest(folder.path());
    let out = path("voices");
    let train = |updates: &str| {
        let sizes = ["--channels", "16,16,16,16,24", "--width", "12", "--batch", "8", "--every", "2"];
        let arguments = ["speakers", "train", "--manifest", &manifest, "-o", &out, "--updates", updates];
        let output = vocable(&[&arguments[..], &sizes].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let (said, heard) = train("4");
    assert!(said.contains("vectors of 12 values, learnt from"), "{said}");
    assert!(heard.contains("update 4 of 4: speakers/cross_entropy"), "{heard}");
    // What was trained is a folder like SpeechBrain's, and the same command finds its work done.
    let before = fs::read(path("voices/embedding_model.ckpt")).unwrap();
    assert!(train("4").1.contains("continuing from"));
    assert_eq!(fs::read(path("voices/embedding_model.ckpt")).unwrap(), before);

    // Another command does not.
    let options = ["--updates", "4", "--channels", "16,16,16,16,24", "--width", "12", "--batch", "8", "--every", "2"];
    let again = [&["speakers", "train", "--manifest", &manifest, "-o", &out][..], &options].concat();
    let message = complaint(2, &[&again[..], &["--learning-rate", "0.5"]].concat());
    assert!(message.contains("voices/training: a training of other settings (train.learning_rate)"), "{message}");
    let whole = fs::read_to_string(&manifest).unwrap();
    let (all_but_one, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&manifest, all_but_one).unwrap();
    let message = complaint(2, &again);
    assert!(message.contains("other settings (data) is there; repeat the command that began it"), "{message}");
    fs::write(&manifest, &whole).unwrap();

    let embedded = path("embedded");
    let embed = |to: &str| ["speakers", "embed", "--model", &out, "--manifest", &manifest, "-o", to].map(str::to_owned);
    printed(&embed(&embedded).each_ref().map(String::as_str));
    // Its own manifest it writes again; another one stays.
    printed(&embed(&embedded).each_ref().map(String::as_str));
    let foreign = path("foreign/manifest.jsonl");
    fs::create_dir(path("foreign")).unwrap();
    fs::copy(&manifest, &foreign).unwrap();
    let message = complaint(2, &embed(&path("foreign")).each_ref().map(String::as_str));
    assert!(message.contains("manifest.jsonl: it is in the way, and `speakers embed` did not make it"), "{message}");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), whole);
    let (before, after) =
        (Manifest::read(&manifest).unwrap(), Manifest::read(path("embedded/manifest.jsonl")).unwrap());
    assert_eq!(after.utterances.len(), before.utterances.len());
    for utterance in &after.utterances {
        let file = after.resolve(utterance.speaker_vector.as_ref().unwrap());
        assert_eq!(speaker::read(&file, 12).unwrap().len(), 12);
        assert!(after.resolve(&utterance.audio).is_file());
    }
    // Every two of a dozen utterances are a trial; one voice alone cannot be told from any other.
    let verify =
        |split: &'static str| ["speakers", "verify", "--model", &out, "--manifest", &manifest, "--split", split];
    let found = &objects(&[&verify("test-clean")[..], &["--json"]].concat())[0];
    assert_eq!((&found["trials"], &found["utterances"]), (&json!(66), &json!(12)));
    assert!(found["eer"].as_f64().is_some_and(|eer| (0.0..=100.0).contains(&eer)), "{found}");
    let found = &objects(&[&verify("test-clean,test-other")[..], &["--json"]].concat())[0];
    assert_eq!(found["utterances"], 24);
    assert!(printed(&verify("test-clean")).starts_with("eer "));
    assert!(complaint(2, &verify("test-other")).contains("of test-other no two utterances are of one voice, or none"));
    assert!(complaint(2, &verify("test")).contains("expected one of train, valid, test-clean, test-other"));
    let itself = folder.path().display().to_string();
    let message = complaint(2, &["speakers", "embed", "--model", &out, "--manifest", &manifest, "-o", &itself]);
    assert!(message.contains("it is the manifest itself"), "{message}");
    let message = complaint(2, &["speakers", "train", "--manifest", &manifest, "-o", &out, "--channels", "4,4"]);
    assert!(message.contains("--channels has 2 numbers, where 5 are expected"), "{message}");
}
