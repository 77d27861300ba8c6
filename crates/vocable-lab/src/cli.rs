//! The command line of a program that has tables: `list`, `show`, `plan`, `run`, `report`, `watch`, `diff`, `trace`, `verify`,
//! `gc`, `archive`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ArgMatches;

use crate::archive::{Archived, archive};
use crate::args::{self, Alias, label, runs, scale, threads, words};
use crate::command;
use crate::compare::{Comparison, compare};
use crate::config::{self, Config, diff};
use crate::error::{ConfigError, Error, lines};
use crate::export::{self, Dialect};
use crate::files::write_atomic;
use crate::gc::{self, Unused};
use crate::html;
use crate::jobs::{self, Job, Jobs};
use crate::manifest::{Build, Manifest, Provenance};
use crate::plan::{Plan, named_stage_dir};
use crate::progress::{counted, say};
use crate::record::{Record, RecordCell};
use crate::report;
use crate::runner::{Outcome, Runner};
use crate::scale::Scale;
use crate::score::Scores;
use crate::table::{Column, Origin, Row, Table};
use crate::trace::trace;
use crate::verify::{Collected, Verdict, collect_again, verify};
use crate::watch::watch;

/// Exit code of a run in which something failed.
const FAILED: u8 = 1;
/// Exit code of a mistake in the command or the settings.
const USAGE: u8 = 2;
/// Exit code of an interrupted run, as of a program ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// A program over tables of one configuration type.
pub struct Cli<C> {
    name: &'static str,
    version: &'static str,
    tables: Vec<Table<C>>,
    aliases: Vec<Alias>,
    build: Build,
}

impl<C: Config> Cli<C> {
    /// A program of this name and version (`env!("CARGO_PKG_VERSION")`) over these tables. `--seed N` stands for the
    /// key `seed`.
    pub fn new(name: &'static str, version: &'static str, tables: Vec<Table<C>>) -> Self {
        let (aliases, build) = (Vec::new(), Build::default());
        Self { name, version, tables, aliases, build }.alias("--seed", "seed", "Seed of everything random")
    }

    /// Adds an option with a value that stands for a configuration key: `.alias("--data", "data.manifest", "…")`.
    #[must_use]
    pub fn alias(mut self, option: &'static str, path: &'static str, help: &'static str) -> Self {
        self.aliases.push(Alias::new(option, path, help, false));
        self
    }

    /// Says what the program was built from, for the manifests of what it runs.
    #[must_use]
    pub fn built(mut self, build: Build) -> Self {
        self.build = build;
        self
    }

    /// Adds an option without a value that sets a configuration key to true.
    #[must_use]
    pub fn flag(mut self, option: &'static str, path: &'static str, help: &'static str) -> Self {
        self.aliases.push(Alias::new(option, path, help, true));
        self
    }

    /// Runs the program with this process's arguments.
    ///
    /// Exit codes: 0; 1 if something failed (each named); 2 for a mistake in the command or the settings;
    /// 130 if interrupted.
    pub fn main(&self) -> ExitCode {
        let args: Vec<OsString> = std::env::args_os().collect();
        ExitCode::from(self.main_with(&args, &mut io::stdout().lock()))
    }

    /// Runs the program with the given arguments, the first of which is its own name; gives the exit code.
    pub fn main_with(&self, args: &[OsString], out: &mut dyn Write) -> u8 {
        let matches = match self.matches(args) {
            Ok(matches) => matches,
            Err(error) => {
                // Help and version are errors to clap; printing fails only if the stream is closed.
                let _ = error.print();
                return if error.use_stderr() { USAGE } else { 0 };
            }
        };
        match self.dispatch(&matches, args, out) {
            Ok(code) => code,
            // Whoever read our output (`head`) has seen enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Err(Failure::Output(error)) => {
                say(format!("error: cannot write the output: {error}"));
                FAILED
            }
            Err(Failure::Error(error)) => {
                say(format!("error: {}", lines(&error)));
                if matches!(error, Error::Config(_)) { USAGE } else { FAILED }
            }
        }
    }

    fn dispatch(&self, matches: &ArgMatches, args: &[OsString], out: &mut dyn Write) -> Result<u8, Failure> {
        let (name, matches) = matches.subcommand().expect("clap requires a subcommand");
        match name {
            "list" => self.list(out)?,
            "show" => show(&self.jobs(matches)?, out)?,
            "plan" => self.plan(matches, args, out)?,
            "report" => self.report(matches, out)?,
            "watch" => watch(&self.jobs(matches)?, runs(matches), label(matches), args::port(matches), out)?,
            "trace" => self.trace(matches, out)?,
            "verify" => return self.verify(matches, out),
            "gc" => collect_garbage(runs(matches), matches.get_flag("remove"), out)?,
            "archive" => keep(runs(matches), args::to(matches), args::exhibits(matches), out)?,
            "run" if matches.get_flag("dry-run") => dry_run(&self.jobs(matches)?, runs(matches), out)?,
            "run" => return self.run(matches, args, out),
            "diff" => return compare_runs(args::two_runs(matches), out),
            other => unreachable!("clap knows no command {other}"),
        }
        Ok(0)
    }

    fn list(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let width = self.tables.iter().map(|table| table.name().len()).max().unwrap_or(0);
        for table in &self.tables {
            let (rows, columns) = (counted(table.rows().len(), "row"), counted(table.columns().len(), "column"));
            writeln!(out, "{:width$}  {} ({rows}, {columns})", table.name(), table.title())?;
        }
        Ok(())
    }

    fn run(&self, matches: &ArgMatches, args: &[OsString], out: &mut dyn Write) -> Result<u8, Failure> {
        // Before anything else, which may compute already.
        use_threads(matches)?;
        let jobs = self.jobs(matches)?;
        let runs = runs(matches);
        let interrupt = Arc::new(AtomicBool::new(false));
        on_interrupt(Arc::clone(&interrupt));
        let command = command::line(self.name, args);
        let provenance = Provenance::of_this_process(command.clone(), self.version, self.build.clone());
        let runner = Runner::new(runs.to_owned(), provenance, interrupt);
        let runner = runner.jobs(args::jobs(matches)).style(args::style(matches));
        if let Some(stage) = matches.get_one::<String>("stage") {
            let outcome = runner.run(&Plan::whole(&jobs.stage(stage)?))?;
            return Ok(verdict(&outcome, &command));
        }
        let outcome = runner.run(&jobs.plan())?;
        // A table holds what other commands have run of it, too.
        let whole = command::line(self.name, &command::without(args, &command::WAYS));
        for Job { table, trials, .. } in &jobs.0 {
            let record = Record::collect(table, trials, runs, &outcome, &whole, label(matches))?;
            let before = Record::read(&record.place(runs))?;
            let path = record.write(runs)?;
            writeln!(out, "\n{}\n{}", report::text(table, &record), path.display())?;
            if let Some(before) = before.filter(|before| !record.holds(before)) {
                writeln!(
                    out,
                    "The file held other numbers before, of `{}`. Their stages are kept; with --name NAME each command has a \
                     file of its own.",
                    before.command
                )?;
            }
        }
        Ok(verdict(&outcome, &command))
    }

    fn plan(&self, matches: &ArgMatches, args: &[OsString], out: &mut dyn Write) -> Result<(), Failure> {
        let (plan, runs) = (self.jobs(matches)?.plan(), runs(matches));
        let text = match matches.get_one::<Dialect>("export") {
            None => plan.text(runs)?,
            Some(&dialect) => {
                export::script(&plan, runs, &command::line(self.name, &command::run_instead_of_plan(args)), dialect)?
            }
        };
        Ok(write!(out, "{text}")?)
    }

    fn trace(&self, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
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
    fn verify(&self, matches: &ArgMatches, out: &mut dyn Write) -> Result<u8, Failure> {
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

    fn report(&self, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
        let names: Vec<&str> = words(matches).collect();
        let tables: Vec<&Table<C>> = match names.as_slice() {
            [] => self.tables.iter().collect(),
            names => names.iter().map(|name| jobs::table(&self.tables, name)).collect::<Result<_, _>>()?,
        };
        let scale = scale(matches);
        let mut records = Vec::new();
        for table in tables {
            let found = records_of(runs(matches), table.name(), scale, label(matches))?;
            // A table that was asked for is shown even if it is empty so far.
            let empty = || Record::not_run(table.name(), scale.unwrap_or_default(), label(matches));
            let shown = if found.is_empty() && !names.is_empty() { vec![empty()] } else { found };
            records.extend(shown.into_iter().map(|record| (table, record)));
        }
        if records.is_empty() {
            let place = runs(matches).join("tables");
            let message = format!("nothing has run yet under {}; `{} run TABLE` does it", place.display(), self.name);
            return Err(ConfigError::Other(message).into());
        }
        let sections = |section: fn(&Table<C>, &Record) -> String| {
            records.iter().map(|(table, record)| section(table, record)).collect::<Vec<_>>().join("\n")
        };
        let [markdown, html] = ["markdown", "html"].map(|name| matches.get_one::<PathBuf>(name));
        if let Some(path) = markdown {
            write_atomic(path, sections(report::markdown).as_bytes())?;
            writeln!(out, "{}", path.display())?;
        }
        if let Some(path) = html {
            write_atomic(path, html::page(&records, runs(matches), args::exhibits(matches))?.as_bytes())?;
            writeln!(out, "{}", path.display())?;
        }
        if markdown.or(html).is_none() {
            write!(out, "{}", sections(report::text))?;
        }
        Ok(())
    }

    /// What the arguments, the first of which is the program's own name, say.
    pub(crate) fn matches(&self, args: &[OsString]) -> Result<ArgMatches, clap::Error> {
        args::command(self.name, self.version, &self.aliases).try_get_matches_from(args)
    }

    /// The tables that a command is about.
    pub(crate) fn jobs(&self, matches: &ArgMatches) -> Result<Jobs<'_, C>, ConfigError> {
        Jobs::of(&self.tables, matches, &self.aliases)
    }
}

/// Says where two runs first differ.
fn compare_runs([a, b]: [&Path; 2], out: &mut dyn Write) -> Result<u8, Failure> {
    let (one, other, comparison) = compare(a, b)?;
    writeln!(out, "{}\n{}\n", one.display(), other.display())?;
    for (part, difference) in comparison.parts() {
        let missing = comparison.archived && Comparison::LEFT_OUT.contains(&part);
        let same = if missing { "left out of the archive" } else { "the same" };
        writeln!(out, "{part:<13}  {}", difference.unwrap_or(same))?;
    }
    Ok(if comparison.same() { 0 } else { FAILED })
}

/// Why a command ended early.
enum Failure {
    Error(Error),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Error(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn show<C: Config>(jobs: &Jobs<'_, C>, out: &mut dyn Write) -> Result<(), Failure> {
    for Job { table, trials, .. } in &jobs.0 {
        let resolved = &trials[0].resolved;
        writeln!(out, "{}: {} (scale {})", table.name(), table.title(), resolved.scale)?;
        for (row, config) in table.rows().iter().zip(&resolved.rows) {
            writeln!(out, "\n{}{}", row.name(), if row.origin() == Origin::Ours { " (ours)" } else { "" })?;
            let changes = diff(&resolved.base, config);
            if changes.is_empty() {
                writeln!(out, "  the base as it is")?;
            }
            for change in changes {
                writeln!(out, "  {change}")?;
            }
        }
        let columns: Vec<String> = table.columns().iter().map(|column| column.header()).collect();
        writeln!(out, "\ncolumns: {}", columns.join("; "))?;
    }
    Ok(())
}

fn dry_run<C: Config>(jobs: &Jobs<'_, C>, runs: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    for Job { table, trials, .. } in &jobs.0 {
        let resolved = &trials[0].resolved;
        for (row, config) in table.rows().iter().zip(&resolved.rows) {
            writeln!(out, "# {}, scale {}: {}\n", table.name(), resolved.scale, row.name())?;
            writeln!(out, "{}", config::to_toml(&config::tree(config)))?;
        }
    }
    Ok(write!(out, "{}", jobs.plan().text(runs)?)?)
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

/// Shows what no table uses, and removes it if asked to.
fn collect_garbage(runs: &Path, remove: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let unused = if remove { gc::remove(runs)? } else { gc::unused(runs)? };
    for Unused { stage, status, bytes } in &unused {
        let status = status.map_or_else(|| "no manifest".to_owned(), |status| format!("{status:?}").to_lowercase());
        writeln!(out, "{stage}  {status}, {}", megabytes(*bytes))?;
    }
    let (stages, total) = (counted(unused.len(), "stage"), megabytes(unused.iter().map(|stage| stage.bytes).sum()));
    if remove {
        return Ok(writeln!(out, "removed {stages}, {total}")?);
    }
    Ok(writeln!(out, "{stages} that no table uses, {total}; `--remove` removes them")?)
}

/// Copies what is worth keeping beside the code, and says how much that is.
fn keep(runs: &Path, to: &Path, exhibits: usize, out: &mut dyn Write) -> Result<(), Failure> {
    let Archived { tables, stages, bytes, left, replaced } = archive(runs, to, exhibits)?;
    let (tables, stages) = (counted(tables, "table"), counted(stages, "stage"));
    let (size, left) = (megabytes(bytes), counted(left, "large output"));
    writeln!(out, "{}: {tables}, {stages}, {size}; {left} left out", to.display())?;
    for (table, command) in replaced {
        writeln!(out, "{} held other numbers before, of `{command}`; their stages are still there", table.display())?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The records of a table, of one scale and name if they are given: smallest scale first, the unnamed one first.
fn records_of(runs: &Path, table: &str, scale: Option<Scale>, name: Option<&str>) -> Result<Vec<Record>, Error> {
    let mut records: Vec<Record> = Record::all(runs)?.into_iter().map(|(_, record)| record).collect();
    records.retain(|record| {
        let right_scale = scale.is_none_or(|scale| record.scale == scale);
        let right_name = name.is_none_or(|name| record.name.as_deref() == Some(name));
        record.table == table && right_scale && right_name
    });
    records.sort_by(|a, b| (a.scale, &a.name).cmp(&(b.scale, &b.name)));
    Ok(records)
}

/// Computes on as many threads as the arguments say.
pub(crate) fn use_threads(matches: &ArgMatches) -> Result<(), ConfigError> {
    let Some(threads) = threads(matches) else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|error| ConfigError::Other(format!("--threads {threads}: {error}")))
}

/// The first Ctrl-C asks stages to stop, the second one ends the process at once.
pub(crate) fn on_interrupt(flag: Arc<AtomicBool>) {
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        say("\nstopping at the next chance; press Ctrl-C again to stop at once");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say(format!("warning: Ctrl-C will end the run at once, without a checkpoint: {error}"));
    }
}

fn verdict(outcome: &Outcome, command: &str) -> u8 {
    for (stage, message) in &outcome.failed {
        say(format!("failed: {stage}: {message}"));
    }
    if outcome.interrupted {
        say(format!("interrupted; the same command continues: {command}"));
        return INTERRUPTED;
    }
    if outcome.failed.is_empty() { 0 } else { FAILED }
}
