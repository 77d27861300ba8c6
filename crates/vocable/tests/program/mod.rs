//! The program as a user runs it.

use std::process::{Command, Output};

use serde_json::Value;

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vocable"));
    command.args(arguments);
    command
}

pub fn vocable(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("messages are UTF-8")
}

/// What a command prints; it must succeed in silence.
#[track_caller]
pub fn printed(arguments: &[&str]) -> String {
    let output = vocable(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// The objects that it prints, one a line.
#[track_caller]
pub fn objects(arguments: &[&str]) -> Vec<Value> {
    printed(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command says when it ends with `code`.
#[track_caller]
pub fn complaint(code: i32, arguments: &[&str]) -> String {
    let output = vocable(arguments);
    let said = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}
