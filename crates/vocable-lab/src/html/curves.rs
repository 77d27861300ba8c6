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

/// A row's line in a chart: the mean over its seeds' runs, as far as all of them go, and how far they lie apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The rows that share it, with the place behind them where there are several.
    pub rows: String,
    /// The first of these rows, by its place in the table.
    pub row: usize,
    /// How many runs it is the mean of.
    pub runs: usize,
    /// Step, mean, least and greatest, in order.
    pub points: Vec<[f64; 4]>,
}

/// Numbers that say how a training ran, not what it learned: the beginnings of their names, the unit that each is drawn in, and how
/// much of what it was reported in that is.
const MACHINE: [(&str, &str, f64); 8] = [
    ("frames", "", 1.0),
    ("learning_rate", "", 1.0),
    ("memory.", "GB", 1e9),
    ("padding.", "", 1.0),
    ("seconds", "s", 1.0),
    ("skipped seconds", "s", 1.0),
    ("utterances", "", 1.0),
    ("waited", "s", 1.0),
];

/// The charts of one kind of stage, by what each is of.
#[derive(Debug, Default)]
pub struct Charts {
    /// What was learned, losses first.
    pub learning: Vec<(String, Vec<Line>)>,
    /// How the training ran.
    pub machine: Vec<(String, Vec<Line>)>,
}

impl Charts {
    /// The numbers by their names, told apart and with their units.
    pub fn of(numbers: BTreeMap<String, Vec<Line>>) -> Self {
        let mut charts = Self::default();
        for (name, mut lines) in numbers {
            // Validation is timed as updates are.
            let bare = name.strip_prefix("validation ").unwrap_or(&name);
            let Some((_, unit, size)) = MACHINE.iter().find(|(start, ..)| bare.starts_with(start)) else {
                charts.learning.push((name, lines));
                continue;
            };
            for point in lines.iter_mut().flat_map(|line| &mut line.points) {
                point[1..].iter_mut().for_each(|value| *value /= size);
            }
            let comma = if unit.is_empty() { "" } else { ", " };
            charts.machine.push((format!("{name}{comma}{unit}"), lines));
        }
        // The others stay in the order of their names.
        charts.learning.sort_by_key(|(name, _)| !name.ends_with("loss"));
        charts
    }
}

/// What a stage reads: the names of the stages by those that it knows them by.
pub type Inputs<'p> = dyn Fn(&str) -> Result<BTreeMap<String, String>, Error> + 'p;

/// The kind of a stage by its name, which ends with its hash.
pub fn kind(stage: &str) -> &str {
    stage.rsplit_once('-').map_or(stage, |(kind, _)| kind)
}

/// What the manifests under `runs` say; of a stage that is not there, nothing.
///
/// # Errors
/// [`Error`] when a manifest cannot be read.
pub fn of_manifests(runs: &Path) -> impl Fn(&str) -> Result<BTreeMap<String, String>, Error> {
    move |stage| {
        Ok(Manifest::read(&named_stage_dir(runs, stage))?.map_or_else(BTreeMap::new, |manifest| manifest.inputs))
    }
}

/// A place behind a cell, such as "en-de ← decode ← model", and the stages that have it, one of each seed.
struct Place {
    name: String,
    stages: Vec<String>,
}

impl Place {
    /// Whether another place has all of these stages.
    fn is_part_of(&self, other: &Self) -> bool {
        self.stages.iter().all(|stage| other.stages.contains(stage))
    }
}

/// Stages that are drawn as one line, one of each seed, and what each row calls them.
struct Group {
    row: usize,
    stages: Vec<String>,
    names: Vec<String>,
}

/// One run's numbers by name, each a list of (step, value).
type Numbers = BTreeMap<String, Vec<(f64, f64)>>;

/// Of every kind of stage that reported numbers: for each number, a line for every row (or group of rows with the same
/// stages), and several for a row with stages of this kind at several places.
///
/// # Errors
/// [`Error`] when a metrics file or what `inputs` needs cannot be read.
pub fn curves(
    record: &Record,
    runs: &Path,
    inputs: &Inputs,
) -> Result<BTreeMap<String, BTreeMap<String, Vec<Line>>>, Error> {
    let mut kinds: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    for (at, row) in record.rows.iter().enumerate() {
        let mut found = BTreeMap::new();
        for cell in &row.cells {
            cell.stages.iter().try_for_each(|stage| collect(runs, stage, &cell.column, inputs, &mut found))?;
        }
        for (kind, places) in found {
            let groups = kinds.entry(kind).or_default();
            let places = without_repetitions(&places);
            for Place { name, stages } in &places {
                let name = if places.len() > 1 { format!("{} ({name})", row.name) } else { row.name.clone() };
                match groups.iter_mut().find(|group| group.stages == *stages) {
                    Some(group) => group.names.push(name),
                    None => groups.push(Group { row: at, stages: stages.clone(), names: vec![name] }),
                }
            }
        }
    }
    let mut charts: BTreeMap<String, BTreeMap<String, Vec<Line>>> = BTreeMap::new();
    for (kind, groups) in kinds {
        for Group { row, stages, names: rows } in groups {
            let runs: Vec<Numbers> =
                stages.iter().map(|stage| numbers(&named_stage_dir(runs, stage))).collect::<Result<_, _>>()?;
            let names: BTreeSet<&String> = runs.iter().flat_map(BTreeMap::keys).collect();
            for name in names {
                let lines: Vec<&[(f64, f64)]> =
                    runs.iter().filter_map(|run| run.get(name)).map(Vec::as_slice).collect();
                let line = Line { rows: rows.join(", "), row, runs: lines.len(), points: together(&lines) };
                charts.entry(kind.clone()).or_default().entry(name.clone()).or_default().push(line);
            }
        }
    }
    Ok(charts)
}

/// Adds the stage at a place and those behind it that left metrics, by kind.
fn collect(
    runs: &Path,
    stage: &str,
    place: &str,
    inputs: &Inputs,
    found: &mut BTreeMap<String, Vec<Place>>,
) -> Result<(), Error> {
    if named_stage_dir(runs, stage).join(METRICS).exists() {
        let places = found.entry(kind(stage).to_owned()).or_default();
        match places.iter_mut().find(|other| other.name == place) {
            // A stage that does not depend on the seed is one run.
            Some(known) if known.stages.iter().any(|other| other == stage) => {}
            Some(known) => known.stages.push(stage.to_owned()),
            None => places.push(Place { name: place.to_owned(), stages: vec![stage.to_owned()] }),
        }
    }
    inputs(stage)?
        .iter()
        .try_for_each(|(name, input)| collect(runs, input, &format!("{place} ← {name}"), inputs, found))
}

/// The places but for those that have nothing of their own: columns share trainings, and one may have more seeds.
fn without_repetitions(places: &[Place]) -> Vec<&Place> {
    let repeated = |at: usize, place: &Place| {
        places
            .iter()
            .enumerate()
            .any(|(number, other)| number != at && place.is_part_of(other) && (number < at || !other.is_part_of(place)))
    };
    places.iter().enumerate().filter(|(at, place)| !repeated(*at, place)).map(|(_, place)| place).collect()
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

/// Runs of the same settings step by step, as far as all of them go, at the steps of the one with the fewest points.
fn together(lines: &[&[(f64, f64)]]) -> Vec<[f64; 4]> {
    let Some(end) = lines.iter().map(|line| line.last().map_or(f64::NEG_INFINITY, |last| last.0)).reduce(f64::min)
    else {
        return Vec::new();
    };
    // A run under way is not as long as the others and therefore thinned less.
    let reached = |line: &&[(f64, f64)]| line.partition_point(|point| point.0 <= end);
    let coarsest = lines.iter().copied().min_by_key(|line| reached(line)).unwrap_or_default();
    let point = |&(step, _): &(f64, f64)| {
        let values = || lines.iter().map(|line| value_at(line, step));
        let mean = values().sum::<f64>() / lines.len() as f64;
        [step, mean, values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)]
    };
    coarsest[..reached(&coarsest)].iter().map(point).collect()
}

/// The value of a line of at least one point at a step, between two of its points on the straight line between them.
fn value_at(line: &[(f64, f64)], step: f64) -> f64 {
    let after = line.partition_point(|point| point.0 < step).min(line.len() - 1);
    let (before, after) = (line[after.saturating_sub(1)], line[after]);
    if after.0 <= step || after.0 == before.0 {
        return after.1;
    }
    before.1 + (after.1 - before.1) * (step - before.0) / (after.0 - before.0)
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
        // One that is half as far has been thinned half as much.
        let half = thin(&long[..800]);
        let both = together(&[&thinned, &half]);
        assert_eq!(both.len(), 80);
        assert!(both.iter().zip(&thinned).all(|(point, one)| point[0] == one.0), "{both:?}");
        let steps: Vec<(f64, f64)> = long.iter().map(|point| (point.0, point.0)).collect();
        let both = together(&[&thin(&steps), &thin(&steps[..800])]);
        assert!(both.iter().all(|point| (point[3] - point[2]).abs() < 1e-9), "each at its own step: {both:?}");
    }

    #[test]
    fn what_is_at_another_place_is_another_line() {
        let dir = tempfile::tempdir().unwrap();
        // Two seeds of two columns, each of them tuned from the pre-training of its seed, whose units are of a teacher.
        let mut inputs = BTreeMap::new();
        let mut stage = |name: &str, value: f64, reads: &[(&str, &str)]| {
            let reads: BTreeMap<String, String> =
                reads.iter().map(|(name, stage)| ((*name).to_owned(), (*stage).to_owned())).collect();
            inputs.insert(name.to_owned(), reads);
            let dir = named_stage_dir(dir.path(), name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(METRICS), format!("{{\"step\": 1, \"loss\": {value}}}\n")).unwrap();
        };
        stage("pretrain-0", 9.0, &[]);
        for (seed, loss) in [(1, 1.0), (2, 3.0)] {
            let pretrain = format!("pretrain-{seed}");
            stage(&pretrain, loss, &[("teacher", "pretrain-0")]);
            stage(&format!("tune-de{seed}"), loss + 10.0, &[("model", &pretrain)]);
            stage(&format!("tune-fr{seed}"), loss + 20.0, &[("model", &pretrain)]);
        }
        let cell = |column: &str, stages: &[&str]| crate::record::RecordCell {
            column: column.into(),
            stages: stages.iter().map(|stage| (*stage).to_owned()).collect(),
            ..Default::default()
        };
        let mut record = Record::not_run("st", crate::Scale::Smoke, None);
        let row = |name: &str, cells| crate::record::RecordRow { name: name.into(), changes: None, cells };
        record.rows = vec![
            // French has one seed so far.
            row("A", vec![cell("de", &["tune-de1", "tune-de2"]), cell("fr", &["tune-fr1"])]),
            row("B", vec![cell("fr", &["tune-fr1"])]),
        ];
        let charts = curves(&record, dir.path(), &|stage| Ok(inputs[stage].clone())).unwrap();
        let line = |rows: &str, row, runs, [mean, least, most]: [f64; 3]| Line {
            rows: rows.into(),
            row,
            runs,
            points: vec![[1.0, mean, least, most]],
        };
        let tune = [line("A (de)", 0, 2, [12.0, 11.0, 13.0]), line("A (fr), B", 0, 1, [21.0; 3])];
        assert_eq!(charts["tune"]["loss"], tune);
        let pretrain = [
            line("A (de ← model)", 0, 2, [2.0, 1.0, 3.0]),
            line("A (de ← model ← teacher), B (fr ← model ← teacher)", 0, 1, [9.0; 3]),
            line("B (fr ← model)", 1, 1, [1.0; 3]),
        ];
        assert_eq!(charts["pretrain"]["loss"], pretrain);
    }

    #[test]
    fn losses_come_first_and_the_machine_has_its_own_charts_in_units_of_people() {
        let line = |value| vec![Line { rows: "A".into(), row: 0, runs: 1, points: vec![[1.0, value, value, value]] }];
        let names =
            ["accuracy", "loss", "memory.peak", "padding.text", "seconds", "validation loss", "validation waited"];
        let charts = Charts::of(names.iter().map(|name| ((*name).to_owned(), line(2e9))).collect());
        let named = |charts: &[(String, Vec<Line>)]| charts.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(named(&charts.learning), ["loss", "validation loss", "accuracy"]);
        assert_eq!(named(&charts.machine), ["memory.peak, GB", "padding.text", "seconds, s", "validation waited, s"]);
        assert_eq!(charts.machine[0].1, line(2.0));
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
