//! What loading reports and refuses.

use std::fs;
use std::path::Path;

use vocable_speecht5::checkpoint::{
    Checkpoint, Format, LoadReport, Meaning, TEXT_PARTS, write_extended, write_fairseq,
};
use vocable_speecht5::huggingface::{Architecture, ModelFolder};
use vocable_speecht5::{Preset, SpeechT5};
use vocable_weights::OwnedTensor;

use super::{device, fixture, fresh, official, parameters, tensors, write};

/// A copy of a model's folder of the reference, its weights changed.
pub fn folder(
    model: &str,
    change: impl FnOnce(&mut std::collections::BTreeMap<String, OwnedTensor>),
) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let source = fixture("hf").join(model);
    for entry in fs::read_dir(&source).unwrap() {
        let entry = entry.unwrap();
        fs::write(copy.path().join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    let mut weights = tensors(&source.join("model.safetensors"));
    change(&mut weights);
    write(&copy.path().join("model.safetensors"), weights);
    copy
}

fn load(folder: &Path) -> (SpeechT5, LoadReport) {
    ModelFolder::open(folder).unwrap().load(&device()).unwrap()
}

fn strict(folder: &Path) -> String {
    ModelFolder::open(folder).unwrap().load_strict(&device()).unwrap_err().to_string()
}

#[test]
fn every_class_loads_whole_and_names_the_parts_it_lacks() {
    for (name, architecture, absent) in [
        (
            "asr",
            Architecture::SpeechToText,
            &["ctc", "speech_decoder_postnet", "speech_decoder_prenet", "text_encoder_prenet"][..],
        ),
        ("tts", Architecture::TextToSpeech, &["ctc", "speech_encoder_prenet"]),
        ("vc", Architecture::SpeechToSpeech, &["ctc", "text_encoder_prenet", "tokens"]),
    ] {
        let folder = ModelFolder::open(fixture("hf").join(name)).unwrap();
        assert_eq!(folder.architecture, architecture);
        assert_eq!(folder.checkpoint.format(), Format::HuggingFace);
        let (_, report) = folder.load(&device()).unwrap();
        assert_eq!(report.absent, absent);
        let LoadReport { missing, reshaped, unexpected, left_out, .. } = &report;
        assert!(missing.is_empty() && reshaped.is_empty() && unexpected.is_empty(), "{report:?}");
        // Counters of the post-net's norms.
        assert!(left_out.iter().all(|name| name.ends_with("num_batches_tracked")), "{left_out:?}");
        folder.load_strict(&device()).unwrap();
        // The tensors alone tell the same sizes, as far as they are there.
        let sizes = folder.checkpoint.config(Preset::Hf).unwrap();
        let config = folder.model_config();
        assert_eq!(sizes.width, config.width);
        assert_eq!((sizes.heads, sizes.feed_forward), (config.heads, config.feed_forward));
        assert_eq!((sizes.encoder_layers, sizes.decoder_layers), (config.encoder_layers, config.decoder_layers));
        assert_eq!(sizes.encoder_relative_position, config.encoder_relative_position);
        assert_eq!(sizes.decoder_feed_forward(), config.decoder_feed_forward());
    }
}

#[test]
fn what_others_trained_is_known_to_lack_the_last_relu_of_the_prenet() {
    let lacks = |path: &Path| Checkpoint::open(path).unwrap().lacks_last_relu();
    for name in ["official/model.pt", "hf/tts", "hf/vc"] {
        assert!(lacks(&fixture(name)), "{name}");
    }
    assert!(!lacks(&fixture("hf/asr")), "it has no such pre-net");
    // What is written here does not tell.
    let (checkpoint, config, vocabulary) = official();
    let (model, _) = checkpoint.load(fresh(&config, vocabulary)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (extended, official) = (out.path().join("extended.safetensors"), out.path().join("official.pt"));
    write_extended(&extended, &model, &config, None).unwrap();
    write_fairseq(&official, &model, &config, None).unwrap();
    assert!(!lacks(&extended) && !lacks(&official));
}

#[test]
fn initial_values_that_a_file_replaces_are_never_drawn() {
    let folder = ModelFolder::open(fixture("hf/asr")).unwrap();
    let before = fresh(folder.model_config(), folder.config.vocab_size);
    let drawn = |model: &SpeechT5| {
        let SpeechT5 { tokens, speech_encoder_prenet, decoder, ctc, .. } = model;
        let linear = &decoder.layers[0].feed_forward.inner;
        [&tokens.weight, &linear.weight, &speech_encoder_prenet.extractor.blocks[1].weight, &ctc.weight]
            .map(|parameter| parameter.is_initialized())
            .into_iter()
            .chain([speech_encoder_prenet.positional.gain.is_initialized()])
            .collect::<Vec<_>>()
    };
    // Clones share what becomes of a value that is still to be drawn.
    let (after, _) = folder.checkpoint.load(before.clone()).unwrap();
    assert_eq!(drawn(&before), [false; 5]);
    // The folder has no CTC head.
    assert_eq!(drawn(&after), [true, true, true, false, true]);
    assert_eq!(after.ctc.weight.val().dims(), after.tokens.weight.val().transpose().dims());
}

#[test]
fn missing_unexpected_and_reshaped_tensors_are_reported_and_errors_when_strict() {
    let norm = "speecht5.encoder.wrapped_encoder.layers.1.layer_norm.weight";
    let prenet = "speecht5.decoder.prenet.layers.1.weight";
    let changed = folder("tts", |weights| {
        weights.remove(norm);
        let prenet = weights.get_mut(prenet).unwrap();
        *prenet = OwnedTensor::f32(vec![2, 3], &[0.5; 6]);
        weights.insert("speecht5.encoder.layer.7.who.weight".into(), OwnedTensor::f32(vec![1], &[1.0]));
    });
    let (model, report) = load(changed.path());
    assert_eq!(report.missing, ["encoder.layers.1.attention_norm.weight"]);
    assert_eq!(report.reshaped.len(), 1);
    assert!(report.reshaped[0].starts_with("speech_decoder_prenet.second.weight [24, 24], for which"), "{report:?}");
    assert_eq!(report.unexpected, ["speecht5.encoder.layer.7.who.weight"]);
    // What was not filled keeps its value: a norm's gain is one.
    let gain = &parameters(&model)["encoder.layers.1.attention_norm.weight"];
    assert!(gain.iter().all(|&bits| bits == 1.0_f32.to_bits()));
    let message = strict(changed.path());
    for reason in [
        "model.safetensors: the file lacks encoder.layers.1.attention_norm.weight",
        "has another shape of speech_decoder_prenet.second.weight",
        "holds the unknown tensor speecht5.encoder.layer.7.who.weight",
    ] {
        assert!(message.contains(reason), "{message}");
    }

    let halved = folder("asr", |weights| weights.retain(|name, _| !name.contains("prenet.f")));
    let message = strict(halved.path());
    assert!(message.contains("lacks speech_encoder_prenet.") && message.contains("more"), "{message}");
    let without = folder("asr", |weights| weights.retain(|name, _| !name.starts_with("speecht5.encoder.prenet")));
    let message = strict(without.path());
    assert!(message.contains("lacks everything of speech_encoder_prenet"), "{message}");
}

#[test]
fn both_spellings_of_weight_norm_tied_heads_and_constants_load_alike() {
    let expected = parameters(&load(&fixture("hf/asr")).0);
    let old = folder("asr", |weights| {
        for (new, old) in
            [("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v")]
        {
            let prefix = "speecht5.encoder.prenet.pos_conv_embed.conv.";
            let tensor = weights.remove(&format!("{prefix}{new}")).unwrap();
            weights.insert(format!("{prefix}{old}"), tensor);
        }
        // The head is the embedding again; transformers before version 5 wrote it.
        let embedding = weights["speecht5.decoder.prenet.embed_tokens.weight"].clone();
        weights.insert("text_decoder_postnet.lm_head.weight".into(), embedding);
        for constant in ["pos_sinusoidal_embed.weights", "embed_positions.weights"] {
            weights.insert(format!("speecht5.encoder.prenet.{constant}"), OwnedTensor::f32(vec![2], &[0.0; 2]));
        }
        weights
            .insert("speecht5.encoder.prenet.encode_positions.pe".into(), OwnedTensor::f32(vec![1, 4, 2], &[0.0; 8]));
    });
    let (model, report) = load(old.path());
    assert_eq!(parameters(&model), expected);
    assert!(report.unexpected.is_empty() && report.left_out.is_empty(), "{report:?}");
    ModelFolder::open(old.path()).unwrap().load_strict(&device()).unwrap();

    // Only the head: it is the embedding.
    let head = folder("asr", |weights| {
        let embedding = weights.remove("speecht5.decoder.prenet.embed_tokens.weight").unwrap();
        weights.insert("text_decoder_postnet.lm_head.weight".into(), embedding);
    });
    assert_eq!(parameters(&load(head.path()).0), expected);

    let untied = folder("asr", |weights| {
        let mut embedding = weights["speecht5.decoder.prenet.embed_tokens.weight"].clone();
        embedding.bytes[5] ^= 1;
        weights.insert("text_decoder_postnet.lm_head.weight".into(), embedding);
    });
    let error = ModelFolder::open(untied.path()).unwrap().load(&device()).unwrap_err().to_string();
    assert!(error.contains("embed_tokens.weight and text_decoder_postnet.lm_head.weight differ"), "{error}");
}

#[test]
fn half_precision_loads_as_single() {
    let name = "speecht5.encoder.wrapped_encoder.layer_norm.weight";
    let halves = folder("asr", |weights| {
        let tensor = weights.get_mut(name).unwrap();
        // 1.0 in half precision.
        tensor.bytes = [0x00, 0x3c].repeat(tensor.shape[0]);
        tensor.dtype = vocable_weights::Dtype::F16;
    });
    let model = ModelFolder::open(halves.path()).unwrap().load_strict(&device()).unwrap();
    assert!(parameters(&model)["encoder.norm.weight"].iter().all(|&bits| bits == 1.0_f32.to_bits()));
    let whole = folder("asr", |weights| weights.get_mut(name).unwrap().dtype = vocable_weights::Dtype::I32);
    let error = ModelFolder::open(whole.path()).unwrap().load(&device()).unwrap_err().to_string();
    assert!(error.contains(&format!("tensor {name} holds I32")), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let name = "speecht5.encoder.wrapped_encoder.layers.1.attention.k_proj.weight";
    for value in [f32::NAN, f32::NEG_INFINITY] {
        let damaged = folder("asr", |weights| {
            let bytes = &mut weights.get_mut(name).unwrap().bytes;
            let last = bytes.len() - 4;
            bytes[last..].copy_from_slice(&value.to_le_bytes());
        });
        let error = ModelFolder::open(damaged.path()).unwrap().load(&device()).unwrap_err().to_string();
        assert!(error.contains(&format!("model.safetensors: {name} holds a value that is not finite")), "{error}");
    }
}

#[test]
fn a_fairseq_checkpoint_is_described_tensor_by_tensor() {
    let (checkpoint, ..) = official();
    assert_eq!(checkpoint.format(), Format::Fairseq);
    let described = checkpoint.describe();
    let meaning = |name: &str| &described.iter().find(|tensor| tensor.name == name).unwrap().meaning;
    assert_eq!(
        meaning("encoder.layers.1.fc2.bias"),
        &Meaning::Parameter("encoder.layers.1.feed_forward.outer.bias".into())
    );
    assert_eq!(meaning("text_decoder_postnet.output_projection.weight"), &Meaning::Parameter("tokens.weight".into()));
    assert_eq!(meaning("quantizer.vars"), &Meaning::Parameter("quantizer.codebook".into()));
    assert_eq!(meaning("encoder.version"), &Meaning::Constant);
    assert!(described.iter().all(|tensor| tensor.meaning != Meaning::Unknown));
    // Of transformers' two kinds of norm, the one that the file has.
    let folder = ModelFolder::open(fixture("hf/asr")).unwrap();
    let norms =
        folder.checkpoint.describe().into_iter().filter(|tensor| tensor.name.contains("conv_layers.0.layer_norm"));
    let norms: Vec<Meaning> = norms.map(|tensor| tensor.meaning).collect();
    assert_eq!(norms[0], Meaning::Parameter("speech_encoder_prenet.extractor.blocks.0.channel_norm.bias".into()));
}

#[test]
fn a_new_vocabulary_starts_the_text_parts_anew() {
    let (checkpoint, config, vocabulary) = official();
    let model = fresh(&config, vocabulary + 7);
    let before = parameters(&model);
    let (_, report) = checkpoint.load(model.clone()).unwrap();
    assert!(report.reshaped.iter().any(|line| line.starts_with("tokens.weight")), "{report:?}");
    let (model, report) = checkpoint.load_without(model, &TEXT_PARTS).unwrap();
    assert_eq!(report.absent, ["ctc", "text_encoder_prenet", "tokens"]);
    assert!(report.missing.is_empty() && report.reshaped.is_empty() && report.unexpected.is_empty());
    let after = parameters(&model);
    for name in ["tokens.weight", "ctc.weight", "ctc.bias", "text_encoder_prenet.alpha"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert_ne!(
        before["decoder.layers.0.feed_forward.inner.weight"],
        after["decoder.layers.0.feed_forward.inner.weight"]
    );
}

#[test]
fn files_of_other_models_are_refused() {
    let error = Checkpoint::open(fixture("weights/tensors.pt")).unwrap_err().to_string();
    assert!(error.contains("tensors.pt: none of its tensors has a name of SpeechT5's"), "{error}");
    let error = ModelFolder::open(fixture("hf/hifigan")).unwrap_err().to_string();
    assert!(error.contains("config.json: it is for SpeechT5HifiGan"), "{error}");
    let error = ModelFolder::open(fixture("hf")).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn settings_that_no_model_has_are_named_and_sizes_are_bounded_by_the_file() {
    for (key, value, reason) in [
        ("hidden_size", "1000000000", "width is 1000000000; sizes are from 1 to 65536"),
        ("encoder_layers", "60000", "weights is described, but the file holds"),
        ("encoder_ffn_dim", "0", "feed_forward is 0"),
        ("encoder_attention_heads", "5", "a width of 64 does not divide into 5 heads"),
        ("num_conv_pos_embedding_groups", "3", "does not divide into 3 positional groups"),
        ("hidden_act", "\"relu\"", "hidden_act is relu, where gelu is supported"),
        ("conv_bias", "true", "conv_bias is true"),
        ("tie_word_embeddings", "false", "tie_word_embeddings is false"),
        ("conv_kernel", "[10]", "have different lengths"),
        ("vocab_size", "49", "vocab_size is 49, but the tokenizer has 50 tokens"),
        ("pad_token_id", "50", "pad_token_id is 50, but vocab_size is 50"),
        ("bos_token_id", "50", "bos_token_id is 50, but vocab_size is 50"),
        ("eos_token_id", "4294967295", "eos_token_id is 4294967295, but vocab_size is 50"),
        ("decoder_start_token_id", "50", "decoder_start_token_id is 50, but vocab_size is 50"),
        ("speech_decoder_prenet_dropout", "1.0", "speech_decoder_prenet_dropout is 1; shares that"),
        ("speech_decoder_postnet_dropout", "-0.1", "speech_decoder_postnet_dropout is -0.1; shares"),
        ("positional_dropout", "7", "positional_dropout is 7; shares"),
        ("initializer_range", "1e300", "initializer_range is 1"),
        ("initializer_range", "-1", "initializer_range is -1; deviations are from 0 to 1000"),
        ("vocab_size", "-1", "config.json"),
        ("architectures", "[\"SpeechT5ForSpeechToText\", \"B\"]", "it is for SpeechT5ForSpeechToText, B"),
    ] {
        let folder = folder("asr", |_| {});
        let path = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[key] = serde_json::from_str(value).unwrap();
        fs::write(&path, config.to_string()).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("config.json: ") && error.contains(reason), "{error}");
    }
}
