//! Commands that are given what they cannot use: each says in one line which file and why, and leaves nothing behind.

#[allow(dead_code, reason = "some of it is for other targets")]
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use program::{command, complaint, printed, text, vocable};
use serde_json::Value;

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hf").join(name).display().to_string()
}

/// A folder with a few things that are of no use.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("a file"), "hello").unwrap();
        fs::write(desk.path("nothing"), "").unwrap();
        fs::create_dir(desk.path("a folder")).unwrap();
        vocable_audio::write_wav(desk.path("short.wav"), &[0.1; 100], 16_000).unwrap();
        vocable_audio::write_wav(desk.path("one sample.wav"), &[0.1], 44_100).unwrap();
        vocable_data::speaker::write(Path::new(&desk.path("no voice.npy")), &[f32::NAN; 16]).unwrap();
        fs::copy(golden("vc_speaker.safetensors"), desk.path("voice.safetensors")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// All that lies there.
    fn names(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let desk = Desk::new();
    let before = desk.names();
    let [file, folder, nothing, short] = ["a file", "a folder", "nothing", "short.wav"].map(|name| desk.path(name));
    let [nowhere, out] = ["nowhere", "out"].map(|name| desk.path(name));
    let (beyond, one) = (desk.path("nowhere/out"), desk.path("one sample.wav"));
    let [asr, tts, vc] = ["asr", "tts", "vc"].map(golden);
    let (weights, wav) = (golden("asr/model.safetensors"), golden("asr_0.wav"));
    let [voice, other] = ["tts_speaker.safetensors", "vc_speaker.safetensors"].map(golden);
    let own = desk.path("voice.safetensors");
    let transcribe = |model: &str, file: &str| ["transcribe", "--model", model, file].map(str::to_owned).to_vec();
    let with = |start: &[&str], more: &[&str]| [start, more].concat().into_iter().map(str::to_owned).collect();
    let speak = |more: &[&str]| with(&["speak", "--model", &tts, "--speaker", &voice, "the fox"], more);
    let convert = |more: &[&str]| with(&["convert", "--model", &vc, "--speaker", &other], more);
    let extend = |more: &[&str]| with(&["vocab", "extend", "--model", &asr], more);
    let mistakes: Vec<(i32, Vec<String>, &str)> = vec![
        (2, transcribe(&nowhere, &wav), "nowhere: there is no such folder"),
        (2, transcribe(&folder, &wav), "a folder: it holds no config.json"),
        (2, transcribe(&weights, &wav), "model.safetensors: it is a file; a model is the folder"),
        (2, transcribe(&asr, ""), "a value is required"),
        (2, transcribe(&asr, "["), "[: no such file, nor a glob"),
        (2, transcribe(&asr, &folder), "a folder: no recording there"),
        (1, transcribe(&asr, &short), "short.wav: 100 samples are too few for a frame"),
        (2, speak(&["-o", &folder]), "a folder: it is a folder, where the name of a file is expected"),
        (2, speak(&["-o", "/"]), "/: it is a folder"),
        (2, speak(&["-o", &beyond]), "nowhere/out: its folder does not exist"),
        (2, speak(&["-o", &out, "--mel", &beyond]), "nowhere/out: its folder does not exist"),
        (2, speak(&["-o", &out, "--mel", &out]), "out: both --output and --mel"),
        (2, speak(&["-o", &out, "--threshold", "nan"]), "--threshold is no number"),
        (2, speak(&["-o", &out, "--max-len-ratio", "1e30"]), "at most 1000, is expected"),
        (2, speak(&["-o", &out, "--vocoder", &nowhere]), "nowhere: there is no such folder"),
        (2, speak(&["-o", &out, "--vocoder", &folder]), "a folder: it holds neither config.json nor config.yml"),
        (2, convert(&["-o", &file, &wav, &short]), "a file is a file, where a folder is expected"),
        (2, convert(&["-o", &beyond, &wav]), "nowhere/out: its folder does not exist"),
        (2, convert(&["-o", &out, "--mel", &desk.path("./out"), &wav]), "out: two results would be written to it"),
        (2, convert(&["-o", &short, &short]), "short.wav: the result would overwrite the recording"),
        (
            2,
            with(&["speak", "--model", &tts, "--speaker", &other, "-o", &out, "a"], &[]),
            "(16) or (1, 16) is expected",
        ),
        (
            2,
            with(&["speak", "--model", &tts, "--speaker", &desk.path("no voice.npy"), "-o", &out, "a"], &[]),
            "no voice.npy: a speaker vector holds a value that is not finite",
        ),
        (
            2,
            with(&["speak", "--model", &tts, "--speaker", &voice, "--file", &file, "-o", &file], &[]),
            "a file: the result would overwrite what is read",
        ),
        (
            2,
            with(&["speak", "--model", &tts, "--speaker", &own, "-o", &out, "--mel", &own, "a"], &[]),
            "voice.safetensors: the result would overwrite what is read",
        ),
        (
            2,
            with(&["convert", "--model", &vc, "--speaker", &own, "-o", &out, "--mel", &own, &wav], &[]),
            "voice.safetensors: the result would overwrite what is read",
        ),
        (1, with(&["features", "mfcc", &short, "-o", &out], &[]), "short.wav: 100 samples are too few for a frame"),
        (1, with(&["features", "mel", &one, "-o", &out], &[]), "one sample.wav: 1 samples at 44100 Hz are too few for"),
        (
            2,
            with(&["score", "mcd", &wav, &one], &[]),
            "one sample.wav: 1 samples at 44100 Hz are too few for one at 16",
        ),
        (2, with(&["score", "mcd", &wav, &wav, "--normalise"], &[]), "--normalise is for texts"),
        (2, with(&["features", "units", &wav, "--clusters", &file, "-o", &out], &[]), "units are printed"),
        (2, with(&["features", "mel", &wav, "--clusters", &file, "-o", &out], &[]), "--clusters is for units"),
        (2, with(&["score", "wer", &nothing, &nothing], &[]), "nothing: there is no line to score"),
        (2, with(&["import", &weights, "--extended", "-o", "/"], &[]), "/: it is a folder"),
        (2, with(&["import", &weights, "--extended", "-o", &beyond], &[]), "nowhere/out: its folder does not exist"),
        (2, with(&["import", &weights, "--tokenizer", &asr, "--as", "asr", "-o", &file], &[]), "a file is a file"),
        (2, with(&["export", &asr, "-o", &asr], &[]), "asr: it is the model itself"),
        (2, with(&["export", &asr, "-o", &weights, "--extended"], &[]), "it is a file of the model itself"),
        (2, with(&["import", &weights, "-o", &weights, "--fairseq"], &[]), "it would take its own place"),
        (2, with(&["export", &nowhere, "-o", &out], &[]), "nowhere: there is no such folder"),
        (
            2,
            with(&["import", &weights, "--tokenizer", &asr, "--as", "asr", "-o", &asr], &[]),
            "asr: what is imported lies in it",
        ),
        (
            2,
            with(&["import", &golden("vc/model.safetensors"), "--tokenizer", &asr, "--as", "vc", "-o", &asr], &[]),
            "asr: the result would overwrite what is read",
        ),
        (
            2,
            with(&["import", &weights, "--speakers", &file, "--fairseq", "-o", &file], &[]),
            "a file: the result would overwrite what is read",
        ),
        (2, with(&["import", &asr, "--extended", "-o", &weights], &[]), "it is a file of what is read"),
        (2, extend(&["--characters", "", "-o", &out]), "there is no character to add"),
        (2, extend(&["--from", &nothing, "-o", &out]), "there is no character to add"),
        (2, extend(&["--characters", "e", "-o", &out]), "it has 'e' already"),
        (2, extend(&["--characters", "ß", "-o", &asr]), "asr: it is the model itself"),
        (2, with(&["man", &file], &[]), "a file is a file"),
    ];
    for (code, arguments, expected) in mistakes {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = complaint(code, &arguments);
        assert!(said.starts_with("error: ") && said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("os error"), "{arguments:?}: {said}");
    }
    assert_eq!(desk.names(), before);
}

/// `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error() {
    let desk = Desk::new();
    let file = desk.path("a file");
    for arguments in [&["score", "wer", &file, &file][..], &["completions", "bash"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("error: standard output: No space left"), "{}", text(&output.stderr));
    }
}

#[test]
fn recordings_that_are_longer_than_the_models_are_warned_of() {
    let desk = Desk::new();
    let (wav, voice) = (golden("vc_0.wav"), golden("vc_speaker.safetensors"));
    for (name, most, warned) in [("asr", 3, true), ("vc", 3, true), ("asr", 600, false)] {
        let model = desk.path(&format!("{name}-{most}"));
        fs::create_dir(&model).unwrap();
        for entry in fs::read_dir(golden(name)).unwrap() {
            let entry = entry.unwrap();
            fs::write(Path::new(&model).join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
        }
        let config = Path::new(&model).join("config.json");
        let mut settings: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        settings["max_speech_positions"] = most.into();
        fs::write(&config, settings.to_string()).unwrap();
        let out = desk.path("out.wav");
        let output = match name {
            "asr" => vocable(&["transcribe", "--model", &model, "--max-tokens", "2", &wav]),
            _ => vocable(&[
                "convert",
                "--model",
                &model,
                "--speaker",
                &voice,
                "--max-len-ratio",
                "0.5",
                "-o",
                &out,
                &wav,
            ]),
        };
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("frames, but the model was made for 3 at most"), warned, "{said}");
    }
}

/// `head` and the like close the pipe before all is said.
#[test]
fn a_closed_pipe_is_no_fault() {
    let desk = Desk::new();
    let (asr, wav) = (golden("asr"), golden("asr_0.wav"));
    let [out, extended] = ["out", "extended"].map(|name| desk.path(name));
    for arguments in [
        vec!["completions", "bash"],
        vec!["inspect", &asr],
        vec!["export", &asr, "-o", &out],
        vec!["vocab", "extend", "--model", &asr, "--characters", "ß", "-o", &extended],
        vec!["transcribe", "--model", &asr, "--max-tokens", "2", &wav, &wav],
        vec!["transcribe", "--help"],
    ] {
        let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    }
    assert!(Path::new(&out).join("config.json").exists() && Path::new(&extended).join("config.json").exists());
}

/// Where results are files, all of them are made, and what failed has failed.
#[test]
fn a_closed_pipe_stops_no_files() {
    let desk = Desk::new();
    let (one, two, out) = (golden("asr_0.wav"), golden("asr_1.wav"), desk.path("out"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let arguments = ["features", "mel", &one, "none.wav", &two, "-o", &out];
    let output = command(&arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("none.wav: no such file"), "{said}");
    assert!(["asr_0.safetensors", "asr_1.safetensors"].iter().all(|name| Path::new(&out).join(name).exists()));
}

#[test]
fn every_command_has_a_page_and_says_how_it_is_used() {
    let desk = Desk::new();
    let pages = desk.path("pages");
    printed(&["man", &pages]);
    let help = printed(&["--help"]);
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    // Descriptions go on in lines that are further in.
    let name = |line: &'_ str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(str::to_owned);
    let commands: Vec<String> =
        commands.filter_map(name).filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    assert!(commands.len() > 10 && commands.iter().any(|command| command == "identify"), "{commands:?}");
    for command in commands {
        if command != "help" {
            assert!(printed(&[&command, "--help"]).contains("Usage: "), "{command}");
            assert!(Path::new(&pages).join(format!("vocable-{command}.1")).exists(), "{command}");
        }
    }
}
