//! Dependencies run downwards only (docs/architecture.md).

use std::collections::HashMap;
use std::process::Command;

/// The crates from the bottom up; a crate may depend on earlier ones alone.
const LAYERS: &[&str] = &[
    "vocable-files",
    "vocable-random",
    "vocable-audio",
    "vocable-text",
    "vocable-metrics",
    "vocable-weights",
    "vocable-data",
    "vocable-lab",
    "vocable-kernels",
    "vocable-nn",
    "vocable-published",
    "vocable-hubert",
    "vocable-nets",
    "vocable-objectives",
    "vocable-decode",
    "vocable-vocoder",
    "vocable-train",
    "vocable-lm",
    "vocable-speakers",
    "vocable-speecht5",
    "vocable",
    "experiment-template",
    "speecht5-experiments",
    "vocable-benches",
];
/// Layers without Burn.
const HOST: usize = 8;

fn packages() -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn dependencies_run_downwards() {
    let layer: HashMap<&str, usize> = LAYERS.iter().enumerate().map(|(n, &name)| (name, n)).collect();
    let packages = packages();
    assert_eq!(
        packages.len(),
        LAYERS.len(),
        "a crate is missing from the list of layers, or the list has one too many"
    );
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let own = *layer.get(name).unwrap_or_else(|| panic!("{name} is in no layer"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            if let Some(&below) = layer.get(other) {
                assert!(below < own, "{name} depends on {other}, which is not below it");
            }
            assert!(own >= HOST || !other.starts_with("burn"), "{name} depends on {other}: this layer has no Burn");
        }
    }
}

#[test]
fn every_crate_explains_itself() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let folder = std::path::Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
        let description = package["description"].as_str().unwrap_or_default();
        assert!(description.len() > 20, "{name} has no description");
        assert!(folder.join("README.md").exists(), "{name} has no README");
        let is_library = package["targets"].as_array().unwrap().iter().any(|t| t["kind"][0] == "lib");
        if is_library && name != "vocable-benches" {
            assert!(folder.join("examples").is_dir(), "{name} has no example");
        }
    }
}
