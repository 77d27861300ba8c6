//! The whole program on the shipped corpus: every table at scale `smoke` with a few updates, and what users type wrong.

mod layers;
mod supply;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Fewer updates than scale `smoke` has: enough to pass through every stage.
const SHORT: [&str; 5] = [
    "pretrain.train.updates=2",
    "asr.train.updates=2",
    "vc.train.updates=2",
    "sid.train.updates=2",
    "units.max_iter=2",
];

fn speecht5(runs: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_speecht5"))
        .args(args)
        .arg("--runs")
        .arg(runs)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_ablation_runs_prints_its_table_and_runs_again_for_free() {
    let runs = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["run", "ablation", "--scale", "smoke"].into_iter().chain(SHORT).collect();
    let first = speecht5(runs.path(), &args);
    let (out, log) = (text(&first.stdout), text(&first.stderr));
    assert!(first.status.success(), "{out}\n{log}");
    for row in ["SpeechT5", "w/o speech PT", "w/o text PT", "w/o joint PT", "w/o L_mlm", "no pre-training"] {
        assert!(out.contains(row), "no row {row} in\n{out}");
    }
    assert!(out.contains("synthetic speech") && out.contains("smoke"), "{out}");

    let record = std::fs::read(runs.path().join("tables/ablation-smoke.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for cell in rows.iter().flat_map(|row| row["cells"].as_array().unwrap()) {
        assert!(cell["value"].as_f64().is_some_and(f64::is_finite), "{cell}");
        assert!(cell["n"].as_u64().unwrap() > 0, "{cell}");
    }
    let stages = || {
        let entries = std::fs::read_dir(runs.path().join("stages")).unwrap();
        let mut list: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let written = std::fs::metadata(path.join("manifest.json")).unwrap().modified().unwrap();
                (path, written)
            })
            .collect();
        list.sort();
        list
    };
    let before = stages();
    // Preparation, units, five pre-trainings, and per row three fine-tunings, four decodings and four scores.
    assert_eq!(before.len(), 2 + 5 + 6 * 11);
    let second = speecht5(runs.path(), &args);
    assert!(second.status.success());
    assert_eq!(stages(), before, "a finished stage ran again");
    assert_eq!(text(&second.stdout), out, "the table changed without a run");
}

#[test]
fn a_language_model_is_trained_and_has_its_say() {
    let runs = tempfile::tempdir().unwrap();
    let short = ["pretrain=none", "asr.train.updates=2", "lm.train.updates=4", "--row", "SpeechT5 + LM"];
    let args: Vec<&str> = ["run", "lm", "--scale", "smoke"].into_iter().chain(short).collect();
    let output = speecht5(runs.path(), &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let record = std::fs::read(runs.path().join("tables/lm-smoke.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let row = record["rows"].as_array().unwrap().iter().find(|row| row["name"] == "SpeechT5 + LM").unwrap();
    assert_eq!(row["cells"].as_array().unwrap().len(), 3);
    assert!(row["cells"].as_array().unwrap().iter().all(|cell| cell["value"].as_f64().is_some_and(f64::is_finite)));
    let outputs = |kind: &str| {
        let mut stages = std::fs::read_dir(runs.path().join("stages")).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(kind);
        stages.find(named).unwrap_or_else(|| panic!("no stage {kind}")).join("outputs")
    };
    // What two updates make of speech is wrong, and can be read word by word.
    let aligned = std::fs::read_to_string(outputs("decode-asr-").join("exhibits/aligned.txt")).unwrap();
    assert!(aligned.lines().next().is_some_and(|line| line.contains(" errors in ")), "{aligned}");
    // What the stage leaves is a folder that the command line takes.
    let lm = vocable_lm::LanguageModel::open(outputs("lm-"), &burn::tensor::Device::flex()).unwrap();
    assert!(lm.dictionary.id("▁").is_some() && lm.dictionary.id("<mask>").is_none());
}

#[test]
fn every_task_has_a_table_that_runs() {
    let runs = tempfile::tempdir().unwrap();
    for task in ["st", "tts", "vc", "se"] {
        let updates = format!("{task}.train.updates=2");
        let short = ["units.teacher.train.updates=2", "asr.train.updates=2", &updates, "--row", "no pre-training"];
        let args: Vec<&str> = ["run", task, "--scale", "smoke"].into_iter().chain(short).collect();
        let output = speecht5(runs.path(), &args);
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        let record = std::fs::read(runs.path().join(format!("tables/{task}-smoke.json"))).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let mut rows = record["rows"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == "no pre-training").unwrap();
        for cell in row["cells"].as_array().unwrap() {
            // A program of others is asked only where one is named.
            assert_eq!(cell["value"].as_f64().is_some_and(f64::is_finite), cell["column"] != "judge", "{task}: {cell}");
        }
    }
}

#[test]
fn speakers_are_named_and_verified_with_and_without_a_margin() {
    let runs = tempfile::tempdir().unwrap();
    let short = ["pretrain=none", "sid.train.updates=2", "--row", "SpeechT5", "--row", "AM-softmax"];
    let args: Vec<&str> = ["run", "sid", "--scale", "smoke"].into_iter().chain(short).collect();
    let output = speecht5(runs.path(), &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let record = std::fs::read(runs.path().join("tables/sid-smoke.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let rows = record["rows"].as_array().unwrap();
    let cells = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["cells"].as_array().unwrap();
    for cell in cells("SpeechT5").iter().chain(cells("AM-softmax")) {
        assert!(cell["value"].as_f64().is_some_and(|value| (0.0..=100.0).contains(&value)), "{cell}");
    }
    assert_eq!(cells("SpeechT5").len(), 3);
    // Every two of the test utterances are a trial.
    let (named, trials) = (cells("SpeechT5")[0]["n"].as_u64().unwrap(), cells("SpeechT5")[2]["n"].as_u64().unwrap());
    assert_eq!(trials, named * (named - 1) / 2);
    let stages = std::fs::read_dir(runs.path().join("stages")).unwrap();
    let trained =
        stages.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("finetune-sid"));
    assert_eq!(trained.count(), 2, "the margin is part of what is trained");
}

/// The one stage of a kind, such as `units-hubert`.
fn stage_of(runs: &Path, kind: &str) -> PathBuf {
    let entries = std::fs::read_dir(runs.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().rsplit_once('-').unwrap().0 == kind;
    let found: Vec<_> = entries.filter(named).collect();
    let [stage] = &found[..] else { panic!("stages {kind}: {found:?}") };
    stage.clone()
}

/// Runs a row whose pre-training hears, with such units, and returns the labels of its stage of that kind.
fn labelled(runs: &Path, kind: &str, units: &[&str]) -> String {
    let row = ["--row", "SpeechT5", "--column", "SID"];
    let args = [&["run", "ablation", "--scale", "smoke"][..], &SHORT, &row, units].concat();
    let output = speecht5(runs, &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    std::fs::read_to_string(stage_of(runs, kind).join("outputs/units.km")).unwrap()
}

#[test]
fn units_are_of_a_first_model_or_of_a_published_hubert() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hubert/safetensors");
    let folder = format!("units.hubert.folder={}", folder.display());
    let hubert = [&folder, "units.hubert.layer=2", "units.hubert.clusters=10"];
    let teacher = ["units.teacher.train.updates=2", "units.second={layer=1, clusters=10}"];
    for (kind, units) in [("units-hubert", &hubert[..]), ("units-hidden", &teacher)] {
        let runs = tempfile::tempdir().unwrap();
        let labels = labelled(runs.path(), kind, units);
        let labels: std::collections::BTreeSet<&str> = labels.split_whitespace().collect();
        let usable = labels.iter().all(|label| label.parse::<u32>().is_ok_and(|label| label < 10));
        assert!(labels.len() > 1 && usable, "{kind}: {labels:?}");
    }
}

#[test]
fn units_may_be_made_elsewhere() {
    let (folder, runs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini/manifest.jsonl");
    let manifest = std::fs::read_to_string(corpus).unwrap();
    let utterances: Vec<serde_json::Value> = manifest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Which utterance a label is of can be told from the label.
    let label = |number: usize| (number % 7).to_string();
    for split in ["train", "valid"] {
        let mut lines = String::new();
        for (number, utterance) in utterances.iter().enumerate().filter(|(_, utterance)| utterance["split"] == split) {
            let frames = (utterance["seconds"].as_f64().unwrap() * 50.0) as usize;
            lines += &(vec![label(number); frames].join(" ") + "\n");
        }
        std::fs::write(folder.path().join(format!("{split}.km")), lines).unwrap();
    }
    let at = format!("units.labels.folder={}", folder.path().display());
    let made = labelled(runs.path(), "units-labels", &[&at, "units.labels.clusters=7"]);
    let kept = std::fs::read_to_string(stage_of(runs.path(), "prepare").join("outputs/utterances.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let kept = kept["ids"].as_array().unwrap();
    assert_eq!(made.lines().count(), kept.len());
    // Scale `smoke` takes a part of the corpus: what is left has the labels that the whole had.
    for (line, id) in made.lines().zip(kept) {
        let number = utterances.iter().position(|utterance| utterance["id"] == *id).unwrap();
        let heard = ["train", "valid"].map(serde_json::Value::from).contains(&utterances[number]["split"]);
        assert_eq!(line.is_empty(), !heard, "{id}");
        assert!(line.split_whitespace().all(|unit| unit == label(number)), "{id}: {line}");
    }

    let refused = |wrong: &str, clusters: &str, reason: &str| {
        std::fs::write(folder.path().join("valid.km"), wrong).unwrap();
        let row = ["--row", "SpeechT5", "--column", "SID", &at, clusters];
        let output = speecht5(runs.path(), &[&["run", "ablation", "--scale", "smoke"][..], &row].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    };
    let train = std::fs::read_to_string(folder.path().join("train.km")).unwrap();
    refused("1 2\n", "units.labels.clusters=7", "valid.km has 1 lines, the manifest ");
    refused(&train, "units.labels.clusters=6", " has unit 6, and units.labels.clusters is 6");
    let short: String =
        vec!["1\n"; utterances.iter().filter(|utterance| utterance["split"] == "valid").count()].concat();
    refused(&short, "units.labels.clusters=7", " has 1 units, where 50 a second are about ");
}

#[test]
fn sounds_may_be_judged_by_a_program_and_log_mels_kept_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    // As many points as the text has characters.
    let judge = "judge=f() { sed -E 's/.*\"file\":\"([^\"]*)\",\"text\":\"([^\"]*)\".*/\\1 \\2/' \"$1/list.jsonl\" | \
                 while read file text; do [ -s \"$1/$file\" ] && echo \"$file ${#text}\"; done; }; f";
    let mels = folder.path().join("mels");
    let kept = format!("data.mel_folder={}", mels.display());
    let short = ["pretrain=none", "tts.train.updates=2", "--row", "SpeechT5", "--column", "judge", judge, &kept];
    let args: Vec<&str> = ["run", "tts", "--scale", "smoke"].into_iter().chain(short).collect();
    let output = speecht5(&folder.path().join("runs"), &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let record = std::fs::read(folder.path().join("runs/tables/tts-smoke.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let cell = |record: &serde_json::Value| {
        let cells = record["rows"][0]["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["column"] == "judge").unwrap().clone()
    };
    let judged = cell(&record);
    assert!(judged["value"].as_f64().is_some_and(|value| value > 5.0), "{judged}");
    let first = walk(&mels);
    assert!(!first.is_empty());

    // Another run on the same corpus reads what the first has kept.
    let again = speecht5(&folder.path().join("other"), &args);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(walk(&mels), first);
    let other = std::fs::read(folder.path().join("other/tables/tts-smoke.json")).unwrap();
    assert_eq!(cell(&serde_json::from_slice(&other).unwrap())["value"], judged["value"]);
}

/// The files below a folder, with the times they were written.
fn walk(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        match entry.path().is_dir() {
            true => files.extend(walk(&entry.path())),
            false => files.push((entry.path(), entry.metadata().unwrap().modified().unwrap())),
        }
    }
    files.sort();
    files
}

/// What lets the model take the encoder of the fixture.
const OF_THE_FIXTURE: [&str; 8] = [
    "model.width=16",
    "model.feed_forward=24",
    "model.heads=2",
    "model.encoder_layers=3",
    "model.extractor_channels=8",
    "model.positional_kernel=8",
    "model.positional_groups=4",
    "sid.train.updates=2",
];

#[test]
fn tasks_may_start_from_a_published_encoder() {
    let runs = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hubert/safetensors");
    let folder = format!("hubert={}", folder.display());
    let row = ["run", "sid", "--scale", "smoke", "--row", "encoder from HuBERT", "--column", "SID"];
    let run = |more: &[&str]| speecht5(runs.path(), &[&row[..], more].concat());
    let absent = run(&[]);
    assert!(text(&absent.stdout).contains("no folder of a HuBERT model is given (hubert=FOLDER)"));
    let refused = run(&[&folder]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stdout));
    let message = text(&refused.stderr);
    assert!(message.contains("model.width is 64, there 16, model.feed_forward is 128, there 24"), "{message}");
    let sized: Vec<&str> = OF_THE_FIXTURE.into_iter().chain([folder.as_str()]).collect();
    let output = run(&sized);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let record = std::fs::read(runs.path().join("tables/sid-smoke.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let rows = record["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "encoder from HuBERT").unwrap();
    assert!(row["cells"][0]["value"].as_f64().is_some_and(f64::is_finite), "{row}");
}

#[test]
fn tasks_may_start_from_a_published_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let list = folder.path().join("dict.txt");
    let listed = |count: usize| {
        std::fs::write(&list, ('a'..='z').take(count).map(|c| format!("{c} 1\n")).collect::<String>()).unwrap();
    };
    listed(23);
    // The 30 tokens of the first: 5, the 23 of the list, and 2.
    for (published, tokens) in [("official/model.pt", list.clone()), ("hf/asr", fixtures.join("hf/asr"))] {
        let runs = folder.path().join("runs");
        let checkpoint = format!("checkpoint={}", fixtures.join(published).display());
        let row = ["run", "sid", "--scale", "smoke", "--row", "SpeechT5", "--column", "SID", "sid.train.updates=2"];
        let run = |more: &[&str]| speecht5(&runs, &[&row[..], &[&checkpoint], more].concat());
        let log = || std::fs::read_to_string(stage_of(&runs, "checkpoint").join("log.txt")).unwrap();
        let again = || std::fs::remove_dir_all(&runs).unwrap();

        let refused = text(&run(&[]).stderr);
        let (_, sizes) = refused.split_once("is of another model than `model`; set ").expect(&refused);
        let sizes: Vec<&str> = sizes.lines().next().unwrap().split(' ').collect();
        assert!(sizes.contains(&"model.heads=4"), "{refused}");
        // The other has no speech-decoder pre-net.
        let official = published == "official/model.pt";
        assert_eq!(sizes.contains(&"model.prenet_last_relu=false"), official, "{refused}");
        again();

        // The corpus counts other characters: what depends on them starts anew.
        let output = run(&sizes);
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(log().contains("tokens keeps its initial weights"), "{}", log());
        let pretrained = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().to_string_lossy().starts_with("pretrain")
        };
        assert!(!runs.join("stages").read_dir().unwrap().any(pretrained));
        again();

        let tokens = format!("data.vocabulary={}", tokens.display());
        let output = run(&[&sizes[..], &[&tokens]].concat());
        assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(!log().contains("tokens keeps its initial weights"), "{}", log());
        again();

        listed(20);
        let fewer = format!("data.vocabulary={}", list.display());
        let message = text(&run(&[&sizes[..], &[&fewer]].concat()).stderr);
        assert!(message.contains(" tokens, data.vocabulary of 27"), "{message}");
        again();

        // It stands for the full pre-training, and for no other.
        let rows = ["run", "ablation", "--scale", "smoke", "--row", "w/o text PT", "--column", "SID", &checkpoint];
        let output = text(&speecht5(&runs, &rows).stdout);
        assert!(output.contains("`checkpoint` stands for the full model's pre-training"), "{output}");
    }
}

#[test]
fn speech_may_be_enhanced_from_recorded_noise() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for (number, split) in ["train", "valid", "test-clean"].into_iter().enumerate() {
        let name = format!("{split}.wav");
        let noise = vocable_audio::white_noise(8_000, vocable_random::Key::new(number as u64));
        vocable_audio::write_wav(folder.path().join(&name), &noise, 16_000).unwrap();
        let line = serde_json::json!({"id": split, "audio": name, "speaker": "noise", "seconds": 0.5, "split": split});
        lines.push(line.to_string());
    }
    let manifest = folder.path().join("noise.jsonl");
    std::fs::write(&manifest, lines.join("\n")).unwrap();
    let runs = folder.path().join("runs");
    let noise = format!("data.noise={}", manifest.display());
    let recorded = "se.task.input.noise=recordings";
    let short = ["pretrain=none", "se.train.updates=2", recorded, "--row", "SpeechT5", "--column", "distance"];
    let args: Vec<&str> = ["run", "se", "--scale", "smoke", &noise].into_iter().chain(short).collect();
    let output = speecht5(&runs, &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("Noise: recordings"), "{}", text(&output.stdout));
    let plan = text(&speecht5(&runs, &[&["plan"], &args[1..]].concat()).stdout);
    assert!(plan.contains("noise-") && plan.contains("0 to run"), "{plan}");
    // Other noise makes other results.
    vocable_audio::write_wav(folder.path().join("train.wav"), &[0.1; 8_000], 16_000).unwrap();
    let plan = text(&speecht5(&runs, &[&["plan"], &args[1..]].concat()).stdout);
    assert!(!plan.contains("0 to run"), "{plan}");
}

#[test]
fn looking_costs_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let list = Command::new(env!("CARGO_BIN_EXE_speecht5")).arg("list").output().expect("the program starts");
    assert!(text(&list.stdout).contains("ablation"), "{}", text(&list.stderr));
    let show = text(&speecht5(runs.path(), &["show", "ablation"]).stdout);
    assert!(show.contains("pretrain.task.quantizer") && show.contains("none"), "{show}");
    let plan = text(&speecht5(runs.path(), &["plan", "ablation"]).stdout);
    assert!(plan.contains("finetune-asr") && plan.contains("pretrain"), "{plan}");
    let dry = speecht5(runs.path(), &["run", "ablation", "--dry-run"]);
    assert!(dry.status.success() && text(&dry.stdout).contains("learning_rate"));
    assert!(!runs.path().join("stages").exists(), "something ran");
}

#[test]
fn mistakes_exit_2_and_say_what_to_do() {
    let runs = tempfile::tempdir().unwrap();
    for (args, answer) in [
        (vec!["run", "ablation", "pretrain.train.update=2"], "pretrain.train.updates"),
        (vec!["run", "ablation", "model.heads=7"], "model.heads"),
        (vec!["run", "ablation", "asr.train.updates=many"], "asr.train.updates"),
        (vec!["run", "ablation", "units.clusters=1"], "units.clusters"),
        (vec!["run", "ablation", "units.frames=0"], "units.frames"),
        (vec!["run", "ablation", "data.limit.train=0"], "data.limit.train"),
        (vec!["run", "ablation", "data.limit.test=0"], "data.limit.test"),
        (vec!["run", "ablation", "model.width=0"], "model: width is 0"),
        (vec!["run", "ablation", "model.feed_forward=0"], "model: feed_forward is 0"),
        (vec!["run", "ablation", "model.prenet_units=0"], "model: prenet_units is 0"),
        (vec!["run", "ablation", "model.postnet_channels=0"], "model: postnet_channels is 0"),
        (vec!["run", "ablation", "model.postnet_layers=0"], "model: postnet_layers is 0"),
        (vec!["run", "ablation", "model.speaker=0"], "model: speaker is 0"),
        (vec!["run", "ablation", "model.positional_kernel=0"], "model: positional_kernel is 0"),
        (vec!["run", "ablation", "model.extractor_channels=0"], "model.extractor_channels"),
        (vec!["run", "ablation", "model.encoder_relative_position=0"], "model: encoder_relative_position is 0"),
        (vec!["run", "ablation", "model.decoder_relative_position=0"], "model: decoder_relative_position is 0"),
        (vec!["run", "ablation", "pretrain.task.quantizer.codes=0"], "quantizer.codes"),
        (vec!["run", "ablation", "pretrain.task.quantizer.mixing.share=1.5"], "quantizer.mixing.share"),
        (vec!["run", "ablation", "pretrain.task.quantizer.temperature.floor=0"], "quantizer.temperature.floor"),
        (vec!["run", "ablation", "sid.task.validation_segment=100"], "sid.task.validation_segment"),
        (vec!["run", "ablation", "asr.task.label_smoothing=1"], "asr.task.label_smoothing"),
        (vec!["run", "st", "st.task.label_smoothing=-0.1"], "st.task.label_smoothing"),
        (vec!["run", "ablation", "asr.task.ctc=-0.5"], "asr.task.ctc"),
        (vec!["run", "st", "st.task.cross_entropy=-1"], "st.task.cross_entropy"),
        (vec!["run", "ablation", "pretrain.task.text.poisson_lambda=100"], "pretrain.task.text.poisson_lambda"),
        (vec!["run", "ablation", "pretrain.task.text.poisson_lambda=0"], "pretrain.task.text.poisson_lambda"),
        (vec!["run", "ablation", "pretrain.task.diversity=-0.1"], "pretrain.task.diversity"),
        (vec!["run", "ablation", "pretrain.task.speech.mlm=-1"], "pretrain.task.speech.mlm"),
        (vec!["run", "tts", "tts.task.loss.stop=-1"], "tts.task.loss.stop"),
        (vec!["run", "vc", "vc.task.loss.guided_attention=-1"], "vc.task.loss.guided_attention"),
        (vec!["run", "se", "se.task.loss.stop_positive=-1"], "se.task.loss.stop_positive"),
        (vec!["run", "lm", "lm.task.model.heads=3"], "lm.task.model"),
        (vec!["run", "lm", "evaluation.search.lm_weight=-1"], "evaluation.search.lm_weight"),
        (vec!["run", "ablatoin"], "ablation"),
        (vec!["run", "ablation", "--data", "no/such/manifest.jsonl"], "no/such/manifest.jsonl"),
        (vec!["run", "ablation", "data.text=no/such/text.txt"], "no/such/text.txt"),
        (vec!["run", "se", "se.task.input.noise=recordings"], "data.noise"),
        (vec!["run", "se", "data.noise=no/such/noise.jsonl"], "no/such/noise.jsonl"),
        (vec!["run", "sid", "from_hubert=true"], "pretrain=none"),
    ] {
        let output = speecht5(runs.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        let message = text(&output.stderr);
        assert!(message.contains(answer), "{args:?} is answered by\n{message}");
    }
    assert!(!runs.path().join("stages").exists());
}

/// A manifest of some utterances of each voice of the shipped corpus, with absolute paths, except for one file that is gone.
fn with_a_missing_file(folder: &Path) -> std::path::PathBuf {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini");
    let manifest = std::fs::read_to_string(corpus.join("manifest.jsonl")).unwrap();
    let mut lines = Vec::new();
    let mut gone = false;
    for line in manifest.lines().step_by(9) {
        let mut utterance: serde_json::Value = serde_json::from_str(line).unwrap();
        let audio = corpus.join(utterance["audio"].as_str().unwrap());
        let first = !std::mem::replace(&mut gone, true);
        utterance["audio"] = match first {
            true => "gone.ogg".into(),
            false => audio.canonicalize().unwrap().to_str().unwrap().into(),
        };
        lines.push(utterance.to_string());
    }
    let path = folder.join("manifest.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

#[test]
fn a_missing_recording_is_named_and_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = with_a_missing_file(folder.path());
    let runs = folder.path().join("runs");
    // Every sentence is kept, so that the missing one is met; what follows is cut short.
    let limit = "data.limit=none";
    let mut args = vec!["run", "ablation", "--data", manifest.to_str().unwrap(), limit, "sid.train.updates=1"];
    args.extend(["--row", "no pre-training", "--column", "SID"]);
    let refused = speecht5(&runs, &args);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("gone.ogg"), "{}", text(&refused.stderr));
    let prepared = || {
        let entries = std::fs::read_dir(runs.join("stages")).unwrap();
        let done = |path: &Path| std::fs::read_to_string(path.join("manifest.json")).unwrap().contains("\"done\"");
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().contains("prepare") && done(path))
            .count()
    };
    assert_eq!(prepared(), 0);
    args.push("--skip-bad");
    let accepted = speecht5(&runs, &args);
    assert!(accepted.status.success(), "{}", text(&accepted.stderr));
    assert_eq!(prepared(), 1);
}

/// A manifest of those utterances of the shipped corpus that `keeps` lets through and may change, without translations.
fn without_translations(folder: &Path, keeps: impl Fn(&mut serde_json::Value) -> bool) -> String {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpora/mini");
    let manifest = std::fs::read_to_string(corpus.join("manifest.jsonl")).unwrap();
    let mut lines = Vec::new();
    for line in manifest.lines() {
        let mut utterance: serde_json::Value = serde_json::from_str(line).unwrap();
        if keeps(&mut utterance) {
            let audio = corpus.join(utterance["audio"].as_str().unwrap()).canonicalize().unwrap();
            utterance["audio"] = audio.to_str().unwrap().into();
            let fields = utterance.as_object_mut().unwrap();
            fields.retain(|field, _| !["text_de", "text_fr"].contains(&field.as_str()));
            lines.push(utterance.to_string());
        }
    }
    let path = folder.join("manifest.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_a_corpus_cannot_be_used_for_is_said_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let refused = |table: &str, manifest: &str, more: &[&str], reason: &str| {
        let args = [&["run", table, "--scale", "smoke", "--data", manifest][..], more].concat();
        let output = speecht5(&runs, &args);
        assert!(output.status.success(), "{table}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(reason), "{table}: {reason}?\n{}", text(&output.stdout));
        let stages = std::fs::read_dir(runs.join("stages")).into_iter().flatten().count();
        assert_eq!(stages, 0, "{table}: something ran");
    };
    // One voice, in one language.
    let manifest = without_translations(folder.path(), |utterance| utterance["speaker"] == "slt");
    refused("st", &manifest, &[], "the corpus has no `text_de` in its `train` split");
    refused("vc", &manifest, &[], "no sentence of the `train` split is spoken by two voices");
    // Of two voices that are known, one is tested.
    let manifest = without_translations(folder.path(), |utterance| {
        let tested = utterance["split"] == "test-clean";
        utterance["speaker"] == "slt" || (utterance["speaker"] == "rms" && !tested)
    });
    let verification = ["--row", "no pre-training", "--column", "EER"];
    refused("sid", &manifest, &verification, "verification needs two voices of `train` in `test-clean`");
    // The best checkpoint is chosen on `valid`.
    let manifest = without_translations(folder.path(), |utterance| utterance["split"] != "valid");
    let identification = ["--row", "no pre-training", "--column", "SID"];
    refused("ablation", &manifest, &identification, "the corpus has no `valid` split");
    let manifest = without_translations(folder.path(), |utterance| {
        if utterance["split"] == "valid" {
            utterance.as_object_mut().unwrap().remove("text");
        }
        true
    });
    let language = ["--row", "SpeechT5 + LM", "--column", "LM"];
    refused("lm", &manifest, &language, "no utterance of the `valid` split has a text");
    // Nobody says a text.
    let manifest = without_translations(folder.path(), |utterance| {
        utterance.as_object_mut().unwrap().remove("text");
        true
    });
    let recognition = ["--row", "no pre-training", "--column", "ASR clean"];
    refused("ablation", &manifest, &recognition, "no utterance of the `train` split has a text");
}

#[test]
fn utterances_without_a_text_are_left_out_of_what_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let (runs, corpus) = (folder.path().join("runs"), folder.path());
    let manifest = without_translations(corpus, |utterance| {
        if utterance["speaker"] == "slt" {
            utterance.as_object_mut().unwrap().remove("text");
        }
        true
    });
    let run = |table: &str, column: &str| {
        let args =
            ["run", table, "--scale", "smoke", "--data", &manifest, "--row", "no pre-training", "--column", column];
        let output = speecht5(&runs, &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    // Three sentences in the three other voices.
    assert!(run("ablation", "ASR clean").contains("N: ASR clean 9 of 3 sentences"));
    let decoded = stage_of(&runs, "decode-asr").join("outputs/transcripts.json");
    let transcripts: serde_json::Value = serde_json::from_slice(&std::fs::read(decoded).unwrap()).unwrap();
    let transcripts = transcripts.as_array().unwrap();
    assert!(transcripts.len() == 9 && transcripts.iter().all(|one| one["reference"] != ""), "{transcripts:?}");
    let reason = "utterances of the `test-clean` split have no text";
    let heard = run("se", "SE");
    assert!(heard.contains(reason), "{heard}");
    // What conversion says has been said by another voice, and has a text.
    let converted = run("vc", "VC words");
    assert!(!converted.contains(reason) && converted.contains("N: VC words "), "{converted}");
}

#[test]
fn every_row_learns_from_the_same_second_units() {
    let runs = tempfile::tempdir().unwrap();
    let output = speecht5(runs.path(), &["plan", "ablation", "units.second={layer=1,clusters=12}"]);
    let plan = text(&output.stdout);
    let stages = |kind: &str| plan.lines().filter(|line| line.starts_with(kind)).count();
    // Four rows hear; the teacher is the pre-training on MFCC units that they share.
    assert_eq!((stages("units-hidden-"), stages("units-"), stages("pretrain-")), (1, 2, 6), "{plan}");
}
