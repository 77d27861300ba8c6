//! `run` and what tells of it beforehand: `plan`, `run --dry-run`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ArgMatches;

use super::{Cli, FAILED, Failure, INTERRUPTED};
use crate::args::{self, label, runs, threads};
use crate::command;
use crate::config::{self, Config};
use crate::error::{ConfigError, Error};
use crate::export::{self, Dialect};
use crate::jobs::{Job, Jobs};
use crate::manifest::Provenance;
use crate::plan::{Plan, named_stage_dir};
use crate::progress::{counted, say};
use crate::record::Record;
use crate::report;
use crate::runner::{Outcome, Runner, alone_with_records};
use crate::table::Trial;

impl<C: Config> Cli<C> {
    pub(super) fn run(&self, matches: &ArgMatches, args: &[OsString], out: &mut dyn Write) -> Result<u8, Failure> {
        // Before anything else, which may compute already.
        use_threads(matches)?;
        let jobs = self.jobs(matches)?;
        let only = matches.get_one::<String>("stage").map(|stage| jobs.stage(stage)).transpose()?;
        let runs = runs(matches);
        let interrupt = Arc::new(AtomicBool::new(false));
        on_interrupt(Arc::clone(&interrupt));
        let command = command::line(self.name, args);
        let provenance = Provenance::of_this_process(command.clone(), self.version, self.build.clone());
        let runner = Runner::new(runs.to_owned(), provenance, interrupt);
        let runner = runner.jobs(args::jobs(matches)).style(args::style(matches));
        // While it is held `gc` removes nothing: another command may write a table's record without the stages of this one.
        let _at_work = runner.at_work()?;
        // A table holds what other commands have run of it, too.
        let whole = command::line(self.name, &command::without(args, &command::WAYS));
        let collect = |job: &Job<'_, C>, outcome: &Outcome| {
            Record::collect(job.table, &job.trials, runs, outcome, &whole, label(matches))
        };
        // Named from the beginning, what is run counts as used after a kill, too, and between the jobs of a script.
        let alone = alone_with_records(runs)?;
        for job in &jobs.0 {
            let place = Record::path(runs, job.table.name(), job.trials[0].resolved.scale, label(matches));
            let record = Record::read(&place)?.map_or_else(|| collect(job, &Outcome::default()), Ok)?;
            record.begin(job.plan().names()).write(runs)?;
        }
        drop(alone);
        if let Some(stage) = only {
            let outcome = runner.run(&Plan::whole(&stage))?;
            return Ok(verdict(&outcome, &command));
        }
        let outcome = runner.run(&jobs.plan())?;
        let alone = alone_with_records(runs)?;
        let write = |job| {
            let record = collect(job, &outcome)?;
            let before = Record::read(&record.place(runs))?;
            record.write(runs)?;
            Ok((job, record, before))
        };
        let written = jobs.0.iter().map(write).collect::<Result<Vec<_>, Error>>()?;
        drop(alone);
        for (job, record, before) in &written {
            writeln!(out, "\n{}\n{}", report::text(job.table, record), record.place(runs).display())?;
            if let Some(before) = before {
                tell_of_others(before, record, job, runs, out)?;
            }
        }
        Ok(verdict(&outcome, &command))
    }

    pub(super) fn plan(&self, matches: &ArgMatches, args: &[OsString], out: &mut dyn Write) -> Result<(), Failure> {
        let (plan, runs) = (self.jobs(matches)?.plan(), runs(matches));
        let text = match matches.get_one::<Dialect>("export") {
            None => plan.text(runs)?,
            Some(&dialect) => {
                export::script(&plan, runs, &command::line(self.name, &command::run_instead_of_plan(args)), dialect)?
            }
        };
        Ok(write!(out, "{text}")?)
    }
}

/// Says what of other commands a table's file held, and does not any more.
fn tell_of_others<C: Config>(
    before: &Record,
    record: &Record,
    job: &Job<'_, C>,
    runs: &Path,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let own: HashSet<String> = Plan::new(job.trials.iter().flat_map(Trial::goals)).names().collect();
    let others =
        before.begun.iter().filter(|stage| !own.contains(*stage) && named_stage_dir(runs, stage).exists()).count();
    let numbers = !record.holds(before);
    if numbers {
        writeln!(out, "The file held other numbers before, of `{}`.", before.command)?;
    }
    if others > 0 {
        writeln!(out, "The file named {} before that another command has begun.", counted(others, "stage"))?;
    }
    if numbers || others > 0 {
        writeln!(
            out,
            "`gc` counts these stages as unused now, unless another table names them. With --name NAME each command has a \
             file of its own."
        )?;
    }
    Ok(())
}

/// Prints the configurations and the plan.
pub(super) fn dry_run<C: Config>(jobs: &Jobs<'_, C>, runs: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    for Job { table, trials, .. } in &jobs.0 {
        let resolved = &trials[0].resolved;
        for (row, config) in table.rows().iter().zip(&resolved.rows) {
            writeln!(out, "# {}, scale {}: {}\n", table.name(), resolved.scale, row.name())?;
            writeln!(out, "{}", config::to_toml(&config::tree(config)))?;
        }
    }
    Ok(write!(out, "{}", jobs.plan().text(runs)?)?)
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
