//! What the workspace is built from on this platform, by its lock file: registries and licences.
//!
//! Known vulnerabilities and yanked versions have to be asked for, which `.ci/advisories.sh` does.

use std::process::Command;

/// Licences whose terms a binary and its sources can keep side by side with MIT and Apache-2.0.
const LICENCES: [&str; 16] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Packages that name a file in the place of an expression, with what is in it.
const READ: [(&str, &str); 1] = [("cfg_block", "Apache-2.0")];
/// Where packages come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether an SPDX expression (with the older `/` for OR) can be met by the licences above.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // Every AND binds licences that must all hold; of those around an OR one is enough. Without nesting beyond that, an
    // expression is met if each part between ANDs is.
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn packages_come_from_the_registry_under_known_licences() {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc has a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let root = metadata["workspace_root"].as_str().unwrap();
    for package in packages {
        let (name, version) = (package["name"].as_str().unwrap(), &package["version"]);
        match package["source"].as_str() {
            // A member of the workspace.
            None => assert!(package["manifest_path"].as_str().unwrap().starts_with(root), "{name} lies elsewhere"),
            Some(source) => assert_eq!(source, REGISTRY, "{name} {version}"),
        }
        let read = READ.iter().find(|(other, _)| *other == name).map(|(_, licence)| *licence);
        let licence = package["license"].as_str().or(read).unwrap_or_else(|| panic!("{name} {version} has no licence"));
        assert!(allowed(licence), "{name} {version} is under {licence}");
    }
}

#[test]
fn expressions_are_met_by_parts() {
    assert!(allowed("MIT/Apache-2.0") && allowed("MIT OR Apache-2.0 OR LGPL-2.1-or-later"));
    assert!(allowed("(MIT OR GPL-3.0-only) AND Unicode-3.0") && allowed("Apache-2.0 WITH LLVM-exception"));
    assert!(!allowed("GPL-3.0-only") && !allowed("MIT AND GPL-3.0-only") && !allowed("proprietary"));
}
