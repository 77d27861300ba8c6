//! The numbers that training stages reported as they ran, read back from their `metrics.jsonl`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::manifest::Manifest;
use crate::plan::named_stage_dir;
use crate::record::Record;
use crate::stage_run::METRICS;

/// Points of a line at most: neighbours beyond that are averaged.
const POINTS: usize = 160;

/// A row's line in a chart: the mean over its seeds' runs, and how far they lie apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The rows that share it.
    pub rows: String,
    /// Step, mean, least and greatest, in order.
    pub points: Vec<[f64; 4]>,
}

/// Stages of one kind, one of each seed, and the rows they are behind.
struct Group<'r> {
    stages: BTreeSet<String>,
    rows: Vec<&'r str>,
}

/// One run's numbers by name, each a list of (step, value).
type Numbers = BTreeMap<String, Vec<(f64, f64)>>;

/// Of every kind of stage that reported numbers: for each number, a line for every row (or group of rows with the same
/// stages).
///
/// # Errors
/// [`Error`] when a manifest or a metrics file cannot be read.
pub fn curves(record: &Record, runs: &Path) -> Result<BTreeMap<String, BTreeMap<String, Vec<Line>>>, Error> {
    let mut kinds: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    for row in &record.rows {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for stage in row.cells.iter().flat_map(|cell| &cell.stages) {
            collect(runs, stage, &mut seen, &mut found)?;
        }
        for (kind, stages) in found {
            let groups = kinds.entry(kind).or_default();
            match groups.iter_mut().find(|group| group.stages == stages) {
                Some(group) => group.rows.push(&row.name),
                None => groups.push(Group { stages, rows: vec![&row.name] }),
            }
        }
    }
    let mut charts: BTreeMap<String, BTreeMap<String, Vec<Line>>> = BTreeMap::new();
    for (kind, groups) in kinds {
        for Group { stages, rows } in groups {
            let runs: Vec<Numbers> =
                stages.iter().map(|stage| numbers(&named_stage_dir(runs, stage))).collect::<Result<_, _>>()?;
            let names: BTreeSet<&String> = runs.iter().flat_map(BTreeMap::keys).collect();
            for name in names {
                let lines: Vec<&[(f64, f64)]> =
                    runs.iter().filter_map(|run| run.get(name)).map(Vec::as_slice).collect();
                let line = Line { rows: rows.join(", "), points: together(&lines) };
                charts.entry(kind.clone()).or_default().entry(name.clone()).or_default().push(line);
            }
        }
    }
    Ok(charts)
}

/// Adds the stages behind one, itself included, that left metrics, by kind.
fn collect(
    runs: &Path,
    stage: &str,
    seen: &mut BTreeSet<String>,
    found: &mut BTreeMap<String, BTreeSet<String>>,
) -> Result<(), Error> {
    if !seen.insert(stage.to_owned()) {
        return Ok(());
    }
    let dir = named_stage_dir(runs, stage);
    let Some(manifest) = Manifest::read(&dir)? else { return Ok(()) };
    if dir.join(METRICS).exists() {
        found.entry(manifest.kind).or_default().insert(stage.to_owned());
    }
    manifest.inputs.values().try_for_each(|input| collect(runs, input, seen, found))
}

/// A stage's numbers as thin as they are drawn, as lines of a `metrics.jsonl`; `None` where it reported none.
///
/// # Errors
/// [`Error::File`] when the metrics file cannot be read.
pub fn thinned(dir: &Path) -> Result<Option<String>, Error> {
    if !dir.join(METRICS).exists() {
        return Ok(None);
    }
    let mut points: Vec<(f64, String, f64)> = Vec::new();
    for (name, line) in numbers(dir)? {
        points.extend(line.into_iter().map(|(step, value)| (step, name.clone(), value)));
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = String::new();
    for together in points.chunk_by(|a, b| a.0 == b.0) {
        let mut line = serde_json::Map::from_iter([("step".to_owned(), together[0].0.into())]);
        line.extend(together.iter().map(|(_, name, value)| (name.clone(), (*value).into())));
        text.push_str(&format!("{}\n", Value::Object(line)));
    }
    Ok(Some(text))
}

/// A run's numbers: every number of every line that says its step, nested names joined by dots.
fn numbers(dir: &Path) -> Result<Numbers, Error> {
    let path = dir.join(METRICS);
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let mut numbers = Numbers::new();
    for line in text.lines() {
        // A torn last line of a run that was killed is not there yet.
        let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { continue };
        let step = ["step", "update"].into_iter().find_map(|key| fields.remove(key)?.as_f64());
        let Some(step) = step else { continue };
        let kind = fields.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned));
        let prefix = kind.filter(|kind| kind != "update").map_or_else(String::new, |kind| format!("{kind} "));
        add(&prefix, step, &Value::Object(fields), &mut numbers);
    }
    Ok(numbers.into_iter().map(|(name, points)| (name, thin(&points))).collect())
}

fn add(name: &str, step: f64, value: &Value, numbers: &mut Numbers) {
    match value {
        Value::Number(number) => {
            numbers.entry(name.trim().to_owned()).or_default().extend(number.as_f64().map(|number| (step, number)));
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                // What only groups names says nothing.
                let inner = match (key.as_str(), value) {
                    ("terms" | "numbers", Value::Object(_)) => name.to_owned(),
                    (key, Value::Object(_)) => format!("{name}{key}."),
                    (key, _) => format!("{name}{key}"),
                };
                add(&inner, step, value, numbers);
            }
        }
        _ => {}
    }
}

/// At most [`POINTS`] points: means of neighbours.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let sum = group.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / group.len() as f64, sum.1 / group.len() as f64)
    };
    points.chunks(group).map(mean).collect()
}

/// Runs of the same settings point by point, as far as all of them go.
fn together(lines: &[&[(f64, f64)]]) -> Vec<[f64; 4]> {
    let length = lines.iter().map(|line| line.len()).min().unwrap_or(0);
    let point = |at: usize| {
        let values = || lines.iter().map(|line| line[at].1);
        let mean = values().sum::<f64>() / lines.len() as f64;
        [lines[0][at].0, mean, values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)]
    };
    (0..length).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_thinned_by_means_and_seeds_become_bands() {
        let long: Vec<(f64, f64)> = (0..1600).map(|n| (f64::from(n), f64::from(n % 10))).collect();
        let thinned = thin(&long);
        assert_eq!(thinned.len(), POINTS);
        assert!(thinned.iter().all(|point| point.1 == 4.5));
        let (a, b) = ([(1.0, 2.0), (2.0, 4.0), (3.0, 5.0)], [(1.0, 4.0), (2.0, 4.0)]);
        assert_eq!(together(&[&a, &b]), [[1.0, 3.0, 2.0, 4.0], [2.0, 4.0, 4.0, 4.0]]);
        assert!(together(&[]).is_empty());
    }

    #[test]
    fn names_of_nested_numbers_are_joined() {
        let mut numbers = Numbers::new();
        let line =
            serde_json::json!({ "loss": 1.0, "terms": { "text/ce": 2.0 }, "memory": { "peak": 3.0 }, "words": "no" });
        add("", 7.0, &line, &mut numbers);
        add("validation ", 7.0, &serde_json::json!({ "numbers": { "accuracy": 0.5 } }), &mut numbers);
        let names: Vec<&str> = numbers.keys().map(String::as_str).collect();
        assert_eq!(names, ["loss", "memory.peak", "text/ce", "validation accuracy"]);
        assert_eq!(numbers["text/ce"], [(7.0, 2.0)]);
    }
}
