//! Numbers of SpeechBrain (fixtures/speakers), and files that survive both ways.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::Value;
use vocable_audio::Fbank;
use vocable_nn::Init;
use vocable_random::Key;
use vocable_speakers::{RATE, SpeakerEncoder, SpeakerError, XVectorConfig, unit};
use vocable_weights::Weights;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn expected() -> Vec<Value> {
    serde_json::from_slice(&fs::read(fixture("speakers/expected.json")).unwrap()).unwrap()
}

fn samples(case: &Value) -> Vec<f32> {
    let path = fixture("hf").join(case["file"].as_str().unwrap());
    vocable_audio::read(path).unwrap().expect_rate(RATE).unwrap().samples
}

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{worst} where {tolerance} is allowed");
}

#[test]
fn the_filter_bank_is_speechbrains() {
    for case in expected() {
        let found = Fbank::new(RATE, 24).fbank(&samples(&case));
        assert_eq!(Some(found.len() as u64), case["frames"].as_u64());
        for (frame, row) in case["fbank"].as_object().unwrap() {
            // Four decimals are given, and theirs is a transform in single precision.
            close(found.row(frame.parse().unwrap()), &numbers(row), 1e-3);
        }
    }
}

#[test]
fn vectors_are_speechbrains() {
    let encoder = SpeakerEncoder::open(fixture("speakers/spkrec"), &Device::flex()).unwrap();
    assert_eq!((encoder.config.bands, encoder.config.width), (24, 12));
    for case in expected() {
        let vector = encoder.embed(&samples(&case)).unwrap();
        // Values of order one, from energies of order ten in single precision.
        close(&vector, &numbers(&case["vector"]), 1e-4);
    }
}

#[test]
fn what_is_saved_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let encoder = SpeakerEncoder::open(fixture("speakers/spkrec"), &Device::flex()).unwrap();
    encoder.save(&path).unwrap();
    let weights = |folder: &Path| Weights::open(folder.join("embedding_model.ckpt")).unwrap();
    let (ours, theirs) = (weights(&path), weights(&fixture("speakers/spkrec")));
    assert_eq!(ours.tensors().count(), theirs.tensors().count());
    for tensor in theirs.tensors() {
        let found = ours.get(tensor.name()).unwrap();
        assert_eq!((found.shape(), found.bytes()), (tensor.shape(), tensor.bytes()), "{}", tensor.name());
    }
    let again = SpeakerEncoder::open(&path, &Device::flex()).unwrap();
    assert_eq!(again.config, encoder.config);
    let samples = samples(&expected()[0]);
    assert_eq!(again.embed(&samples).unwrap(), encoder.embed(&samples).unwrap());
    // Other dilations are another network, and are told by the settings.
    let mut config = XVectorConfig::mini();
    config.layers[1].dilation = 4;
    let other = config.init(&Init::new(Key::new(1), &Device::flex()));
    SpeakerEncoder::new("", config.clone(), other).save(&path).unwrap();
    assert_eq!(SpeakerEncoder::open(&path, &Device::flex()).unwrap().config, config);
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = || SpeakerEncoder::open(folder.path(), &Device::flex()).unwrap_err().to_string();
    assert!(message().contains("embedding_model.ckpt"));
    fs::copy(fixture("official/model.pt"), folder.path().join("embedding_model.ckpt")).unwrap();
    assert!(message().contains("no blocks.0.conv.weight"), "{}", message());
    fs::copy(fixture("speakers/spkrec/embedding_model.ckpt"), folder.path().join("embedding_model.ckpt")).unwrap();
    let settings = |text: &str| fs::write(folder.path().join("hyperparams.yaml"), text).unwrap();
    for (text, expected) in [
        ("n_mels: 24\n", "no line `tdnn_dilations:`"),
        ("  tdnn_dilations: [1, 2]\n", "a list of five"),
        ("  tdnn_dilations: [1, 0, 3, 1, 1]\n", "1 or more"),
    ] {
        settings(text);
        assert!(message().contains(expected), "{}", message());
    }
    settings("  tdnn_dilations: [1, 2, 3, 1, 1]  # frames\n");
    let encoder = SpeakerEncoder::open(folder.path(), &Device::flex()).unwrap();
    // Four frames: three are mirrored at either end.
    assert_eq!(encoder.least_samples(), 480);
    assert!(encoder.embed(&[0.1; 480]).unwrap().iter().all(|value| value.is_finite()));
    assert!(matches!(encoder.embed(&[0.1; 479]), Err(SpeakerError::Short { samples: 479, least: 480 })));
}

#[test]
fn unit_vectors_have_length_one() {
    close(&unit(&[3.0_f32, -4.0]), &[0.6, -0.8], 1e-7);
    assert_eq!(unit(&[0.0_f32; 3]), [0.0; 3]);
}
