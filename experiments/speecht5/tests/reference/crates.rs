//! The picture of crates in docs/architecture.md: what each is built on, without what follows from the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::page;

const BEGIN: &str = "```mermaid\n";

/// The members of the workspace that each depends on, tests and examples apart.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let built_on = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|one| one["kind"].is_null()).map(name).filter(|name| members.contains(name)).collect()
    };
    packages.iter().map(|package| (name(package), built_on(package))).collect()
}

fn reaches(all: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    all[from].iter().any(|next| next == to || reaches(all, next, to))
}

#[test]
fn the_picture_of_crates_is_true() {
    let all = dependencies();
    let mut picture = "graph TD\n".to_owned();
    for (from, built_on) in &all {
        let implied = |to: &str| built_on.iter().any(|other| other != to && reaches(&all, other, to));
        for to in built_on.iter().filter(|to| !implied(to)) {
            let short = |name: &str| name.strip_prefix("vocable-").unwrap_or(name).to_owned();
            writeln!(picture, "    {} --> {}", short(from), short(to)).unwrap();
        }
    }
    let text = fs::read_to_string(page::path("architecture.md")).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("there is a picture");
    let (_, after) = rest.split_once("```\n").expect("it ends");
    page::hold("architecture.md", &format!("{before}{BEGIN}{picture}```\n{after}"));
}
