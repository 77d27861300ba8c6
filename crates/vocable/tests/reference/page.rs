//! Generated pages of docs: a program's command line as its `--help` prints it, and a file held to what it should say.

use std::path::PathBuf;
use std::process::Command;

/// Set by `just reference`, which writes the pages.
const WRITE: &str = "VOCABLE_REFERENCE";

/// A file of docs.
pub fn path(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../docs", file].iter().collect()
}

/// Holds a file of docs to its text, or writes it.
pub fn hold(file: &str, text: &str) {
    let path = path(file);
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = found.lines().zip(text.lines()).enumerate();
    let differing = lines.find(|(_, (found, right))| found != right);
    let (line, was, is) = differing.map_or((0, "", ""), |(n, (found, right))| (n + 1, found, right));
    assert!(
        found == text,
        "docs/{file} is out of date: `just reference` writes it\nline {line} says: {was}\nshould say:  {is}"
    );
}

/// The page of a program: every command with what its `--help` prints.
pub fn command_line(program: &str, name: &str) -> String {
    let mut page = format!(
        "# `{name}`: every command\n\nWritten by `just reference` from what `--help` prints; a test holds it to that.\n"
    );
    add(program, name, &[], &mut page);
    page
}

fn add(program: &str, name: &str, words: &[&str], page: &mut String) {
    // Neither standard stream of the child is a terminal, whose width would count.
    let output = Command::new(program).args(words).arg("--help").env("COLUMNS", "100").output().expect("it starts");
    let help = String::from_utf8(output.stdout).expect("help is text");
    assert!(output.status.success() && !help.is_empty(), "{name} {words:?} has no help");
    let help: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    let command = [&[name], words].concat().join(" ");
    page.push_str(&format!("\n## `{command}`\n\n```text\n{}\n```\n", help.join("\n")));
    let listed = help.iter().skip_while(|line| **line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let indented = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    for command in indented.filter_map(|line| line.split(' ').next()).filter(|command| *command != "help") {
        add(program, name, &[words, &[command]].concat(), page);
    }
}
