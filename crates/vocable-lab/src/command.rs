//! The command as it was typed, and what of it a table's numbers depend on.

use std::ffi::OsString;

/// The options of a command line that choose cells or say how it works, which a table's numbers do not depend on.
pub(crate) const WAYS: [&str; 7] = ["--row", "--column", "--stage", "--runs", "--threads", "--jobs", "--progress"];

/// The command line without some options, each of which has a value.
pub(crate) fn without(args: &[OsString], options: &[&str]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        match options.iter().find_map(|option| text.strip_prefix(option)) {
            Some("") => drop(args.next()),
            Some(value) if value.starts_with('=') => {}
            _ => kept.push(arg.clone()),
        }
    }
    kept
}

/// The command that runs what a `plan` command shows.
pub(crate) fn run_instead_of_plan(args: &[OsString]) -> Vec<OsString> {
    let mut args = without(args, &["--export"]);
    if let Some(word) = args.iter_mut().find(|word| *word == "plan") {
        *word = "run".into();
    }
    args
}

/// The command as it can be typed again: the program's name without its directory, arguments quoted where needed.
pub(crate) fn line(name: &str, args: &[OsString]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+%@".contains(c);
    let quote = |arg: &OsString| match arg.to_string_lossy() {
        arg if !arg.is_empty() && arg.chars().all(plain) => arg.into_owned(),
        arg => crate::export::quoted(&arg),
    };
    let args = args.iter().skip(1).map(quote);
    std::iter::once(name.to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}
