//! A table's measured numbers, as `runs/tables/<table>-<scale>.json` keeps them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vocable_metrics::{Bootstrap, FEWEST, Interval, Items};
use vocable_random::Key;

use crate::config::{Change, Config, diff};
use crate::error::Error;
use crate::files::{entries, read_json, write_json};
use crate::manifest::{Git, Manifest, Status};
use crate::plan::{Plan, named_stage_dir, stage_dir};
use crate::runner::Outcome;
use crate::scale::Scale;
use crate::score::{Groups, Score, Scores};
use crate::stage::Stage;
use crate::table::{Column, Resolved, Row, Table, Trial, Unavailable};

/// The measured numbers of a table, and what a reader must know to believe them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The table's name.
    pub table: String,
    /// The scale.
    pub scale: Scale,
    /// What tells this record from others of the same table and scale (`--name`).
    pub name: Option<String>,
    /// The caption's facts: data, sizes.
    pub caption: String,
    /// The command that measures all of it; empty if nothing has run.
    pub command: String,
    /// Wall time of all stages that are done, in seconds, whenever they ran.
    pub seconds: f64,
    /// How many stages that is.
    pub stages: usize,
    /// Core counts of the machines they ran on.
    pub cores: Vec<usize>,
    /// Source trees they were run from.
    pub code: Vec<Git>,
    /// Stages for cells which lack a number, of a seed at least: what the table does not show yet, but is not unused (`gc`)
    /// either. Those that have begun; from the beginning of a run to its end all that it may begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<String>,
    /// The rows in the table's order.
    pub rows: Vec<RecordRow>,
}

/// One row's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The row's name.
    pub name: String,
    /// What it changes of the base, as this was after the overrides of the command; `None` in a record from before this was
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
    /// Its cells in the table's order.
    pub cells: Vec<RecordCell>,
}

/// One measured number, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordCell {
    /// The column's name.
    pub column: String,
    /// The number, the mean over seeds; `None` if none has run.
    pub value: Option<f64>,
    /// The numbers of the seeds, in their order.
    pub values: Vec<f64>,
    /// How many items it was measured on.
    pub n: Option<u64>,
    /// The seeds of the runs it comes from.
    pub seeds: Vec<u64>,
    /// How many sentences the items are of, if that is known.
    pub sentences: Option<usize>,
    /// Its 95 % interval over sentences, each drawn with all items that are its, or over items where sentences are not known.
    pub interval: Option<[f64; 2]>,
    /// How many speakers the items are of, if that is known.
    pub speakers: Option<usize>,
    /// Its 95 % interval over speakers, each drawn with all items that are its; `None` with less than [`FEWEST`].
    pub speaker_interval: Option<[f64; 2]>,
    /// How surprising so large a difference from the first row would be if there were none: the p-value of the paired
    /// bootstrap over sentences (over items where these are not known), of the seeds that both have. `None` in the first row,
    /// and where scores are not made of the same items.
    pub p: Option<f64>,
    /// The directories of the score stages, in the order of the seeds.
    pub stages: Vec<String>,
    /// Why there is no number, or none of some seed.
    pub reason: Option<String>,
}

impl RecordCell {
    /// The standard deviation over seeds, of the population they are drawn from; `None` with less than two.
    pub fn deviation(&self) -> Option<f64> {
        let mean = self.value?;
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        (self.values.len() > 1).then(|| (squares / (self.values.len() - 1) as f64).sqrt())
    }
}

impl Record {
    /// The record of a table that has not run: every cell is empty.
    pub fn not_run(table: &str, scale: Scale, name: Option<&str>) -> Self {
        Self {
            table: table.to_owned(),
            scale,
            name: name.map(str::to_owned),
            caption: String::new(),
            command: String::new(),
            seconds: 0.0,
            stages: 0,
            cores: Vec::new(),
            code: Vec::new(),
            begun: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Reads the numbers of a table's cells from their score stages. There is a trial at least; the first one's base is what
    /// the caption speaks of.
    ///
    /// # Errors
    /// [`Error`] when a manifest or a score file cannot be read.
    pub fn collect<C: Config>(
        table: &Table<C>,
        trials: &[Trial<C>],
        runs: &Path,
        outcome: &Outcome,
        command: &str,
        name: Option<&str>,
    ) -> Result<Self, Error> {
        let Resolved { scale, base, rows: configs } = &trials[0].resolved;
        let mut record = Self {
            caption: table.caption_of(base),
            command: command.to_owned(),
            ..Self::not_run(table.name(), *scale, name)
        };
        for stage in Plan::new(trials.iter().flat_map(Trial::goals)).stages() {
            let manifest = Manifest::read(&stage_dir(runs, stage))?;
            if let Some(manifest) = manifest.filter(|manifest| manifest.status == Status::Done) {
                record.seconds += manifest.wall_seconds;
                record.stages += 1;
                record.cores.push(manifest.provenance.cores);
                record.code.extend(manifest.provenance.build.git);
            }
        }
        record.cores.sort_unstable();
        record.cores.dedup();
        record.code.sort();
        record.code.dedup();
        let row = |(row, config): (&Row<C>, &C)| RecordRow {
            name: row.name().to_owned(),
            changes: Some(diff(base, config)),
            cells: Vec::new(),
        };
        let mut rows: Vec<RecordRow> = table.rows().iter().zip(configs).map(row).collect();
        let seeds: Vec<Option<u64>> = trials.iter().map(Trial::seed).collect();
        for (at, column) in table.columns().iter().enumerate() {
            let of_row = |row: usize| {
                let stages = trials.iter().map(|trial| &trial.cells[row][at]);
                done(seeds.iter().copied().zip(stages), runs, outcome)
            };
            let found = (0..rows.len()).map(of_row).collect::<Result<Vec<_>, _>>()?;
            let (stages, reasons): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            for ((row, cell), reason) in rows.iter_mut().zip(cells(column, &stages, runs)?).zip(reasons) {
                row.cells.push(RecordCell { reason, ..cell });
            }
        }
        record.rows = rows;
        let numbered: HashSet<&String> =
            record.rows.iter().flat_map(|row| &row.cells).flat_map(|cell| &cell.stages).collect();
        let goals = trials.iter().flat_map(Trial::goals);
        let open = Plan::new(goals.filter(|goal| !numbered.contains(&goal.name())));
        let begun = open.stages().iter().filter(|stage| stage_dir(runs, stage).join(Manifest::FILE).exists());
        record.begun = begun.map(|stage| stage.name()).collect();
        Ok(record)
    }

    /// The same when stages are about to run for it: they are among those that have [begun](Self::begun).
    #[must_use]
    pub fn begin(mut self, stages: impl IntoIterator<Item = String>) -> Self {
        self.begun.extend(stages);
        self.begun.sort_unstable();
        self.begun.dedup();
        self
    }

    /// Its cells in a column, collected again from the stages that they name: one for each row.
    ///
    /// # Errors
    /// [`Error`] when a score file cannot be read or has not this score.
    pub(crate) fn collect_again<C>(&self, column: &Column<C>, runs: &Path) -> Result<Vec<RecordCell>, Error> {
        let of_row = |row: &RecordRow| {
            let cell = row.cells.iter().find(|cell| cell.column == column.name());
            let stages = |cell: &RecordCell| {
                let seeds = cell.seeds.iter().copied().map(Some).chain(std::iter::repeat(None));
                seeds.zip(cell.stages.iter().cloned()).collect()
            };
            cell.map_or_else(Vec::new, stages)
        };
        let rows: Vec<Vec<Done>> = self.rows.iter().map(of_row).collect();
        cells(column, &rows, runs)
    }

    /// The seeds of all its numbers.
    pub fn seeds(&self) -> BTreeSet<u64> {
        self.rows.iter().flat_map(|row| &row.cells).flat_map(|cell| cell.seeds.iter().copied()).collect()
    }

    /// Whether a cell has a number.
    pub fn has_numbers(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.value.is_some())
    }

    /// Where a record is kept: `tables/<table>-<scale>.json`, or `tables/<table>-<scale>-<name>.json`.
    pub fn path(runs: &Path, table: &str, scale: Scale, name: Option<&str>) -> PathBuf {
        let name = name.map_or_else(String::new, |name| format!("-{name}"));
        runs.join("tables").join(format!("{table}-{scale}{name}.json"))
    }

    /// Its place under a runs directory.
    pub fn place(&self, runs: &Path) -> PathBuf {
        Self::path(runs, &self.table, self.scale, self.name.as_deref())
    }

    /// Whether all numbers of another record, an earlier one of the same place, are among its own. Those of other settings
    /// or data are not, nor are those of other seeds.
    pub fn holds(&self, other: &Self) -> bool {
        other.rows.iter().all(|row| {
            row.cells.iter().all(|cell| {
                let own = self.cell(&row.name, &cell.column).map_or(&[][..], |own| &own.stages);
                cell.stages.iter().all(|stage| own.contains(stage))
            })
        })
    }

    /// Writes it to its place under a runs directory, which a [`Runner`](crate::Runner) has made; gives the path.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, runs: &Path) -> Result<PathBuf, Error> {
        let path = self.place(runs);
        write_json(&path, self)?;
        Ok(path)
    }

    /// Reads a record; `None` if the table has not run.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        read_json(path)
    }

    /// All records under a runs directory, with their files, by name of these.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn all(runs: &Path) -> Result<Vec<(PathBuf, Self)>, Error> {
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let paths = entries(&runs.join("tables")).into_iter().filter(json);
        paths.filter_map(|path| Some(Self::read(&path).transpose()?.map(|record| (path, record)))).collect()
    }

    /// The cell of a row and a column.
    pub fn cell(&self, row: &str, column: &str) -> Option<&RecordCell> {
        let row = self.rows.iter().find(|other| other.name == row)?;
        row.cells.iter().find(|other| other.column == column)
    }
}

/// A score stage that is done, by its name, and the seed that it is of.
type Done = (Option<u64>, String);

/// Of a cell's score stages those that are done, and why there is none of some seed.
fn done<'s>(
    stages: impl Iterator<Item = (Option<u64>, &'s Result<Arc<Stage>, Unavailable>)>,
    runs: &Path,
    outcome: &Outcome,
) -> Result<(Vec<Done>, Option<String>), Error> {
    let (mut done, mut reason) = (Vec::new(), None);
    for (seed, stage) in stages {
        let stage = match stage {
            Ok(stage) => stage,
            Err(Unavailable(why)) => {
                reason = Some(why.clone());
                continue;
            }
        };
        match Manifest::read(&stage_dir(runs, stage))? {
            Some(manifest) if manifest.status == Status::Done => done.push((seed, stage.name())),
            _ => reason = reason.or_else(|| outcome.reason(stage).map(str::to_owned)),
        }
    }
    Ok((done, reason))
}

/// A column's cells from the score stages of each row, compared with the first.
fn cells<C>(column: &Column<C>, rows: &[Vec<Done>], runs: &Path) -> Result<Vec<RecordCell>, Error> {
    let (mut cells, mut first) = (Vec::new(), BTreeMap::new());
    for (number, stages) in rows.iter().enumerate() {
        let (cell, scores) = cell(column, stages, runs)?;
        if number == 0 {
            cells.push(cell);
            first = scores;
        } else {
            let p = difference(column, &shared(&scores, &first), &shared(&first, &scores));
            cells.push(RecordCell { p, ..cell });
        }
    }
    Ok(cells)
}

/// A cell from its score stages, and their scores by seed.
fn cell<C>(
    column: &Column<C>,
    stages: &[Done],
    runs: &Path,
) -> Result<(RecordCell, BTreeMap<Option<u64>, Score>), Error> {
    let mut cell = RecordCell { column: column.name().to_owned(), ..RecordCell::default() };
    let mut all = BTreeMap::new();
    for (seed, stage) in stages {
        let mut scores = Scores::read(&named_stage_dir(runs, stage).join("outputs"))?.unwrap_or_default();
        let Some(score) = scores.0.remove(column.key()) else {
            return Err(Error::NoScore {
                stage: stage.clone(),
                key: column.key().to_owned(),
                found: scores.0.into_keys().collect::<Vec<_>>().join(", "),
            });
        };
        cell.stages.push(stage.clone());
        cell.seeds.extend(seed);
        cell.values.push(score.value);
        cell.n = Some(score.n);
        all.insert(*seed, score);
    }
    if !cell.values.is_empty() {
        cell.value = Some(cell.values.iter().sum::<f64>() / cell.values.len() as f64);
    }
    let sentences: Vec<Groups> = all.values().map(Score::by_sentence).collect();
    let known = all.values().any(|score| !score.sentences.is_empty());
    cell.sentences = sentences.first().map(Items::count).filter(|_| known);
    // One score may have an interval without parts.
    let one = all.values().next().filter(|_| all.len() == 1);
    cell.interval = interval(column, &sentences).or(one.and_then(|score| score.interval));
    let speakers: Vec<Groups> = all.values().map(Score::by_speaker).collect();
    cell.speakers = speakers.first().map(Items::count).filter(|&count| count > 0);
    // The few voices of a small corpus say the same sentences: an interval over them would be certain.
    if cell.speakers >= Some(FEWEST) {
        cell.speaker_interval = interval(column, &speakers);
    }
    Ok((cell, all))
}

/// What the scores of the seeds that `other` has too are made of, by sentence.
fn shared<'s>(scores: &'s BTreeMap<Option<u64>, Score>, other: &BTreeMap<Option<u64>, Score>) -> Vec<Groups<'s>> {
    scores.iter().filter(|(seed, _)| other.contains_key(seed)).map(|(_, score)| score.by_sentence()).collect()
}

/// The interval of the mean over runs, if all are of the same groups.
fn interval<C>(column: &Column<C>, runs: &[Groups]) -> Option<[f64; 2]> {
    let runs = alike(runs)?;
    let Interval { low, high } = bootstrap(column).mean_of_runs(&runs)?;
    Some([low, high])
}

/// The p-value of the difference of two rows' runs, if all are of the same groups.
fn difference<C>(column: &Column<C>, runs: &[Groups], others: &[Groups]) -> Option<f64> {
    let all = alike(runs.iter().chain(others))?;
    // A mark hangs on a p that is near 0.05, which a thousand draws settle to 0.01.
    let bootstrap = Bootstrap { resamples: 10_000, ..bootstrap(column) };
    let (runs, others) = all.split_at(runs.len());
    bootstrap.difference(runs, others)
}

/// These, if all have the same items in the same groups.
fn alike<'g, 's>(groups: impl IntoIterator<Item = &'g Groups<'s>>) -> Option<Vec<&'g Groups<'s>>> {
    let groups: Vec<&Groups> = groups.into_iter().collect();
    groups.iter().all(|other| other.are_those_of(groups[0])).then_some(groups)
}

/// The draws that all cells of a column share.
fn bootstrap<C>(column: &Column<C>) -> Bootstrap {
    Bootstrap::new(Key::new(0).fold(column.name()))
}
