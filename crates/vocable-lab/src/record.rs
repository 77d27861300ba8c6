//! A table's measured numbers, as `runs/tables/<table>-<scale>.json` keeps them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{self, Config};
use crate::error::Error;
use crate::files::{read_json, write_json};
use crate::manifest::{Git, Manifest, Status};
use crate::plan::{Plan, stage_dir};
use crate::runner::Outcome;
use crate::scale::Scale;
use crate::score::Scores;
use crate::stage::Stage;
use crate::table::{Cells, Column, Resolved, Table, Unavailable};

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
    /// The command that measured it; empty if nothing has run.
    pub command: String,
    /// Wall time of all stages that are done, in seconds, whenever they ran.
    pub seconds: f64,
    /// How many stages that is.
    pub stages: usize,
    /// Core counts of the machines they ran on.
    pub cores: Vec<usize>,
    /// Source trees they were run from.
    pub code: Vec<Git>,
    /// The rows in the table's order.
    pub rows: Vec<RecordRow>,
}

/// One row's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The row's name.
    pub name: String,
    /// Its cells in the table's order.
    pub cells: Vec<RecordCell>,
}

/// One measured number, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordCell {
    /// The column's name.
    pub column: String,
    /// The number; `None` if it has not run.
    pub value: Option<f64>,
    /// How many items it was measured on.
    pub n: Option<u64>,
    /// The seeds of the runs it comes from.
    pub seeds: Vec<u64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// The directory of the score stage.
    pub stage: Option<String>,
    /// Why there is no number.
    pub reason: Option<String>,
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
            rows: Vec::new(),
        }
    }

    /// Reads the numbers of a table's cells from their score stages.
    ///
    /// # Errors
    /// [`Error`] when a manifest or a score file cannot be read.
    pub fn collect<C: Config>(
        table: &Table<C>,
        resolved: &Resolved<C>,
        cells: &Cells,
        runs: &Path,
        outcome: &Outcome,
        command: &str,
        name: Option<&str>,
    ) -> Result<Self, Error> {
        let mut record = Self {
            caption: table.caption_of(&resolved.base),
            command: command.to_owned(),
            ..Self::not_run(table.name(), resolved.scale, name)
        };
        for stage in Plan::of(cells).stages() {
            let manifest = Manifest::read(&stage_dir(runs, stage))?;
            if let Some(manifest) = manifest.filter(|manifest| manifest.status == Status::Done) {
                record.seconds += manifest.wall_seconds;
                record.stages += 1;
                record.cores.push(manifest.provenance.cores);
                record.code.extend(manifest.provenance.git);
            }
        }
        record.cores.sort_unstable();
        record.cores.dedup();
        record.code.sort();
        record.code.dedup();
        for ((row, config), cells) in table.rows().iter().zip(&resolved.rows).zip(cells) {
            let seeds: Vec<u64> = config::tree(config).get("seed").and_then(Value::as_u64).into_iter().collect();
            let cell = |(column, stage)| cell(column, stage, &seeds, runs, outcome);
            let cells = table.columns().iter().zip(cells).map(cell).collect::<Result<_, Error>>()?;
            record.rows.push(RecordRow { name: row.name().to_owned(), cells });
        }
        Ok(record)
    }

    /// Where a record is kept: `tables/<table>-<scale>.json`, or `tables/<table>-<scale>-<name>.json`.
    pub fn path(runs: &Path, table: &str, scale: Scale, name: Option<&str>) -> PathBuf {
        let name = name.map_or_else(String::new, |name| format!("-{name}"));
        runs.join("tables").join(format!("{table}-{scale}{name}.json"))
    }

    /// Writes it to its place under a runs directory, which a [`Runner`](crate::Runner) has made; gives the path.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, runs: &Path) -> Result<PathBuf, Error> {
        let path = Self::path(runs, &self.table, self.scale, self.name.as_deref());
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

    /// The cell of a row and a column.
    pub fn cell(&self, row: &str, column: &str) -> Option<&RecordCell> {
        let row = self.rows.iter().find(|other| other.name == row)?;
        row.cells.iter().find(|other| other.column == column)
    }
}

fn cell<C>(
    column: &Column<C>,
    stage: &Result<std::sync::Arc<Stage>, Unavailable>,
    seeds: &[u64],
    runs: &Path,
    outcome: &Outcome,
) -> Result<RecordCell, Error> {
    let mut cell = RecordCell {
        column: column.name().to_owned(),
        value: None,
        n: None,
        seeds: seeds.to_vec(),
        interval: None,
        stage: None,
        reason: None,
    };
    let stage = match stage {
        Ok(stage) => stage,
        Err(Unavailable(reason)) => {
            return Ok(RecordCell { reason: Some(reason.clone()), ..cell });
        }
    };
    cell.stage = Some(stage.name());
    let dir = stage_dir(runs, stage);
    if Manifest::read(&dir)?.is_none_or(|manifest| manifest.status != Status::Done) {
        cell.reason = outcome.reason(stage).map(str::to_owned);
        return Ok(cell);
    }
    let scores = Scores::read(&dir.join("outputs"))?.unwrap_or_default();
    match scores.0.get(column.key()) {
        Some(score) => Ok(RecordCell { value: Some(score.value), n: Some(score.n), interval: score.interval, ..cell }),
        None => Err(Error::NoScore {
            stage: stage.name(),
            key: column.key().to_owned(),
            found: scores.0.into_keys().collect::<Vec<_>>().join(", "),
        }),
    }
}
