//! The book quotes the code as it is, and links of all pages lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page;

fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] })
        .filter(|path| is_page(path))
        .collect()
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "md")
}

/// Where some lines stand in a row among others, from a line on, whatever their indentation.
fn position(lines: &[&str], among: &[&str], from: usize) -> Option<usize> {
    (from..among.len()).find(|&at| among[at..].starts_with(lines)).map(|at| at + lines.len())
}

#[test]
fn the_book_quotes_the_code() {
    let mut quoted = 0;
    for path in pages(&page::path("book")) {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```rust\n").skip(1) {
            let block: Vec<&str> = block.lines().take_while(|line| *line != "```").map(str::trim).collect();
            let file = block[0].strip_prefix("// ").expect("the first line names the file");
            let source = fs::read_to_string(page::path("..").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            let source: Vec<&str> = source.lines().map(str::trim).collect();
            let mut at = 0;
            for part in block[1..].split(|line| *line == "// …") {
                let found = position(part, &source, at);
                at = found.unwrap_or_else(|| panic!("{}: {file} does not say\n{}", path.display(), part.join("\n")));
            }
            quoted += 1;
        }
    }
    assert!(quoted > 5, "{quoted} quotations");
}

#[test]
fn links_lead_somewhere() {
    let root = page::path("..");
    let outer =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/_template/README.md"].map(|file| root.join(file));
    for path in pages(&page::path("")).into_iter().chain(outer) {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let inside = !link.contains("://") && !file.is_empty() && !file.contains(' ');
            assert!(!inside || path.parent().unwrap().join(file).exists(), "{}: {link}", path.display());
        }
    }
}
