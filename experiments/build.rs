//! Tells the programs of the experiments which commit they are built from, in the variable `GIT_DESCRIBED` of their compilation:
//! what `git describe` prints, for `vocable_lab::Git::described`, and nothing where there is no repository.

use std::path::Path;
use std::process::Command;

fn main() {
    let described = git(&["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]);
    println!("cargo::rustc-env=GIT_DESCRIBED={described}");
    // What makes another commit of it, or the same one with changes. Git's index is none of it: asking writes there.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    for path in ["src", "../build.rs", "../../crates", "../../Cargo.lock", log.as_str()] {
        // A path that is not there would have it asked again in every build.
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// What git says; nothing where it fails or is not there.
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
