//! What lets others believe a number: `trace`, `verify`, `diff`.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use clap::ArgMatches;

use super::{Cli, FAILED, Failure, records_of};
use crate::args::{self, label, runs, scale, words};
use crate::compare::{Comparison, compare};
use crate::config::Config;
use crate::error::ConfigError;
use crate::jobs::{self, Job, Jobs};
use crate::manifest::Manifest;
use crate::plan::named_stage_dir;
use crate::progress::counted;
use crate::record::{Record, RecordCell};
use crate::report;
use crate::score::Scores;
use crate::table::{Column, Row};
use crate::trace::trace;
use crate::verify::{Collected, Verdict, collect_again, verify};

impl<C: Config> Cli<C> {
    pub(super) fn trace(&self, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
        let words: Vec<&str> = words(matches).collect();
        let stages = match words[..] {
            [stage] if named_stage_dir(runs(matches), stage).join(Manifest::FILE).exists() => vec![stage.to_owned()],
            [table, row, column] => {
                let table = jobs::table(&self.tables, table)?;
                let scale = scale(matches).unwrap_or_default();
                let path = Record::path(runs(matches), table.name(), scale, label(matches));
                let record = Record::read(&path)?;
                let cell = record.as_ref().and_then(|record| record.cell(row, column));
                let Some(cell) = cell else {
                    let rows: Vec<&str> = table.rows().iter().map(Row::name).collect();
                    let columns: Vec<&str> = table.columns().iter().map(Column::name).collect();
                    let others = records_of(runs(matches), table.name(), Some(scale), None)?;
                    let others: Vec<&str> = others.iter().filter_map(|record| record.name.as_deref()).collect();
                    let message = format!(
                        "no cell {row:?}, {column:?} in {}; rows: {}; columns: {}; names: {}",
                        path.display(),
                        rows.join(", "),
                        columns.join(", "),
                        if others.is_empty() { "none".to_owned() } else { others.join(", ") }
                    );
                    return Err(ConfigError::Other(message).into());
                };
                let value = cell.value.map_or_else(|| "no number".to_owned(), |value| value.to_string());
                let reason = cell.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
                writeln!(out, "{}, {row}, {column}, scale {scale}: {value}{reason}", table.name())?;
                cell.stages.clone()
            }
            _ => {
                let stages = runs(matches).join("stages");
                let message =
                    format!("say which cell: TABLE ROW COLUMN, or the name of a stage in {}", stages.display());
                return Err(ConfigError::Other(message).into());
            }
        };
        for stage in stages {
            write!(out, "{}", trace(runs(matches), &stage)?)?;
        }
        Ok(())
    }

    /// Says of the scores that were asked for, and of the stored tables' cells, whether they match; gives the exit code.
    pub(super) fn verify(&self, matches: &ArgMatches, out: &mut dyn Write) -> Result<u8, Failure> {
        let (jobs, runs) = (self.jobs(matches)?, runs(matches));
        let code = verify_scores(&jobs, runs, out)?;
        let [rows, columns] = ["row", "column"].map(|what| args::selected(matches, what));
        let wanted = |names: &[&str], name: &str| names.is_empty() || names.contains(&name);
        let mut wrong = false;
        for Job { table, .. } in &jobs.0 {
            for record in records_of(runs, table.name(), Some(scale(matches).unwrap_or_default()), None)? {
                let mut cells = collect_again(&record, table, runs)?;
                cells.retain(|cell| wanted(&rows, &cell.row) && wanted(&columns, &cell.stored.column));
                let matching = cells.iter().filter(|cell| cell.matches()).count();
                let place = record.place(runs);
                writeln!(
                    out,
                    "{}: {matching} of {} match their scores",
                    place.display(),
                    counted(cells.len(), "number")
                )?;
                for Collected { row, stored, collected } in cells.iter().filter(|cell| !cell.matches()) {
                    let column = &stored.column;
                    let (stored, collected) = (numbers(stored), numbers(collected));
                    let other = if stored == collected { ", with other counts, speakers or p" } else { "" };
                    writeln!(out, "  {row}, {column}: DIFFERS\n    table:  {stored}\n    scores: {collected}{other}")?;
                    wrong = true;
                }
            }
        }
        Ok(if wrong { FAILED } else { code })
    }
}

/// Says where two runs first differ.
pub(super) fn compare_runs([a, b]: [&Path; 2], out: &mut dyn Write) -> Result<u8, Failure> {
    let (one, other, comparison) = compare(a, b)?;
    writeln!(out, "{}\n{}\n", one.display(), other.display())?;
    for (part, difference) in comparison.parts() {
        let missing = comparison.archived && Comparison::LEFT_OUT.contains(&part);
        let same = if missing { "left out of the archive" } else { "the same" };
        writeln!(out, "{part:<13}  {}", difference.unwrap_or(same))?;
    }
    Ok(if comparison.same() { 0 } else { FAILED })
}

/// Computes the scores of what is done again, and says of each cell's stage whether they match; gives the exit code.
fn verify_scores<C: Config>(jobs: &Jobs<'_, C>, runs: &Path, out: &mut dyn Write) -> Result<u8, Failure> {
    let mut seen = HashSet::new();
    let (mut matching, mut wrong) = (0, 0);
    for stage in jobs.goals().filter(|stage| seen.insert(stage.identity())) {
        let name = stage.name();
        match verify(runs, stage)? {
            Verdict::Matches(scores) => {
                matching += 1;
                writeln!(out, "{name}: matches ({})", values(&scores))?;
            }
            Verdict::Differs { stored, computed } => {
                wrong += 1;
                let (stored, computed) = (values(&stored), values(&computed));
                let parts = if stored == computed { ", with other intervals or parts" } else { "" };
                writeln!(out, "{name}: DIFFERS\n  stored:   {stored}\n  computed: {computed}{parts}")?;
            }
            Verdict::NotRun => writeln!(out, "{name}: has not run")?,
            Verdict::LeftOut(message) => writeln!(out, "{name}: cannot be computed from an archive: {message}")?,
            Verdict::Failed(message) => {
                wrong += 1;
                writeln!(out, "{name}: cannot be computed again: {message}")?;
            }
        }
    }
    writeln!(out, "{matching} of {} match", counted(seen.len(), "stage"))?;
    // Where nothing matched nothing was verified, and whoever asks for it should know.
    Ok(if wrong == 0 && matching > 0 { 0 } else { FAILED })
}

/// Scores by name, such as "wer 12.5, cer 3".
fn values(scores: &Scores) -> String {
    scores.0.iter().map(|(key, score)| format!("{key} {}", score.value)).collect::<Vec<_>>().join(", ")
}

/// A cell's numbers, such as "12.5 of [12, 13], interval [11.5, 13.5]".
fn numbers(cell: &RecordCell) -> String {
    let value = cell.value.map_or_else(|| report::NOTHING.to_owned(), |value| value.to_string());
    let interval = cell.interval.map_or_else(|| "no interval".to_owned(), |interval| format!("interval {interval:?}"));
    format!("{value} of {:?}, {interval}", cell.values)
}
