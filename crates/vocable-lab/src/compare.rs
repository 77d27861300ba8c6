//! Where two runs first differ: in their configuration, their data, their code, a step or a tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vocable_weights::Weights;

use crate::config::{self, Change};
use crate::error::Error;
use crate::manifest::Manifest;
use crate::plan::{named_stage_dir, stage_dirs};
use crate::stage_run::{EXHIBITS, METRICS};

/// Fields of a record that tell how long it took and where, not what came out.
const INCIDENTAL: [&str; 3] = ["seconds", "waited", "memory"];
/// How many changed settings are named.
const NAMED: usize = 3;

/// What two runs of a stage were compared in, in the order in which a difference spreads: none where they are the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The resolved configuration.
    pub configuration: Option<String>,
    /// What the stages before left.
    pub data: Option<String>,
    /// The commit, the version of the program, the contract of the stage.
    pub code: Option<String>,
    /// The records, line by line, without times and memory.
    pub step: Option<String>,
    /// The weights and optimiser states of the checkpoints that both have, then those of the outputs.
    pub tensor: Option<String>,
    /// The other outputs.
    pub outputs: Option<String>,
    /// Whether one of them is in an [archive](crate::archive::archive): records are thinned and tensors left out there, so these
    /// and what else it lacks were not compared.
    pub archived: bool,
}

impl Comparison {
    /// The parts that an archive leaves out.
    pub const LEFT_OUT: [&str; 2] = ["step", "tensor"];

    /// Each part by its name.
    pub fn parts(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("configuration", self.configuration.as_deref()),
            ("data", self.data.as_deref()),
            ("code", self.code.as_deref()),
            ("step", self.step.as_deref()),
            ("tensor", self.tensor.as_deref()),
            ("outputs", self.outputs.as_deref()),
        ]
    }

    /// Whether nothing differs.
    pub fn same(&self) -> bool {
        self.parts().into_iter().all(|(_, difference)| difference.is_none())
    }

    /// The same, whatever code made them.
    fn whatever_code(&self) -> Self {
        Self { code: None, ..self.clone() }
    }

    /// The first part that differs.
    fn first(&self) -> Option<String> {
        self.parts().into_iter().find_map(|(part, difference)| Some(format!("{part}: {}", difference?)))
    }
}

/// Compares two runs: directories of stages, or runs directories, of which the stages that both have are compared,
/// inputs first. Gives the directories of the stages that differ first in more than their code, or of the last ones.
///
/// # Errors
/// [`Error::Compare`] for a directory that holds no run, [`Error`] when a file cannot be read.
pub fn compare(a: &Path, b: &Path) -> Result<(PathBuf, PathBuf, Comparison), Error> {
    if Manifest::read(a)?.is_some() && Manifest::read(b)?.is_some() {
        return Ok((a.to_owned(), b.to_owned(), compare_stages(a, b, &mut Alike::new())?));
    }
    let (of_a, of_b) = (stages(a)?, stages(b)?);
    let kind_of = |name: &str| name.rsplit_once('-').map_or(name, |(kind, _)| kind).to_owned();
    let only = |stages: &BTreeMap<String, Manifest>, kind: &str| {
        let mut names = stages.keys().filter(|name| kind_of(name) == kind);
        names.next().filter(|_| names.next().is_none()).cloned()
    };
    let twin = |name: &String| match of_b.contains_key(name) {
        true => Some(name.clone()),
        // Another configuration has another name, but is the same piece of work.
        false => only(&of_a, &kind_of(name)).and_then(|_| only(&of_b, &kind_of(name))),
    };
    let mut pairs: Vec<(usize, String, String)> =
        of_a.keys().filter_map(|name| Some((depth(&of_a, name), name.clone(), twin(name)?))).collect();
    pairs.sort();
    let (mut alike, mut last) = (Alike::new(), None);
    for (_, one, other) in pairs {
        let (one, other) = (named_stage_dir(a, &one), named_stage_dir(b, &other));
        let comparison = compare_stages(&one, &other, &mut alike)?;
        let differs = !comparison.whatever_code().same();
        last = Some((one, other, comparison));
        if differs {
            break;
        }
    }
    last.ok_or_else(|| Error::Compare { path: b.to_owned(), reason: "has no stage in common with the first".into() })
}

/// The stages of a runs directory by their names.
fn stages(runs: &Path) -> Result<BTreeMap<String, Manifest>, Error> {
    let mut found = BTreeMap::new();
    for dir in stage_dirs(runs) {
        if let Some(manifest) = Manifest::read(&dir)? {
            found.insert(dir.file_name().unwrap_or_default().to_string_lossy().into_owned(), manifest);
        }
    }
    if found.is_empty() {
        let reason = "is neither the directory of a stage nor a runs directory with stages in it".into();
        return Err(Error::Compare { path: runs.to_owned(), reason });
    }
    Ok(found)
}

/// How many stages must run before one.
fn depth(stages: &BTreeMap<String, Manifest>, name: &str) -> usize {
    let inputs = stages.get(name).into_iter().flat_map(|manifest| manifest.inputs.values());
    inputs.map(|input| 1 + depth(stages, input)).max().unwrap_or(0)
}

/// Pairs of stages that were compared and are the same, whatever code made them: many stages are made from one.
type Alike = BTreeSet<(PathBuf, PathBuf)>;

fn compare_stages(a: &Path, b: &Path, alike: &mut Alike) -> Result<Comparison, Error> {
    let read = |dir: &Path| {
        let reason = || "holds no manifest.json of a stage".to_owned();
        Manifest::read(dir)?.ok_or_else(|| Error::Compare { path: dir.to_owned(), reason: reason() })
    };
    let (one, other) = (read(a)?, read(b)?);
    let left_out: Vec<&str> = one.left_out.iter().chain(&other.left_out).map(String::as_str).collect();
    let archived = one.archived || other.archived;
    let comparison = Comparison {
        configuration: configuration(a, b, &one, &other)?,
        data: data(a, b, &one, &other, alike)?,
        code: code(&one, &other),
        step: if archived { None } else { step(a, b)? },
        tensor: if archived { None } else { tensor(a, b)? },
        outputs: outputs(a, b, archived, &left_out)?,
        archived,
    };
    if comparison.whatever_code().same() {
        alike.insert((a.to_owned(), b.to_owned()));
    }
    Ok(comparison)
}

fn configuration(a: &Path, b: &Path, one: &Manifest, other: &Manifest) -> Result<Option<String>, Error> {
    if one.kind != other.kind {
        return Ok(Some(format!("kind: {} → {}", one.kind, other.kind)));
    }
    if one.config_hash == other.config_hash {
        return Ok(None);
    }
    let read = |dir: &Path| {
        let path = dir.join("config.toml");
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let damaged = |error: toml::de::Error| Error::Compare { path, reason: error.to_string() };
        toml::from_str(&text).map(settings).map_err(damaged)
    };
    Ok(named(&config::changes(&read(a)?, &read(b)?)))
}

/// Settings that a stage gave as a list, by their position in it.
fn settings(config: Value) -> Value {
    match config.get("config").and_then(Value::as_array) {
        Some(list) => (1..).map(|n: usize| format!("setting {n}")).zip(list.iter().cloned()).collect(),
        None => config,
    }
}

/// The first changes; none where there are none.
fn named(changes: &[Change]) -> Option<String> {
    let shown: Vec<String> = changes.iter().take(NAMED).map(ToString::to_string).collect();
    let more = changes.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    (!changes.is_empty()).then(|| shown.join(", ") + &more)
}

/// The first difference of the inputs, those of their inputs first.
fn data(a: &Path, b: &Path, one: &Manifest, other: &Manifest, alike: &mut Alike) -> Result<Option<String>, Error> {
    let names: BTreeSet<&String> = one.inputs.keys().chain(other.inputs.keys()).collect();
    for name in names {
        let (Some(left), Some(right)) = (one.inputs.get(name), other.inputs.get(name)) else {
            return Ok(Some(format!("only one of them has an input `{name}`")));
        };
        let dirs = (a.with_file_name(left), b.with_file_name(right));
        if dirs.0 == dirs.1 || alike.contains(&dirs) {
            continue;
        }
        if !(dirs.0.exists() && dirs.1.exists()) {
            if left != right {
                return Ok(Some(format!("{name}: {left} → {right}")));
            }
            continue;
        }
        if let Some(first) = compare_stages(&dirs.0, &dirs.1, alike)?.whatever_code().first() {
            return Ok(Some(format!("{name} ({left}, {right}): {first}")));
        }
    }
    Ok(None)
}

fn code(one: &Manifest, other: &Manifest) -> Option<String> {
    let named = |manifest: &Manifest| match &manifest.provenance.build.git {
        Some(git) => format!("{:.10}{}", git.commit, if git.dirty { " with changes" } else { "" }),
        None => "unknown commit".to_owned(),
    };
    let described = |m: &Manifest| {
        let build = m.provenance.build.to_string();
        let build = if build.is_empty() { build } else { format!(", {build}") };
        format!("{}, version {}, contract {}{build}", named(m), m.provenance.version, m.contract)
    };
    let (one, other) = (described(one), described(other));
    (one != other).then(|| format!("{one} → {other}"))
}

/// The first line of `metrics.jsonl` that differs.
fn step(a: &Path, b: &Path) -> Result<Option<String>, Error> {
    let read = |dir: &Path| {
        let path = dir.join(METRICS);
        if path.exists() { fs::read_to_string(&path).map_err(Error::file("read", &path)) } else { Ok(String::new()) }
    };
    let (a, b) = (read(a)?, read(b)?);
    let parse = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap_or_else(|_| Value::from(line));
        if let Some(record) = record.as_object_mut() {
            INCIDENTAL.iter().for_each(|field| drop(record.shift_remove(*field)));
        }
        record
    };
    let mut at = "the beginning".to_owned();
    for (number, (one, other)) in a.lines().zip(b.lines()).map(|(one, other)| (parse(one), parse(other))).enumerate() {
        at = ["update", "step"]
            .iter()
            .find_map(|key| Some(format!("{key} {}", one.get(*key)?)))
            .unwrap_or_else(|| format!("line {}", number + 1));
        if let Some(changes) = named(&config::changes(&one, &other)) {
            return Ok(Some(format!("{at}: {changes}")));
        }
    }
    let (one, other) = (a.lines().count(), b.lines().count());
    Ok((one != other).then(|| format!("the same up to {at}, where one ends: {one} → {other} records")))
}

/// The first tensor that differs, in the first file that both have.
fn tensor(a: &Path, b: &Path) -> Result<Option<String>, Error> {
    for directory in ["checkpoints", "outputs"] {
        let (of_a, of_b) = (files(&a.join(directory)), files(&b.join(directory)));
        for name in of_a.intersection(&of_b).filter(|name| name.extension().is_some_and(|end| end == "safetensors")) {
            let name = Path::new(directory).join(name);
            let open = |dir: &Path| {
                let path = dir.join(&name);
                Weights::open(&path).map_err(|error| Error::Compare { path, reason: error.to_string() })
            };
            if let Some(difference) = first_tensor(&open(a)?, &open(b)?) {
                return Ok(Some(format!("{}: {difference}", name.display())));
            }
        }
    }
    Ok(None)
}

fn first_tensor(a: &Weights, b: &Weights) -> Option<String> {
    let names: BTreeSet<&str> = a.tensors().chain(b.tensors()).map(|tensor| tensor.name()).collect();
    names.into_iter().find_map(|name| {
        let (Some(one), Some(other)) = (a.get(name), b.get(name)) else {
            return Some(format!("only one of them has {name}"));
        };
        if one.shape() != other.shape() || one.dtype() != other.dtype() {
            return Some(format!(
                "{name}: {:?} {:?} → {:?} {:?}",
                one.dtype(),
                one.shape(),
                other.dtype(),
                other.shape()
            ));
        }
        if one.bytes() == other.bytes() {
            return None;
        }
        let (Ok(x), Ok(y)) = (one.to_f32(), other.to_f32()) else { return Some(format!("{name}: other values")) };
        let pairs = x.iter().zip(&y).filter(|(x, y)| x.to_bits() != y.to_bits());
        // Unlike `max`, this does not pass over what is not a number.
        let larger = |a: f32, b: f32| if a.total_cmp(&b).is_lt() { b } else { a };
        let (count, largest) =
            pairs.fold((0, 0.0), |(count, largest), (x, y)| (count + 1, larger(largest, (x - y).abs())));
        Some(format!("{name}: {count} of {} values, by {largest:.3e} at most", x.len()))
    })
}

/// The first output without tensors that differs. Those that an archive left out are passed over, as are exhibits then, of which
/// it keeps some.
fn outputs(a: &Path, b: &Path, archived: bool, left_out: &[&str]) -> Result<Option<String>, Error> {
    let (a, b) = (a.join("outputs"), b.join("outputs"));
    let (of_a, of_b) = (files(&a), files(&b));
    let shown = archived.then_some(&EXHIBITS);
    let compared = |name: &&PathBuf| !left_out.iter().chain(shown).any(|missing| name.starts_with(missing));
    for name in of_a.union(&of_b).filter(compared) {
        if !(of_a.contains(name) && of_b.contains(name)) {
            return Ok(Some(format!("only one of them has {}", name.display())));
        }
        let read = |dir: &Path| fs::read(dir.join(name)).map_err(Error::file("read", &dir.join(name)));
        let tensors = name.extension().is_some_and(|end| end == "safetensors");
        if !tensors && read(&a)? != read(&b)? {
            return Ok(Some(name.display().to_string()));
        }
    }
    Ok(None)
}

/// The files below a directory, by their paths from there; damaged and half-written checkpoints are passed over.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = PathBuf::from(entry.file_name());
        let shown = name.to_string_lossy();
        if shown.starts_with('.') || shown.starts_with("damaged-") {
            continue;
        }
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path()).into_iter().map(|below| name.join(below))),
            false => drop(found.insert(name)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use serde_json::json;
    use vocable_weights::{OwnedTensor, write_safetensors};

    use super::*;
    use crate::manifest::{Build, Git, Provenance};
    use crate::progress::Style;
    use crate::{Plan, Runner, Stage};

    /// Runs a loop on a corpus; `spoilt` is the step at which its numbers go another way.
    fn run(corpus: &str, rate: f64, commit: &str, spoilt: usize) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let text = corpus.to_owned();
        let corpus = Stage::new("corpus", 1, corpus).run(move |run| Ok(run.write_output("text", text.as_bytes())?));
        let train = Stage::new("train", 1, json!({ "rate": rate })).input("corpus", &corpus).run(move |run| {
            let mut metrics = run.metrics(0)?;
            for step in 1..=4_usize {
                let loss = if step >= spoilt { 0.5 } else { 1.0 };
                metrics.append(step as u64, &json!({ "loss": loss, "seconds": spoilt as f64 * 0.1 }))?;
            }
            let values = [1.0, if spoilt <= 4 { 2.5 } else { 2.0 }, 3.0];
            let tensors = ["a", "b"].map(|name| (name.to_owned(), OwnedTensor::f32(vec![3], &values)));
            Ok(write_safetensors(&run.outputs().join("model.safetensors"), tensors.to_vec(), None)?)
        });
        let git = Some(Git { commit: commit.into(), dirty: false });
        let build = Build { git, ..Build::default() };
        let provenance = Provenance { command: String::new(), version: "1".into(), cores: 1, build };
        let runner =
            Runner::new(directory.path().to_owned(), provenance, Arc::new(AtomicBool::new(false))).style(Style::None);
        assert!(runner.run(&Plan::new([&train])).unwrap().failed.is_empty());
        directory
    }

    fn difference(a: &tempfile::TempDir, b: &tempfile::TempDir) -> Comparison {
        compare(a.path(), b.path()).unwrap().2
    }

    #[test]
    fn the_same_run_again_is_the_same() {
        let (a, b) = (run("x", 0.1, "abc", 9), run("x", 0.1, "abc", 8));
        let (one, other, comparison) = compare(a.path(), b.path()).unwrap();
        assert!(comparison.same(), "{comparison:?}");
        assert!(one.starts_with(a.path()) && other.starts_with(b.path()) && one.to_string_lossy().contains("train-"));
    }

    #[test]
    fn each_part_says_where_it_differs() {
        let base = run("x", 0.1, "abc", 9);
        let found = difference(&base, &run("x", 0.2, "abc", 9));
        assert_eq!(found.configuration.as_deref(), Some("rate: 0.1 → 0.2"));
        assert_eq!((found.data, found.code, found.step, found.tensor), (None, None, None, None));

        let found = difference(&base, &run("x", 0.1, "def", 3));
        assert_eq!((&found.configuration, &found.data), (&None, &None));
        assert_eq!(found.code.as_deref(), Some("abc, version 1, contract 1 → def, version 1, contract 1"));
        assert_eq!(found.step.as_deref(), Some("step 3: loss: 1.0 → 0.5"), "that of the corpus is by the way");
        let train = |runs: &tempfile::TempDir| {
            let name = stages(runs.path()).unwrap().into_keys().find(|name| name.starts_with("train-")).unwrap();
            runs.path().join("stages").join(name)
        };
        let spoilt = run("x", 0.1, "abc", 3);
        let (.., found) = compare(&train(&base), &train(&spoilt)).unwrap();
        assert_eq!(found.step.as_deref(), Some("step 3: loss: 1.0 → 0.5"));
        assert_eq!(found.tensor.as_deref(), Some("outputs/model.safetensors: a: 1 of 3 values, by 5.000e-1 at most"));
        assert_eq!((found.configuration, found.code, found.outputs), (None, None, None));

        let other = run("x", 0.1, "abc", 9);
        let mut manifest = Manifest::read(&train(&other)).unwrap().unwrap();
        let git = manifest.provenance.build.git.take();
        manifest.provenance.build = Build { git, ..Build::new("burn 1", "flex", &[("mpi", true), ("cuda", false)]) };
        manifest.write(&train(&other)).unwrap();
        let code = compare(&train(&base), &train(&other)).unwrap().2.code.unwrap();
        assert!(code.starts_with("abc, version 1, contract 1 → abc, version 1, contract 1, lock file "), "{code}");
        assert!(code.ends_with(", device flex, features mpi"), "{code}");

        let (.., found) = compare(&train(&base), &train(&run("y", 0.1, "abc", 9))).unwrap();
        let data = found.data.unwrap();
        assert!(
            data.starts_with("corpus (corpus-") && data.ends_with("configuration: config: \"x\" → \"y\""),
            "{data}"
        );
    }

    #[test]
    fn what_is_no_run_is_named() {
        let (empty, full) = (tempfile::tempdir().unwrap(), run("x", 0.1, "abc", 9));
        let error = compare(full.path(), empty.path()).unwrap_err().to_string();
        assert!(error.contains(&empty.path().display().to_string()) && error.contains("neither"), "{error}");
    }
}
