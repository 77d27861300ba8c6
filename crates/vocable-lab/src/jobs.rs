//! What a command asks of the tables: which ones, with which settings and seeds, and which of their cells.

use std::sync::Arc;

use clap::ArgMatches;

use crate::args::{self, Alias, scale, seeds, words};
use crate::config::Config;
use crate::error::ConfigError;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::table::{Column, Row, Table, Trial};

/// A table with everything resolved for a command.
pub struct Job<'t, C> {
    pub table: &'t Table<C>,
    /// One for each seed, one at least.
    pub trials: Vec<Trial<C>>,
    /// The score stages of the cells that were asked for.
    goals: Vec<Arc<Stage>>,
}

impl<C> Job<'_, C> {
    /// The stages of the cells that were asked for.
    pub fn plan(&self) -> Plan {
        Plan::new(&self.goals)
    }
}

/// The tables of a command, one at least.
pub struct Jobs<'t, C>(pub Vec<Job<'t, C>>);

impl<'t, C: Config> Jobs<'t, C> {
    /// What the arguments ask for.
    pub fn of(tables: &'t [Table<C>], matches: &ArgMatches, aliases: &[Alias]) -> Result<Self, ConfigError> {
        let scale = scale(matches).unwrap_or_default();
        let patch = args::patch(matches, aliases)?;
        let names: Vec<&str> = words(matches).filter(|word| !word.contains('=')).collect();
        if names.is_empty() {
            return Err(ConfigError::Other(format!("say which table: {}", table_names(tables))));
        }
        let job = |name: &&str| {
            let table = table(tables, name)?;
            let trials = table.trials(scale, &patch, seeds(matches))?;
            let rows = selection("row", &args::selected(matches, "row"), table.rows().iter().map(Row::name))?;
            let columns =
                selection("column", &args::selected(matches, "column"), table.columns().iter().map(Column::name))?;
            let mut goals = Vec::new();
            for Trial { cells, .. } in &trials {
                let cells = cells.iter().zip(&rows).filter(|(_, wanted)| **wanted);
                let cells = cells.flat_map(|(row, _)| row.iter().zip(&columns)).filter(|(_, wanted)| **wanted);
                goals.extend(cells.filter_map(|(cell, _)| cell.clone().ok()));
            }
            Ok(Job { table, trials, goals })
        };
        names.iter().map(job).collect::<Result<_, _>>().map(Self)
    }

    /// The score stages of all cells that were asked for.
    pub fn goals(&self) -> impl Iterator<Item = &Arc<Stage>> {
        self.0.iter().flat_map(|job| &job.goals)
    }

    /// The stages of all tables.
    pub fn plan(&self) -> Plan {
        Plan::new(self.goals())
    }

    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Result<Arc<Stage>, ConfigError> {
        let plan = self.plan();
        let unknown = || ConfigError::Name {
            what: "stage",
            name: name.to_owned(),
            valid: plan.names().collect::<Vec<_>>().join(", "),
        };
        plan.stages().iter().find(|stage| stage.name() == name).cloned().ok_or_else(unknown)
    }
}

/// The table of this name.
pub fn table<'t, C: Config>(tables: &'t [Table<C>], name: &str) -> Result<&'t Table<C>, ConfigError> {
    let unknown = || ConfigError::Name { what: "table", name: name.to_owned(), valid: table_names(tables) };
    tables.iter().find(|table| table.name() == name).ok_or_else(unknown)
}

fn table_names<C: Config>(tables: &[Table<C>]) -> String {
    tables.iter().map(Table::name).collect::<Vec<_>>().join(", ")
}

/// Which of a table's rows or columns were asked for: all if none is named.
fn selection(
    what: &'static str,
    named: &[&str],
    all: impl Iterator<Item = &'static str>,
) -> Result<Vec<bool>, ConfigError> {
    let all: Vec<&str> = all.collect();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(ConfigError::Name { what, name: (*unknown).to_owned(), valid: all.join(", ") });
    }
    Ok(all.iter().map(|name| named.is_empty() || named.contains(name)).collect())
}
