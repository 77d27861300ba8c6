//! Where a number comes from: the chain of stages behind a cell, as their manifests tell it.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::files::entries;
use crate::manifest::{Manifest, Status};
use crate::plan::named_stage_dir;
use crate::progress::seconds;

/// The chain from a score stage's directory down to the data, as a text: what made each stage, when, from which code, and
/// which files it left.
///
/// # Errors
/// [`Error`] when a manifest cannot be read or a stage of the chain is not there.
pub fn trace(runs: &Path, stage: &str) -> Result<String, Error> {
    let mut text = String::new();
    add(runs, stage, "", 0, &mut HashSet::new(), &mut text)?;
    Ok(text)
}

fn add(
    runs: &Path,
    stage: &str,
    role: &str,
    depth: usize,
    seen: &mut HashSet<String>,
    text: &mut String,
) -> Result<(), Error> {
    let indent = "  ".repeat(depth);
    let role = if role.is_empty() { String::new() } else { format!("{role}: ") };
    if !seen.insert(stage.to_owned()) {
        line(text, &indent, &format!("{role}{stage} (above)"));
        return Ok(());
    }
    let dir = named_stage_dir(runs, stage);
    let manifest = Manifest::read(&dir)?.ok_or_else(|| Error::Missing(dir.clone()))?;
    line(text, &indent, &format!("{role}{stage}"));
    let indent = format!("{indent}    ");
    let state = match manifest.status {
        Status::Done => "done",
        Status::Running => "at work, or killed",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
    };
    let ended = manifest.ended.as_deref().unwrap_or("an open end");
    let runs_word = if manifest.runs == 1 { "run" } else { "runs" };
    line(
        text,
        &indent,
        &format!(
            "{state}; {} to {ended}, {} of work in {} {runs_word}",
            manifest.started,
            seconds(manifest.wall_seconds),
            manifest.runs
        ),
    );
    let code = manifest.provenance.build.git.as_ref().map_or_else(
        || "unknown commit".to_owned(),
        |git| format!("commit {}{}", git.commit, if git.dirty { " with uncommitted changes" } else { "" }),
    );
    line(text, &indent, &format!("code: {code}, version {}", manifest.provenance.version));
    let build = manifest.provenance.build.to_string();
    if !build.is_empty() {
        line(text, &indent, &format!("built with: {build}, on {} cores", manifest.provenance.cores));
    }
    line(text, &indent, &format!("command: {}", manifest.provenance.command));
    line(text, &indent, &format!("identity: {}", manifest.identity));
    line(text, &indent, &format!("settings: {}", dir.join("config.toml").display()));
    if manifest.inputs.is_empty() {
        // Where there are no inputs, the settings say what data it is.
        for setting in fs::read_to_string(dir.join("config.toml")).unwrap_or_default().lines() {
            if setting.contains(" = ") {
                line(text, &indent, &format!("  {setting}"));
            }
        }
    }
    let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let outputs: Vec<String> = entries(&dir.join("outputs")).into_iter().map(name).collect();
    if !outputs.is_empty() {
        line(text, &indent, &format!("outputs: {}", outputs.join(", ")));
    }
    for (role, input) in &manifest.inputs {
        add(runs, input, role, depth + 1, seen, text)?;
    }
    Ok(())
}

fn line(text: &mut String, indent: &str, words: &str) {
    // Writing to a string never fails.
    let _ = writeln!(text, "{indent}{words}");
}
