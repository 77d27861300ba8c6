//! Writing: what goes out comes back bit by bit.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vocable_nets::Tokens;
use vocable_nn::{Init, Mode};
use vocable_objectives::quantizer::QuantizerConfig;
use vocable_random::Key;
use vocable_speecht5::checkpoint::{Checkpoint, Format, write_extended, write_fairseq};
use vocable_speecht5::huggingface::{Architecture, ModelFolder, Settings, write_folder};
use vocable_speecht5::pretrain::{Modalities, PretrainConfig};
use vocable_speecht5::{ModelConfig, Preset, Pretrainer, Regularisation, SpeakerClassifier};
use vocable_text::Tokenizer;

use super::reading::folder;
use super::{device, fixture, fresh, official, parameters, tensors};

#[test]
fn a_folder_that_is_read_and_written_holds_the_same_tensors() {
    for name in ["asr", "tts", "vc"] {
        let source = ModelFolder::open(fixture("hf").join(name)).unwrap();
        let model = source.load_strict(&device()).unwrap();
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("model");
        let tokenizer = source.tokenizer.as_ref().unwrap();
        let (architecture, new) = (source.architecture, Settings::default());
        write_folder(&path, architecture, &model, source.model_config(), tokenizer, &source.front_end, &new).unwrap();
        let files =
            ["config.json", "preprocessor_config.json", "model.safetensors", "spm_char.model", "added_tokens.json"];
        assert!(files.iter().all(|file| path.join(file).exists()));
        assert_eq!(fs::read_dir(&path).unwrap().count(), files.len() + 1, "and tokenizer_config.json");
        let read = ModelFolder::open(&path).unwrap();
        assert_eq!(read.model_config(), source.model_config());
        assert_eq!((&read.tokenizer, &read.front_end), (&source.tokenizer, &source.front_end));
        assert_eq!(parameters(&read.load_strict(&device()).unwrap()), parameters(&model));
        let mut written = tensors(&path);
        let expected = tensors(&fixture("hf").join(name));
        for (name, tensor) in &expected {
            let written = written.remove(name).unwrap_or_else(|| panic!("{name} is not written"));
            // Counters start again.
            assert!(written == *tensor || name.ends_with("num_batches_tracked"), "{name}");
        }
        assert!(written.is_empty(), "{:?}", written.keys());
    }
}

#[test]
fn a_folder_that_is_made_of_a_folder_says_what_that_one_said() {
    let changed = folder("asr", |_| {});
    let read = |folder: &Path| -> Value {
        let text = fs::read(folder.join("config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let mut said = read(changed.path());
    let own = json!({
        "pad_token_id": 3, "bos_token_id": 4, "eos_token_id": 5, "decoder_start_token_id": 6, "hidden_dropout": 0.25,
        "encoder_layerdrop": 0.0, "mask_time_prob": 0.125, "max_speech_positions": 700, "max_text_positions": 130,
        "max_length": 60, "id2label": { "0": "what nobody here knows" },
    });
    said.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    said["torch_dtype"] = "float16".into();
    fs::write(changed.path().join("config.json"), said.to_string()).unwrap();
    let generation = "{ \"max_length\": 61,\n  \"num_beams\": 3 }";
    fs::write(changed.path().join("generation_config.json"), generation).unwrap();

    let source = ModelFolder::open(changed.path()).unwrap();
    let (model, tokenizer) = (source.load_strict(&device()).unwrap(), source.tokenizer.as_ref().unwrap());
    let settings = Settings::read(changed.path()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (config, front_end) = (source.model_config(), &source.front_end);
    write_folder(out.path(), source.architecture, &model, config, tokenizer, front_end, &settings).unwrap();
    let written = read(out.path());
    // Weights are in single precision, whatever they were.
    assert_eq!((written.get("torch_dtype"), &written["dtype"]), (None, &json!("float32")));
    for (key, value) in said.as_object().unwrap().iter().filter(|(key, _)| *key != "torch_dtype") {
        assert_eq!(&written[key], value, "{key}");
    }
    assert_eq!(fs::read_to_string(out.path().join("generation_config.json")).unwrap(), generation);
    // Another model in its place, which says nothing of generation, is not ruled by what was said of this one.
    write_folder(out.path(), source.architecture, &model, config, tokenizer, front_end, &Settings::default()).unwrap();
    assert!(!out.path().join("generation_config.json").exists());
    // A file has none of its own, nor has a folder without them.
    for none in [changed.path().join("model.safetensors"), fixture("official")] {
        assert_eq!(format!("{:?}", Settings::read(none).unwrap()), format!("{:?}", Settings::default()));
    }
    said["eos_token_id"] = 50.into();
    fs::write(changed.path().join("config.json"), said.to_string()).unwrap();
    let error = Settings::read(changed.path()).unwrap_err().to_string();
    assert!(error.contains("config.json: eos_token_id is 50, but vocab_size is 50"), "{error}");
}

#[test]
fn the_extended_file_of_a_fairseq_checkpoint_loses_nothing() {
    let (checkpoint, config, vocabulary) = official();
    let (model, report) = checkpoint.load(fresh(&config, vocabulary)).unwrap();
    assert!(report.left_out.iter().any(|name| name == "decoder.pos_emb.pe_k.weight"), "{report:?}");
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("extended.safetensors");
    write_extended(&path, &model, &config, Some((&checkpoint, &report))).unwrap();

    // Every tensor is there under its new name, but for copies of the text matrix and constants.
    let extended = Checkpoint::open(&path).unwrap();
    assert_eq!(extended.format(), Format::HuggingFace);
    let written = tensors(&path);
    for (name, tensor) in tensors(&fixture("official/model.pt")) {
        if Format::Fairseq.is_constant(&name) {
            continue;
        }
        let (parameter, _) = Format::Fairseq.paths(&name).next().unwrap();
        let (new, _) = Format::HuggingFace.names(&parameter).next().unwrap();
        assert_eq!(written.get(&new), Some(&tensor), "{name} as {new}");
    }
    // Read and written again, it is the same file.
    assert_eq!(extended.config(Preset::Official).unwrap(), config);
    let (again, report) = extended.load(fresh(&config, vocabulary)).unwrap();
    assert_eq!(parameters(&again), parameters(&model));
    let second = out.path().join("second.safetensors");
    write_extended(&second, &again, &config, Some((&extended, &report))).unwrap();
    assert_eq!(fs::read(&second).unwrap(), fs::read(&path).unwrap());
}

#[test]
fn a_file_in_the_official_names_is_what_the_official_code_saved() {
    let (checkpoint, config, vocabulary) = official();
    let (model, report) = checkpoint.load(fresh(&config, vocabulary)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("model.pt");
    write_fairseq(&path, &model, &config, Some((&checkpoint, &report))).unwrap();
    let expected = tensors(&fixture("official/model.pt"));
    let written = tensors(&path);
    assert!(written.keys().eq(expected.keys()), "{:?}, {:?}", written.keys(), expected.keys());
    for (name, tensor) in &expected {
        // The device's mark has the value of memory that nobody wrote.
        assert!(written[name] == *tensor || name.ends_with("_float_tensor"), "{name}");
    }
    let again = Checkpoint::open(&path).unwrap();
    assert_eq!((again.format(), again.config(Preset::Official).unwrap()), (Format::Fairseq, config.clone()));
    assert_eq!(parameters(&again.load(fresh(&config, vocabulary)).unwrap().0), parameters(&model));

    // Without a source, the same but for what only pre-training has.
    write_fairseq(&path, &model, &config, None).unwrap();
    let own = tensors(&path);
    for (name, tensor) in &expected {
        match own.get(name) {
            Some(own) => assert_eq!((own.dtype, &own.shape), (tensor.dtype, &tensor.shape), "{name}"),
            None => assert!(name.starts_with("hubert_layer.") || name.starts_with("quantizer."), "{name}"),
        }
    }
    assert!(own.keys().all(|name| expected.contains_key(name)), "{:?}", own.keys());
}

#[test]
fn everything_that_is_trained_here_returns() {
    let (_, config, _) = official();
    let vocabulary = 11;
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("extended.safetensors");
    let pretrain = PretrainConfig {
        speech: None,
        text: None,
        quantizer: Some(QuantizerConfig { groups: 2, codes: 8, ..QuantizerConfig::official() }),
        diversity: 0.1,
        codebook: 0.0,
        modalities: Modalities::Paired,
        accumulate: 1,
        regularisation: Regularisation::none(),
    };
    let pretrainer = |seed| Pretrainer::new(&config, &pretrain, vocabulary, 1, 5, Key::new(seed), &device());
    let trained = pretrainer(1);
    write_extended(&path, &trained, &config, None).unwrap();
    let (read, report) = Checkpoint::open(&path).unwrap().load(pretrainer(2)).unwrap();
    assert_eq!(parameters(&read), parameters(&trained));
    assert!(report.absent.is_empty() && report.missing.is_empty() && report.unexpected.is_empty(), "{report:?}");

    let init = Init::new(Key::new(4), &device());
    let classifier = SpeakerClassifier::new(fresh(&config, vocabulary), config.width, 9, &init);
    write_extended(&path, &classifier, &config, None).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.sizes().unwrap().classes, Some(9));
    let other = SpeakerClassifier::new(fresh(&config, vocabulary), config.width, 9, &Init::new(Key::new(5), &device()));
    assert_eq!(parameters(&checkpoint.load(other).unwrap().0), parameters(&classifier));

    // The large model's kind: norms before the sub-layers, of relative positions too, in every extractor block.
    let large = ModelConfig {
        norm: vocable_nn::NormPlacement::Pre,
        extractor_norm: vocable_nn::ExtractorNorm::EveryBlock,
        decoder_feed_forward: Some(20),
        postnet_kernel: Some(3),
        ..config
    };
    let model = fresh(&large, vocabulary);
    write_extended(&path, &model, &large, None).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.config(Preset::Official).unwrap(), large);
    let (read, report) =
        checkpoint.load(large.init(vocabulary, 1, &Regularisation::none(), Key::new(8), &device())).unwrap();
    assert_eq!(parameters(&read), parameters(&model));
    assert!(report.left_out.iter().all(|name| name.ends_with("num_batches_tracked")), "{report:?}");
}

#[test]
fn one_pretrained_model_serves_every_class() {
    let (checkpoint, config, vocabulary) = official();
    let (model, _) = checkpoint.load(fresh(&config, vocabulary)).unwrap();
    let characters = (0..vocabulary - 7).map(|n| char::from_u32('a' as u32 + n as u32).unwrap());
    let tokenizer = Tokenizer::from(&vocable_text::CharVocabulary::from_characters(characters).unwrap());
    let out = tempfile::tempdir().unwrap();
    let (front_end, new) = (Default::default(), Settings::default());
    for architecture in
        [Architecture::SpeechToText, Architecture::TextToSpeech, Architecture::SpeechToSpeech, Architecture::Base]
    {
        let path = out.path().join(architecture.class());
        write_folder(&path, architecture, &model, &config, &tokenizer, &front_end, &new).unwrap();
        let folder = ModelFolder::open(&path).unwrap();
        assert_eq!(folder.architecture, architecture);
        // As transformers' conversion of the official files writes it.
        let most = match architecture {
            Architecture::SpeechToText => Some(folder.config.max_text_positions),
            Architecture::TextToSpeech | Architecture::SpeechToSpeech => Some(folder.config.max_speech_positions),
            Architecture::SequenceClassification | Architecture::Base => None,
        };
        assert_eq!(folder.config.other.get("max_length"), most.map(Value::from).as_ref());
        let read = parameters(&folder.load_strict(&device()).unwrap());
        let parts = architecture.parts();
        for (name, values) in parameters(&model) {
            let part = name.split('.').next().unwrap();
            assert_eq!(read[&name] == values, parts.contains(&part), "{name} of {}", architecture.class());
        }
    }
    let wrong = |config: &ModelConfig, architecture| {
        write_folder(out.path(), architecture, &model, config, &tokenizer, &front_end, &new).unwrap_err().to_string()
    };
    let relu = ModelConfig { prenet_last_relu: true, ..config.clone() };
    assert!(wrong(&relu, Architecture::TextToSpeech).contains("prenet_last_relu=false"));
    let asr = Architecture::SpeechToText;
    write_folder(&out.path().join("relu"), asr, &model, &relu, &tokenizer, &front_end, &new).unwrap();
    let large = ModelConfig { norm: vocable_nn::NormPlacement::Pre, ..config.clone() };
    assert!(wrong(&large, Architecture::Base).contains("transformers has no norm before"));
    let other = Tokenizer::open(fixture("hf/asr")).unwrap();
    let base = Architecture::Base;
    let error = write_folder(out.path(), base, &model, &config, &other, &front_end, &new).unwrap_err().to_string();
    assert!(error.contains("the tokenizer 50 tokens"), "{error}");
    // Made of a folder of another class, a folder has the lengths of its own, and is not told how to generate.
    let from = out.path().join(base.class());
    fs::write(from.join("generation_config.json"), "{}").unwrap();
    let (to, settings) = (out.path().join("another class"), Settings::read(&from).unwrap());
    write_folder(&to, asr, &model, &config, &tokenizer, &front_end, &settings).unwrap();
    assert_eq!(ModelFolder::open(&to).unwrap().config.max_text_positions, 450);
    assert!(!to.join("generation_config.json").exists());
}

#[test]
fn new_characters_leave_the_others_as_they_were() {
    let source = ModelFolder::open(fixture("hf/asr")).unwrap();
    let model = source.load_strict(&device()).unwrap();
    let (tokenizer, before) = source.tokenizer.as_ref().unwrap().extended(&['ä', 'ß']).unwrap();
    let init = source.model_config().initial(Key::new(6), &device());
    let extended = model.clone().with_vocabulary(&before, &init);
    assert_eq!(extended.tokens.weight.val().dims(), [52, 64]);
    assert_eq!(extended.ctc.weight.val().dims(), [64, 52]);
    assert_eq!(extended.ctc.bias.as_ref().unwrap().val().dims(), [52]);

    // Old characters have the same logits under their new identifiers.
    let logits = |model: &vocable_speecht5::SpeechT5, ids: Vec<u32>| -> Vec<f32> {
        let tokens = Tokens::new(&[ids], 1, &device());
        let memory = model.encode_text(&tokens, Mode::Eval);
        let logits = model.decode_text(&tokens, memory, &tokens.lengths.clone(), Mode::Eval);
        logits.try_into_vec_as::<f32>().unwrap()
    };
    let old = source.tokenizer.as_ref().unwrap();
    let ids = [old.encode("the").ids, vec![old.id("<mask>").unwrap()]].concat();
    let new = [tokenizer.encode("the").ids, vec![tokenizer.id("<mask>").unwrap()]].concat();
    assert_ne!(ids, new);
    let (ours, theirs) = (logits(&extended, new), logits(&model, ids));
    for (ours, theirs) in ours.chunks(52).zip(theirs.chunks(50)) {
        for (value, row) in ours.iter().zip(&before) {
            if let Some(row) = row {
                // The same sums in float32, perhaps in another order.
                assert!((value - theirs[*row as usize]).abs() < 1e-4);
            }
        }
    }
    let ctc = extended.ctc.bias.as_ref().unwrap().val().try_into_vec_as::<f32>().unwrap();
    assert_eq!(ctc[48..50], [0.0, 0.0]);
    let drawn = extended.tokens.weight.val().slice([48..50, 0..64]).try_into_vec_as::<f32>().unwrap();
    assert!(drawn.iter().any(|&value| value != 0.0) && drawn[..64] != drawn[64..]);
}
