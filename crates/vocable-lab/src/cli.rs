//! The command line of a program that has tables: `list`, `show`, `plan`, `run`, `report`, `watch`, `diff`, `trace`, `verify`,
//! `gc`, `archive`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgMatches;

use crate::args::{self, Alias, label, runs, scale, words};
use crate::config::{Config, diff};
use crate::error::{ConfigError, Error, lines};
use crate::files::write_atomic;
use crate::html;
use crate::jobs::{self, Job, Jobs};
use crate::manifest::Build;
use crate::progress::{counted, say};
use crate::record::Record;
use crate::report;
use crate::scale::Scale;
use crate::table::{Origin, Table};
use crate::watch::watch;

mod check;
mod keep;
mod run;

use check::compare_runs;
use keep::{collect_garbage, keep};
use run::dry_run;
pub(crate) use run::{on_interrupt, use_threads};

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
