//! Stages `judge-{tts,vc,se}`: what a program of others says of the sounds, such as a model of naturalness.
//!
//! The program is a command of the shell that gets a folder as its last argument. In it are `0000.wav`, `0001.wav` … (16 kHz, 16 bits) and
//! `list.jsonl` with a line for each: `file`, `text` and `speaker`. It prints a line for each file, its name and a number, of which more is
//! better.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::json;
use vocable_audio::{GriffinLim, LogMel, write_wav};
use vocable_data::corpus::RATE;
use vocable_lab::{Scores, Stage};

use super::data::Datasets;
use super::scored::scored;
use super::speech::{GRIFFIN_LIM, SpeechTask, decode_key, read};
use crate::config::RunConfig;
use crate::pipeline::Heard;

/// Has `command` score what was said.
pub fn stage<I: SpeechTask>(
    c: &RunConfig,
    command: String,
    heard: &Heard,
    decode: &Arc<Stage>,
    datasets: &Arc<Datasets>,
) -> Arc<Stage> {
    let (seed, datasets) = (c.seed, Arc::clone(datasets));
    Stage::new(format!("judge-{}", I::TASK), 1, (&command, GRIFFIN_LIM))
        .input("prepare", &heard.prepare)
        .input("decode", decode)
        .run(move |run| {
            let spoken = read(&run.input("decode"))?;
            let targets = spoken.iter().map(|(item, ..)| item.target.as_str());
            let targets = datasets.utterances(&run.input("prepare"), targets)?;
            run.progress().start(spoken.len() as u64, "utterances");
            let sounds = run.outputs().join("sounds");
            fs::create_dir_all(&sounds)?;
            let (griffin_lim, key) = (GriffinLim::new(LogMel::default(), GRIFFIN_LIM), decode_key::<I>(seed));
            let (mut files, mut list) = (Vec::new(), String::new());
            for (n, ((_, mel, _), utterance)) in spoken.iter().zip(&targets).enumerate() {
                let file = format!("{n:04}.wav");
                write_wav(sounds.join(&file), &griffin_lim.samples(mel, key.fold("phase").fold(n)), RATE)?;
                list += &json!({ "file": file, "text": utterance.text, "speaker": utterance.speaker }).to_string();
                list.push('\n');
                files.push(file);
                run.progress().step(n as u64 + 1, "made to sounds");
                run.check()?;
            }
            fs::write(sounds.join("list.jsonl"), list)?;
            let verdicts = ask(&command, &sounds, &files)?;
            let texts: Vec<&str> = targets.iter().map(|utterance| utterance.text.as_str()).collect();
            let score = scored(verdicts, &texts, seed)?;
            run.log(format!("judge {:.3}", score.value))?;
            let speakers = targets.iter().map(|utterance| utterance.speaker.clone()).collect();
            Ok(run.write_scores(&Scores::new().with("judge", score.speakers(speakers)))?)
        })
}

/// The numbers that a command prints for files in a folder, in their order.
fn ask(command: &str, folder: &Path, files: &[String]) -> anyhow::Result<Vec<f64>> {
    let output = Command::new("sh").arg("-c").arg(format!("{command} \"$0\"")).arg(folder).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the judge `{command}` failed ({}): {}",
            output.status,
            said.trim().lines().next_back().unwrap_or("it said nothing")
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut verdicts = HashMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let wrong = || format!("the judge `{command}` printed `{line}`, where a file's name and a number are expected");
        let (file, number) = line.trim().split_once(char::is_whitespace).with_context(wrong)?;
        let number: f64 = number.trim().parse().ok().filter(|number: &f64| number.is_finite()).with_context(wrong)?;
        verdicts.insert(file, number);
    }
    let verdict = |file: &String| {
        let found = verdicts.get(file.as_str()).copied();
        found.with_context(|| format!("the judge `{command}` printed no line for {file}"))
    };
    files.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_told_by_name_and_faults_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["0000.wav".to_owned(), "0001.wav".to_owned()];
        fs::write(folder.path().join("verdicts"), "0001.wav 2.5\n\n0000.wav\t-1\nother 3\n").unwrap();
        let by = |command: &str| ask(command, folder.path(), &files).map_err(|error| error.to_string());
        assert_eq!(by("f() { cat \"$1/verdicts\"; }; f"), Ok(vec![-1.0, 2.5]));
        assert_eq!(
            by("echo gone >&2; exit 3;").unwrap_err(),
            "the judge `echo gone >&2; exit 3;` failed (exit status: 3): gone"
        );
        assert!(by("echo 0000.wav 1 #").unwrap_err().ends_with("printed no line for 0001.wav"));
        assert!(by("echo 0000.wav nan #").unwrap_err().contains("printed `0000.wav nan`"));
        assert!(by("echo 0000.wav #").unwrap_err().contains("a file's name and a number are expected"));
    }
}
