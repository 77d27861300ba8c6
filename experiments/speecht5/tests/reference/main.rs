//! What docs say is so: the pages of docs/reference, the picture of crates in architecture.md, the book's quotations, links,
//! results.

mod crates;
mod keys;
#[path = "../../../../crates/vocable/tests/reference/page.rs"]
mod page;
mod quotations;
mod results;
mod source;

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_speecht5");

#[test]
fn the_page_of_the_command_line_is_true() {
    page::hold("reference/speecht5.md", &page::command_line(PROGRAM, "speecht5"));
}

/// The base configuration of a scale, as a dry run prints it.
fn base(scale: &str) -> toml::Table {
    let output = Command::new(PROGRAM).args(["run", "ablation", "--dry-run", "--scale", scale]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.split("# ablation, scale ").collect();
    let (heading, config) = rows[1].split_once('\n').unwrap();
    assert_eq!(heading, format!("{scale}: SpeechT5"));
    config.parse().unwrap()
}

#[test]
fn the_page_of_the_configuration_is_true() {
    let types = source::Types::read();
    page::hold("reference/config.md", &keys::page(&types, ["base", "mini", "smoke"].map(base)));
}
