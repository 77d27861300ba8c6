//! `vocable transcribe`, `speak` and `convert` as a user runs them, on tiny random models.
//!
//! Numbers are those of transformers in `fixtures/hf`, or in the folder that `VOCABLE_HF_GOLDENS` names. Tolerance of
//! log-mels: |a − b| ≤ 1e-4 · max(1, max|b|), as in `vocable-speecht5`'s target `hf`; of waveforms in 16 bits one step more.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use burn::tensor::Device;
use serde_json::Value;
use vocable_decode::{TextLimits, greedy};
use vocable_lm::{Dictionary, Fusion, LanguageModel, LmConfig};
use vocable_random::Key;
use vocable_text::Tokenizer;
use vocable_weights::Weights;

fn goldens() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hf");
    std::env::var_os("VOCABLE_HF_GOLDENS").map_or_else(own, PathBuf::from)
}

fn golden(name: &str) -> String {
    goldens().join(name).display().to_string()
}

fn cases() -> serde_json::Map<String, Value> {
    serde_json::from_slice(&fs::read(goldens().join("cases.json")).unwrap()).unwrap()
}

/// Cases of a kind with their names, at least one.
fn cases_of(kind: &str) -> Vec<(String, Value)> {
    let found: Vec<_> = cases().into_iter().filter(|(name, _)| name.starts_with(&format!("{kind}_"))).collect();
    assert!(!found.is_empty());
    found
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vocable"));
    command.args(arguments);
    command
}

fn vocable(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("messages are UTF-8")
}

/// The objects that a command prints, one a line; it must succeed in silence.
#[track_caller]
fn objects(arguments: &[&str]) -> Vec<Value> {
    let output = vocable(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command says when it ends with `code`.
#[track_caller]
fn complaint(code: i32, arguments: &[&str]) -> String {
    let output = vocable(arguments);
    let said = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], step: f32) {
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= 1e-4 * scale + step, "value {i} is {a}, not {b}");
    }
}

fn tensor(path: impl AsRef<Path>, name: &str) -> Vec<f32> {
    Weights::open(path).unwrap().get(name).unwrap_or_else(|| panic!("no {name}")).to_f32().unwrap()
}

fn samples(path: &Path) -> Vec<f32> {
    let reader = hound::WavReader::open(path).unwrap();
    reader.into_samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0).collect()
}

const STEP: f32 = 1.0 / 32768.0;

#[test]
fn transcripts_have_the_tokens_of_the_reference() {
    for (name, case) in cases_of("asr") {
        let tokens = case["tokens"].as_array().unwrap();
        let (model, file, most) = (golden("asr"), golden(&format!("{name}.wav")), (tokens.len() - 1).to_string());
        let arguments =
            ["transcribe", "--model", &model, &file, "--beam", "1", "--no-suppress", "--max-tokens", &most, "--json"];
        let [found] = &objects(&arguments)[..] else { panic!("one recording, one object") };
        assert_eq!(found["tokens"].as_array().unwrap(), tokens, "{name}");
        assert_eq!((&found["text"], found["file"].as_str()), (&case["text"], Some(file.as_str())));
        assert!(found["score"].as_f64().unwrap() < 0.0 && found["seconds"].as_f64().unwrap() > 0.1);
        assert!(found["rtf"].as_f64().unwrap() > 0.0);
        // Without --json the text alone.
        let plain = vocable(&arguments[..arguments.len() - 1]);
        assert_eq!(text(&plain.stdout).trim_end(), case["text"].as_str().unwrap().trim_end());
    }
}

/// That a command with weights in fewer bits gives other numbers, but hardly: `numbers` runs it with more arguments.
#[track_caller]
fn moves_with_precision(numbers: impl Fn(&[&str]) -> Vec<f32>) {
    let exact = numbers(&[]);
    assert_eq!(numbers(&["--weights", "f32"]), exact);
    let largest = exact.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    // The bounds of `vocable-speecht5`'s target `hf` for a step, doubled, for here every step follows from the last.
    for (weights, bound) in [("bf16", 0.02), ("int8", 0.07)] {
        let other = numbers(&["--weights", weights]);
        assert_eq!(other.len(), exact.len());
        let moved = other.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
        assert!(moved > 0.0 && moved < bound, "{weights}: {moved}");
    }
}

#[test]
fn weights_in_fewer_bits_hardly_move_what_is_decoded() {
    let out = tempfile::tempdir().unwrap();
    let [asr, file, tts, speaker] = ["asr", "asr_0.wav", "tts", "tts_speaker.safetensors"].map(golden);
    let to = |name: &str| out.path().join(name).display().to_string();
    let (wav, mel) = (to("a.wav"), to("a.safetensors"));
    moves_with_precision(|more| {
        let arguments = ["transcribe", "--model", &asr, &file, "--beam", "1", "--max-tokens", "1", "--json"];
        vec![objects(&[&arguments, more].concat())[0]["score"].as_f64().unwrap() as f32]
    });
    moves_with_precision(|more| {
        let arguments = ["speak", "--model", &tts, "--speaker", &speaker, "--no-prenet-dropout", "--threshold", "1.99"];
        let most = ["--max-len-ratio", "1", "-o", &wav, "--mel", &mel, "the fox", "--json"];
        objects(&[&arguments, &most[..], more].concat());
        tensor(&mel, "mel")
    });
    let said = complaint(2, &["transcribe", "--model", &asr, &file, "--weights", "int4"]);
    assert!(said.contains("int4") && said.contains("f32, bf16, int8"), "{said}");
}

#[test]
fn recordings_come_from_files_folders_globs_and_standard_input_in_any_batch() {
    let (model, folder) = (golden("asr"), tempfile::tempdir().unwrap());
    let names: Vec<String> = cases_of("asr").into_iter().map(|(name, _)| format!("{name}.wav")).collect();
    fs::create_dir(folder.path().join("deep")).unwrap();
    for (number, name) in names.iter().enumerate() {
        let to = if number == 0 { folder.path().join("deep").join(name) } else { folder.path().join(name) };
        fs::write(to, fs::read(goldens().join(name)).unwrap()).unwrap();
    }
    let first = folder.path().join("deep").join(&names[0]).display().to_string();
    fs::write(folder.path().join("notes.txt"), "no recording").unwrap();
    let run = |files: &[&str], batch: &str| {
        let options =
            ["transcribe", "--model", &model, "--beam", "3", "--max-tokens", "12", "--json", "--batch", batch];
        objects(&[&options, files].concat())
    };
    let whole = folder.path().display().to_string();
    let said = |objects: &[Value]| -> Vec<Value> { objects.iter().map(|found| found["tokens"].clone()).collect() };
    let singles = run(&[&whole], "1");
    assert_eq!(singles.len(), names.len());
    let together = run(&[&whole], "4");
    assert_eq!(said(&together), said(&singles));
    for (one, other) in together.iter().zip(&singles) {
        let [one, other] = [one, other].map(|found| found["score"].as_f64().unwrap());
        // Sums of the same numbers in float32.
        assert!((one - other).abs() < 1e-4, "{one} and {other}");
    }
    let globbed = run(&[&format!("{whole}/deep/*.wav")], "1");
    assert_eq!((globbed.len(), globbed[0]["file"].as_str()), (1, Some(first.as_str())));
    let place = singles.iter().position(|found| found["file"] == globbed[0]["file"]).unwrap();
    assert_eq!(said(&globbed)[0], said(&singles)[place]);

    let mut child = command(&["transcribe", "--model", &model, "--beam", "3", "--max-tokens", "12", "--json", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&first).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((found["tokens"].clone(), found["file"].as_str()), (said(&globbed)[0].clone(), Some("standard input")));
}

#[test]
fn special_tokens_are_written_only_when_asked_for() {
    // A random model writes anything: with the beam's help padding, too, where it may.
    let (model, file) = (golden("asr"), golden("asr_0.wav"));
    let found = objects(&["transcribe", "--model", &model, &file, "--max-tokens", "40", "--json"]);
    let tokens = found[0]["tokens"].as_array().unwrap();
    assert!(!tokens.iter().any(|token| token == 1), "{tokens:?}");
}

/// A language model over the tokens of a model's folder in reverse, and over one token more.
fn language_model(tokenizer: &Tokenizer) -> LanguageModel {
    let known = tokenizer.spellings().into_iter().filter(|token| !["", "<mask>", "<ctc_blank>"].contains(token));
    let mut spellings: Vec<String> = known.map(str::to_owned).chain(["☃".to_owned()]).collect();
    spellings.reverse();
    let dictionary = Dictionary::try_from(spellings).unwrap();
    let sizes = LmConfig { layers: 2, width: 16, feed_forward: 32, heads: 2, deviation: 0.5, ..LmConfig::official() };
    let model = sizes.init(dictionary.len(), dictionary.pad(), Key::new(1), &Device::flex());
    LanguageModel { path: "lm".into(), config: sizes, dictionary, model }
}

#[test]
fn a_language_model_has_the_say_that_its_weight_gives_it() {
    let (model, folder) = (golden("asr"), tempfile::tempdir().unwrap());
    let tokenizer = Tokenizer::open(&model).unwrap();
    let lm = language_model(&tokenizer);
    let at = folder.path().display().to_string();
    lm.save(folder.path()).unwrap();
    let files: Vec<String> = cases_of("asr").iter().map(|(name, _)| golden(&format!("{name}.wav"))).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let found = |more: &[&str]| {
        let options = ["transcribe", "--model", &model, "--max-tokens", "9", "--json"];
        let said = |found: Value| (found["tokens"].clone(), found["score"].as_f64().unwrap());
        objects(&[&options, more, &files].concat()).into_iter().map(said).collect::<Vec<_>>()
    };
    for beam in ["1", "4"] {
        // A weight of zero is no language model, bit for bit; at another the scores tell that there is one.
        let (without, mute) = (found(&["--beam", beam]), found(&["--beam", beam, "--lm", &at, "--lm-weight", "0"]));
        assert_eq!(without, mute);
        let fused = found(&["--beam", beam, "--lm", &at]);
        assert!(fused.iter().zip(&without).all(|(fused, alone)| fused.1 != alone.1), "{fused:?} and {without:?}");
    }
    // At a weight like this nothing else counts: what a beam of one writes is the language model's own text.
    let fusion = Fusion::new(lm, tokenizer.spellings()).unwrap();
    let marks: Vec<u32> =
        ["<pad>", "<mask>", "<ctc_blank>"].into_iter().filter_map(|token| tokenizer.id(token)).collect();
    let end = tokenizer.id("</s>").unwrap();
    let limits = TextLimits { start: end, end, min_length: 0, max_length: 9 };
    let own = greedy(&mut fusion.stepper(1), 1, &limits, &marks).remove(0);
    let (end, start) = (own.ended.then_some(end), std::iter::once(end));
    let expected: Vec<u32> = start.chain(own.tokens).chain(end).collect();
    for (tokens, _) in found(&["--beam", "1", "--lm", &at, "--lm-weight", "1e7"]) {
        assert_eq!(serde_json::from_value::<Vec<u32>>(tokens).unwrap(), expected);
    }
}

#[test]
fn language_models_that_do_not_fit_are_refused() {
    let [model, file] = ["asr", "asr_0.wav"].map(golden);
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm/pre/model.pt");
    let checkpoint = checkpoint.to_str().unwrap();
    let cannot = |more: &[&str]| complaint(2, &[&["transcribe", "--model", &model, &file], more].concat());
    let said = cannot(&["--lm", checkpoint]);
    assert!(said.contains(&format!("{checkpoint}: the language model has no token for ")), "{said}");
    assert!(cannot(&["--lm", "nowhere"]).contains("nowhere"));
    assert!(cannot(&["--lm", &model]).contains("config.json: "));
    assert!(cannot(&["--lm-weight", "1"]).contains("--lm <DIR|FILE>"));
    assert!(cannot(&["--lm", checkpoint, "--lm-weight", "NaN"]).contains("--lm-weight is NaN"));
}

#[test]
fn failed_inputs_are_named_and_the_others_are_done() {
    let (model, file) = (golden("asr"), golden("asr_0.wav"));
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wav");
    fs::write(&broken, "RIFF").unwrap();
    let broken = broken.display().to_string();
    let output = vocable(&["transcribe", "--model", &model, "--max-tokens", "3", "none.wav", &file, &broken]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("none.wav: no such file") && said.contains("broken.wav: truncated"), "{said}");
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert!(text(&output.stdout).starts_with(&format!("{file}\t")));
}

#[test]
fn commands_that_cannot_begin_say_why() {
    let [asr, tts, file] = ["asr", "tts", "asr_0.wav"].map(golden);
    let cannot = |arguments: &[&str]| complaint(2, arguments);
    assert!(cannot(&["transcribe", "--model", "nowhere", &file]).contains("nowhere"));
    assert!(cannot(&["transcribe", "--model", &tts, &file]).contains("where a SpeechT5ForSpeechToText is needed"));
    assert!(cannot(&["transcribe", "--model", &asr, "*.none"]).contains("*.none: no recording there"));
    assert!(cannot(&["transcribe", "--model", &asr, &file, "--ctc-weight", "0.5"]).contains("it has no CTC head"));
    assert!(cannot(&["transcribe", "--model", &asr, &file, "--beam", "0"]).contains("--beam"));
    assert!(cannot(&["transcribe", "--model", &asr]).contains("FILE"));
    let voice = golden("vc_speaker.safetensors");
    let said =
        cannot(&["speak", "--model", &tts, "--speaker", &golden("hifigan/model.safetensors"), "-o", "x.wav", "a"]);
    assert!(said.contains("tensors, where one is expected"), "{said}");
    let said = cannot(&["speak", "--model", &tts, "--speaker", &voice, "--vocoder", &asr, "-o", "x.wav", "a"]);
    assert!(said.contains("is no vocoder") || said.contains("its shape is"), "{said}");
    let voice = golden("tts_speaker.safetensors");
    // A vocoder of the same rate and bins, of frames that are half as far apart.
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(golden("hifigan/model.safetensors"), other.path().join("model.safetensors")).unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(golden("hifigan/config.json")).unwrap()).unwrap();
    config["upsample_rates"][3] = 2.into();
    std::fs::write(other.path().join("config.json"), config.to_string()).unwrap();
    let vocoder = other.path().to_str().unwrap();
    let said = cannot(&["speak", "--model", &tts, "--speaker", &voice, "--vocoder", vocoder, "-o", "x.wav", "a"]);
    assert!(said.contains("128 samples a frame, but the model's frames are 256 apart"), "{said}");
    assert!(cannot(&["speak", "--model", &tts, "--speaker", &voice, "-o", "x.wav", " "]).contains("nothing to say"));
    assert!(!Path::new("x.wav").exists());
}

#[test]
fn texts_sound_as_in_the_reference() {
    let out = tempfile::tempdir().unwrap();
    for (name, case) in cases_of("tts") {
        let (wav, mel) = (out.path().join("a.wav"), out.path().join("a.safetensors"));
        let [model, vocoder, speaker] = ["tts", "hifigan", "tts_speaker.safetensors"].map(golden);
        let (threshold, ratio) = (case["threshold"].to_string(), case["maxlenratio"].to_string());
        let arguments = [
            ["speak", "--model", &model, "--vocoder", &vocoder, "--speaker", &speaker].as_slice(),
            &["--no-prenet-dropout", "--threshold", &threshold, "--max-len-ratio", &ratio, "--json"],
            &["-o", wav.to_str().unwrap(), "--mel", mel.to_str().unwrap(), case["text"].as_str().unwrap()],
        ]
        .concat();
        let found = &objects(&arguments)[0];
        let expected = goldens().join(format!("{name}.expected.safetensors"));
        close(&tensor(&mel, "mel"), &tensor(&expected, "mel"), 0.0);
        close(&samples(&wav), &tensor(&expected, "wav"), STEP);
        assert_eq!((found["vocoder"].as_str(), &found["ended"]), (Some("hifi_gan"), &Value::Bool(false)));
        assert_eq!((&found["frames"], &found["parts"]), (&case["mel_shape"][0], &Value::from(1)));
    }
}

#[test]
fn recordings_are_converted_as_in_the_reference() {
    let out = tempfile::tempdir().unwrap();
    let [model, vocoder, speaker] = ["vc", "hifigan", "vc_speaker.safetensors"].map(golden);
    for (name, _) in cases_of("vc") {
        let (file, to) = (golden(&format!("{name}.wav")), out.path().to_str().unwrap());
        let arguments = [
            ["convert", "--model", &model, "--vocoder", &vocoder, "--speaker", &speaker, &file].as_slice(),
            &["--no-prenet-dropout", "--threshold", "1.99", "--max-len-ratio", "1", "--json", "-o", to, "--mel", to],
        ]
        .concat();
        let found = &objects(&arguments)[0];
        assert_eq!(found["output"].as_str().unwrap(), out.path().join(format!("{name}.wav")).to_str().unwrap());
        let expected = goldens().join(format!("{name}.expected.safetensors"));
        let mel = tensor(out.path().join(format!("{name}.safetensors")), "mel");
        close(&mel, &tensor(expected, "mel"), 0.0);
        assert_eq!(samples(&out.path().join(format!("{name}.wav"))).len(), 256 * mel.len() / 80);
    }
}

#[test]
fn long_texts_are_said_in_parts_and_without_a_vocoder_it_is_said() {
    let (out, model) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(goldens().join("tts")).unwrap() {
        let entry = entry.unwrap();
        fs::write(model.path().join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    let config = model.path().join("config.json");
    let mut settings: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    settings["max_text_positions"] = 12.into();
    fs::write(&config, settings.to_string()).unwrap();
    let (speaker, wav) = (golden("tts_speaker.safetensors"), out.path().join("a.wav").display().to_string());
    let model = model.path().to_str().unwrap();
    let arguments = ["speak", "--model", model, "--speaker", &speaker, "--max-len-ratio", "1", "-o", &wav, "--json"];
    let found = &objects(&[&arguments[..], &["the fox. the dog! the end"]].concat())[0];
    assert_eq!((&found["parts"], found["vocoder"].as_str()), (&Value::from(3), Some("griffin_lim")));
    let first = fs::read(&wav).unwrap();
    // The seed decides on what the pre-net drops.
    objects(&[&arguments[..], &["the fox. the dog! the end"]].concat());
    assert_eq!(fs::read(&wav).unwrap(), first);
    objects(&[&arguments[..], &["--seed", "2", "the fox. the dog! the end"]].concat());
    assert_ne!(fs::read(&wav).unwrap(), first);
    let output = vocable(&[&arguments[..9], &["a \u{1f98a} b"]].concat());
    assert!(output.status.success() && text(&output.stderr).contains("no token for '🦊' (U+1F98A)"));
    assert!(text(&output.stdout).contains("Griffin-Lim"), "{}", text(&output.stdout));
    // What cannot be split is said, with a warning.
    let output = vocable(&[&arguments[..9], &["thethethethethe fox"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success() && said.starts_with("warning: text: a word of "), "{said}");
    assert!(said.contains("tokens, but the model was made for 12 at most") && said.lines().count() == 1, "{said}");
}

#[test]
fn voices_come_in_every_shape() {
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name).display().to_string();
    let voice = Weights::open(golden("vc_speaker.safetensors")).unwrap();
    let voice = voice.tensors().next().unwrap().to_f32().unwrap();
    let npy = |name: &str, shape: String, rows: usize| {
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        header.extend(std::iter::repeat_n(' ', 117 - header.len()));
        let values = (0..rows).flat_map(|row| voice.iter().map(move |value| value + row as f32));
        let values = values.flat_map(f32::to_le_bytes);
        let bytes = b"\x93NUMPY\x01\x00\x76\x00".iter().copied().chain(header.into_bytes()).chain(*b"\n").chain(values);
        fs::write(path(name), bytes.collect::<Vec<u8>>()).unwrap();
        path(name)
    };
    let width = voice.len();
    let (flat, row) = (npy("flat.npy", format!("({width},)"), 1), npy("row.npy", format!("(1, {width})"), 1));
    let two = npy("two.npy", format!("(2, {width})"), 2);
    let (model, files) = (golden("vc"), [golden("vc_0.wav"), golden("asr_0.wav")]);
    let run = |speaker: &str, files: &[String], to: &str| {
        let mut arguments = vec!["convert", "--model", &model, "--speaker", speaker, "--no-prenet-dropout"];
        arguments.extend(["--threshold", "1.99", "--max-len-ratio", "0.5", "-o", to, "--mel", to, "--json"]);
        arguments.extend(files.iter().map(String::as_str));
        objects(&arguments);
        files
            .iter()
            .map(|file| {
                tensor(Path::new(to).join(Path::new(file).with_extension("safetensors").file_name().unwrap()), "mel")
            })
            .collect::<Vec<_>>()
    };
    let reference = run(&golden("vc_speaker.safetensors"), &files, &path("a/"));
    assert_eq!(run(&flat, &files, &path("b/")), reference);
    assert_eq!(run(&row, &files, &path("c/")), reference);
    let own = run(&two, &files, &path("d/"));
    assert!(own[0] == reference[0] && own[1] != reference[1], "the second recording has a voice of its own");
    let said = complaint(2, &["convert", "--model", &model, "--speaker", &two, "-o", &path("e.wav"), &files[0]]);
    assert!(said.contains(&format!("its shape is [2, {width}]")), "{said}");
}

#[test]
fn every_command_has_a_page_and_shells_know_it() {
    let out = tempfile::tempdir().unwrap();
    assert!(vocable(&["man", out.path().to_str().unwrap()]).status.success());
    for (page, words) in
        [("vocable.1", "transcribe"), ("vocable-speak.1", "Griffin"), ("vocable-prepare-jsonl.1", "from")]
    {
        let page = fs::read_to_string(out.path().join(page)).unwrap();
        assert!(page.contains(words) && page.starts_with(".ie"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = vocable(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("transcribe"), "{shell}");
    }
}
