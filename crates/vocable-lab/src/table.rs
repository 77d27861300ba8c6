//! A table: a base configuration, rows that are named changes to it, columns that are a task and a metric, and the
//! numbers a paper printed.

use std::sync::Arc;

use serde_json::Value;

use crate::config::{self, Config};
use crate::error::ConfigError;
use crate::patch::Patch;
use crate::scale::Scale;
use crate::stage::Stage;

/// Whether a small or a large value is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Errors, distances.
    LowerIsBetter,
    /// Accuracies, BLEU.
    HigherIsBetter,
}

impl Direction {
    /// ↓ or ↑.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::LowerIsBetter => "↓",
            Self::HigherIsBetter => "↑",
        }
    }
}

/// Why a column has nothing to measure for a configuration; printed as a footnote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// Makes the stage that scores a configuration.
type ScoreStage<C> = dyn Fn(&C) -> Result<Arc<Stage>, Unavailable>;

/// A task and a metric.
pub struct Column<C> {
    name: &'static str,
    unit: &'static str,
    direction: Direction,
    decimals: usize,
    key: String,
    stage: Box<ScoreStage<C>>,
}

impl<C> Column<C> {
    /// A column in which small values are good, such as an error rate; `key` names the value in the score stage's
    /// `outputs/scores.json`.
    pub fn lower(
        name: &'static str,
        key: &str,
        stage: impl Fn(&C) -> Result<Arc<Stage>, Unavailable> + 'static,
    ) -> Self {
        Self::new(name, Direction::LowerIsBetter, key, stage)
    }

    /// A column in which large values are good, such as an accuracy.
    pub fn higher(
        name: &'static str,
        key: &str,
        stage: impl Fn(&C) -> Result<Arc<Stage>, Unavailable> + 'static,
    ) -> Self {
        Self::new(name, Direction::HigherIsBetter, key, stage)
    }

    fn new(
        name: &'static str,
        direction: Direction,
        key: &str,
        stage: impl Fn(&C) -> Result<Arc<Stage>, Unavailable> + 'static,
    ) -> Self {
        Self { name, unit: "", direction, decimals: 2, key: key.to_owned(), stage: Box::new(stage) }
    }

    /// The unit ("%", "dB") shown in the header; none by default.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// How many decimals are printed; 2 by default.
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals;
        self
    }

    /// The name, which is also how records refer to the column.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The header: name, unit, and the direction in which it gets better.
    pub fn header(&self) -> String {
        let comma = if self.unit.is_empty() { "" } else { ", " };
        format!("{}{comma}{} {}", self.name, self.unit, self.direction.arrow())
    }

    /// Whether small or large values are good.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The key of the value in `scores.json`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A number with this column's decimals.
    pub fn format(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }

    /// The stage that scores a configuration, or why there is none.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn stage(&self, config: &C) -> Result<Arc<Stage>, Unavailable> {
        (self.stage)(config)
    }
}

/// What a paper printed in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Printed {
    /// A number, shown with the column's decimals.
    Number(f64),
    /// Words ("no convergence").
    Words(&'static str),
}

impl From<f64> for Printed {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Printed {
    fn from(words: &'static str) -> Self {
        Self::Words(words)
    }
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The paper's.
    Paper,
    /// Ours: the paper does not have it.
    Ours,
    /// Of others that the paper compares itself with; nothing here can run it.
    Others,
}

/// A named change to the base.
pub struct Row<C> {
    name: &'static str,
    origin: Origin,
    change: Box<dyn Fn(&mut C)>,
}

impl<C> Row<C> {
    /// The row's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whose the row is: the paper's or ours.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// A table as a value.
pub struct Table<C> {
    name: &'static str,
    title: &'static str,
    source: Option<&'static str>,
    base: fn(Scale) -> C,
    validate: fn(&C) -> Result<(), ConfigError>,
    caption: Box<dyn Fn(&C) -> String>,
    rows: Vec<Row<C>>,
    others: Vec<&'static str>,
    columns: Vec<Column<C>>,
    printed: Vec<(&'static str, &'static str, Printed)>,
}

/// A table's name and title, with its base still to be given.
#[must_use = "a table is made by `base`"]
pub struct TableName(&'static str, &'static str);

impl TableName {
    /// The function that gives each scale's complete configuration.
    pub fn base<C: Config>(self, base: fn(Scale) -> C) -> Table<C> {
        Table {
            name: self.0,
            title: self.1,
            source: None,
            base,
            validate: |_| Ok(()),
            caption: Box::new(|_| String::new()),
            rows: Vec::new(),
            others: Vec::new(),
            columns: Vec::new(),
            printed: Vec::new(),
        }
    }
}

impl Table<()> {
    /// A table of this name (a word, used on the command line and in file names) and title (a sentence).
    // A table has no configuration type before it has a base.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(name: &'static str, title: &'static str) -> TableName {
        TableName(name, title)
    }
}

impl<C: Config> Table<C> {
    /// Checks ranges of every resolved row: types say what a value is, this says whether it makes sense.
    #[must_use]
    pub fn validate(mut self, validate: fn(&C) -> Result<(), ConfigError>) -> Self {
        self.validate = validate;
        self
    }

    /// What a reader must know beside the numbers: the data, what of it is synthetic, sizes. One or more sentences.
    #[must_use]
    pub fn caption(mut self, caption: impl Fn(&C) -> String + 'static) -> Self {
        self.caption = Box::new(caption);
        self
    }

    /// Where the paper's numbers are from: "Ao et al. 2022, table 6".
    #[must_use]
    pub fn source(mut self, source: &'static str) -> Self {
        self.source = Some(source);
        self
    }

    /// Adds a row of the paper: the base with a change.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn row(self, name: &'static str, change: impl Fn(&mut C) + 'static) -> Self {
        self.add_row(name, Origin::Paper, change)
    }

    /// Adds a row that the paper does not have; it is marked as ours.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn own_row(self, name: &'static str, change: impl Fn(&mut C) + 'static) -> Self {
        self.add_row(name, Origin::Ours, change)
    }

    fn add_row(mut self, name: &'static str, origin: Origin, change: impl Fn(&mut C) + 'static) -> Self {
        self.check_new(name);
        self.rows.push(Row { name, origin, change: Box::new(change) });
        self
    }

    /// Adds a row of work of others that the paper compares itself with: it has the paper's numbers alone, below all rows
    /// that can be run.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn others_row(mut self, name: &'static str) -> Self {
        self.check_new(name);
        self.others.push(name);
        self
    }

    fn check_new(&self, name: &str) {
        assert!(!self.has_row(name), "table {} has two rows named {name:?}", self.name);
    }

    fn has_row(&self, name: &str) -> bool {
        self.lines().any(|(other, _)| other == name)
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn column(mut self, column: Column<C>) -> Self {
        let taken = self.columns.iter().any(|other| other.name == column.name);
        assert!(!taken, "table {} has two columns named {:?}", self.name, column.name);
        self.columns.push(column);
        self
    }

    /// Says what the paper printed in a cell: a number or words. Cells it left empty are not given.
    ///
    /// # Panics
    /// If the table has no such row or column (give them first), or the cell has a value already.
    #[must_use]
    pub fn paper(mut self, row: &'static str, column: &'static str, printed: impl Into<Printed>) -> Self {
        assert!(self.has_row(row), "table {} has no row {row:?}", self.name);
        assert!(self.columns.iter().any(|c| c.name == column), "table {} has no column {column:?}", self.name);
        let taken = self.printed(row, column).is_some();
        assert!(!taken, "table {} has two paper values for {row:?}, {column:?}", self.name);
        self.printed.push((row, column, printed.into()));
        self
    }

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The table's title.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Where the paper's numbers are from.
    pub fn paper_source(&self) -> Option<&'static str> {
        self.source
    }

    /// The rows that can be run, in order.
    pub fn rows(&self) -> &[Row<C>] {
        &self.rows
    }

    /// The names of all rows as they are printed, those of others below the ones that can be run.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, Origin)> {
        let others = self.others.iter().map(|&name| (name, Origin::Others));
        self.rows.iter().map(|row| (row.name, row.origin)).chain(others)
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column<C>] {
        &self.columns
    }

    /// What the paper printed in a cell, if anything.
    pub fn printed(&self, row: &str, column: &str) -> Option<&Printed> {
        self.printed.iter().find(|(r, c, _)| *r == row && *c == column).map(|(_, _, printed)| printed)
    }

    /// Whether the paper printed anything in a column.
    pub fn has_printed(&self, column: &str) -> bool {
        self.printed.iter().any(|(_, c, _)| *c == column)
    }

    /// The caption's facts for a base configuration.
    pub fn caption_of(&self, base: &C) -> String {
        (self.caption)(base)
    }

    /// The base at a scale with a patch applied, and every row's configuration.
    ///
    /// Patches change the base and rows change the result, so a row's own change has the last word.
    ///
    /// # Errors
    /// [`ConfigError`] of the patch, or of a row that fails validation.
    pub fn resolve(&self, scale: Scale, patch: &Patch) -> Result<Resolved<C>, ConfigError> {
        let base = patch.apply(&(self.base)(scale))?;
        (self.validate)(&base)?;
        let mut rows = Vec::new();
        for row in &self.rows {
            let mut config = base.clone();
            (row.change)(&mut config);
            (self.validate)(&config).map_err(|source| ConfigError::Row {
                table: self.name.to_owned(),
                row: row.name.to_owned(),
                source: Box::new(source),
            })?;
            rows.push(config);
        }
        Ok(Resolved { scale, base, rows })
    }

    /// The table for `seeds` seeds from the base's own on: the base's key `seed` counts up from one to the next.
    ///
    /// # Errors
    /// As [`Self::resolve`]; more than one seed is asked of a base without a seed.
    pub fn trials(&self, scale: Scale, patch: &Patch, seeds: usize) -> Result<Vec<Trial<C>>, ConfigError> {
        let trial = |patch: &Patch| {
            let resolved = self.resolve(scale, patch)?;
            Ok::<_, ConfigError>(Trial { cells: self.cells(&resolved), resolved })
        };
        let first = trial(patch)?;
        let seed = first.seed();
        let others = (1..seeds as u64).map(|more| {
            let seed = seed.ok_or_else(|| ConfigError::Other("this configuration has no seed to count up".into()))?;
            trial(&patch.clone().option("seed", &(seed + more).to_string()))
        });
        std::iter::once(Ok(first)).chain(others).collect()
    }

    /// The score stage of every cell of the resolved table.
    pub fn cells(&self, resolved: &Resolved<C>) -> Cells {
        let row = |config: &C| self.columns.iter().map(|column| column.stage(config)).collect();
        resolved.rows.iter().map(row).collect()
    }
}

/// The score stage of every cell, rows then columns, or why there is none.
pub type Cells = Vec<Vec<Result<Arc<Stage>, Unavailable>>>;

/// A table's configurations at a scale, with patches applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved<C> {
    /// The scale.
    pub scale: Scale,
    /// The base.
    pub base: C,
    /// One configuration per row, in the table's order.
    pub rows: Vec<C>,
}

/// A table for one seed.
#[derive(Debug)]
pub struct Trial<C> {
    /// Its configurations.
    pub resolved: Resolved<C>,
    /// What scores them.
    pub cells: Cells,
}

impl<C> Trial<C> {
    /// The score stages of the cells that have one.
    pub fn goals(&self) -> impl Iterator<Item = &Arc<Stage>> {
        self.cells.iter().flatten().flatten()
    }
}

impl<C: Config> Trial<C> {
    /// The seed of the base: its key `seed`, if it has one.
    pub fn seed(&self) -> Option<u64> {
        config::tree(&self.resolved.base).get("seed").and_then(Value::as_u64)
    }
}
