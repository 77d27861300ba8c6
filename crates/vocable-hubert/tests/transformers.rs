//! Numbers of transformers (fixtures/hubert), and folders that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Value, json};
use vocable_hubert::{Hubert, HubertError, RATE};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn samples() -> Vec<f32> {
    vocable_audio::read(fixture("hf/asr_0.wav")).unwrap().expect_rate(RATE).unwrap().samples
}

#[test]
fn hidden_states_of_every_layer_are_those_of_transformers() {
    let expected: Value = serde_json::from_slice(&fs::read(fixture("hubert/expected.json")).unwrap()).unwrap();
    let rows: Vec<usize> = serde_json::from_value(expected["rows"].clone()).unwrap();
    let layers: Vec<Vec<Vec<f32>>> = serde_json::from_value(expected["layers"].clone()).unwrap();
    assert_eq!(layers.len(), 3);
    for spelling in ["safetensors", "bin"] {
        let hubert = Hubert::open(fixture("hubert").join(spelling), &Device::flex()).unwrap();
        for (layer, theirs) in layers.iter().enumerate() {
            let ours = hubert.hidden_states(&samples(), layer + 1).unwrap();
            assert_eq!(Some(ours.len() as u64), expected["frames"].as_u64());
            for (&row, theirs) in rows.iter().zip(theirs) {
                let ours = ours.row(row);
                assert_eq!(ours.len(), theirs.len());
                let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // Values of order one to three after layers of sums in single precision.
                assert!(worst < 1e-4, "{spelling}, layer {}, frame {row}: {worst}", layer + 1);
            }
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let hubert = Hubert::open(fixture("hubert/bin"), &Device::flex()).unwrap();
    assert!(matches!(hubert.hidden_states(&samples(), 0), Err(HubertError::Layer { layer: 0, layers: 3 })));
    assert!(matches!(hubert.hidden_states(&samples(), 4), Err(HubertError::Layer { layer: 4, layers: 3 })));
    assert_eq!(hubert.hidden_states(&[0.1; 400], 1).unwrap().len(), 1);
    assert!(matches!(hubert.hidden_states(&[0.1; 399], 1), Err(HubertError::Short { samples: 399 })));
}

#[test]
fn other_models_are_refused_by_the_setting_that_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let message = || Hubert::open(folder.path(), &Device::flex()).unwrap_err().to_string();
    assert!(message().contains("config.json"));
    let read = |name: &str| fs::read(fixture("hubert/safetensors").join(name)).unwrap();
    fs::write(folder.path().join("model.safetensors"), read("model.safetensors")).unwrap();
    let base: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let write = |changes: Value| {
        let mut config = base.clone();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    };
    for (changes, expected) in [
        (json!({ "model_type": "wav2vec2" }), "model_type is wav2vec2"),
        (json!({ "hidden_act": "relu" }), "hidden_act is relu"),
        (json!({ "feat_extract_norm": "layer" }), "feat_extract_norm is layer"),
        (json!({ "conv_bias": true }), "conv_bias is true, where false"),
        (json!({ "do_stable_layer_norm": true }), "do_stable_layer_norm is true"),
        (json!({ "conv_stride": [5, 2] }), "equally long lists"),
        (json!({ "num_attention_heads": 3 }), "does not divide the hidden_size 16"),
        (json!({ "intermediate_size": 0 }), "a size is 0"),
        (json!({ "hidden_size": 65_536 }), "weights is described, but the file holds"),
        (json!({ "intermediate_size": 25 }), "another shape of encoder.layers.0.feed_forward.inner.weight"),
        (json!({ "num_hidden_layers": 4 }), "lacks encoder.layers.3"),
    ] {
        write(changes);
        assert!(message().contains(expected), "{} lacks {expected}", message());
    }
    // Without the file of the front end its defaults hold.
    write(json!({}));
    let whole = Hubert::open(fixture("hubert/safetensors"), &Device::flex()).unwrap();
    let found = Hubert::open(folder.path(), &Device::flex()).unwrap();
    assert_eq!(found.hidden_states(&samples(), 2).unwrap(), whole.hidden_states(&samples(), 2).unwrap());
    fs::write(folder.path().join("preprocessor_config.json"), r#"{"sampling_rate": 8000}"#).unwrap();
    assert!(message().contains("sampling_rate is 8000"));
}
