//! A table and its record, rendered: the paper's numbers and ours side by side, and what a reader must know.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::grid::Grid;
use crate::manifest::Git;
use crate::progress::{counted, seconds};
use crate::record::{Record, RecordCell};
use crate::table::{Column, Origin, Printed, Table};

/// What is printed where there is no number.
pub(crate) const NOTHING: &str = "—";
/// What is printed instead of our numbers in a row of work of others.
const EXTERNAL: &str = "— (external)";

/// The table as aligned text.
pub fn text<C: Config>(table: &Table<C>, record: &Record) -> String {
    let Parts { grid, notes } = parts(table, record);
    let heading = heading(table, record);
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    format!("{heading}\n\n{}\n{notes}", grid.text())
}

/// The table as a section of Markdown.
pub fn markdown<C: Config>(table: &Table<C>, record: &Record) -> String {
    let Parts { grid, notes } = parts(table, record);
    let heading = heading(table, record);
    let notes: String = notes.iter().map(|note| format!("- {note}\n")).collect();
    format!("## {heading}\n\n{}\n{notes}", grid.markdown())
}

struct Parts {
    grid: Grid,
    notes: Vec<String>,
}

pub(crate) fn heading<C: Config>(table: &Table<C>, record: &Record) -> String {
    let name = record.name.as_ref().map_or_else(String::new, |name| format!(", {name}"));
    format!("{}: {} (scale {}{name})", table.name(), table.title(), record.scale)
}

fn parts<C: Config>(table: &Table<C>, record: &Record) -> Parts {
    let footnotes = Footnotes::of(table, record);
    let mut grid = Grid::new();
    grid.column("");
    for column in table.columns() {
        if table.has_printed(column.name()) {
            grid.grouped(column.header(), "paper");
        }
        grid.grouped(column.header(), "ours");
    }
    for (name, origin) in table.lines() {
        let mark = if origin == Origin::Ours { " (ours)" } else { "" };
        let mut cells = vec![format!("{name}{mark}")];
        for column in table.columns() {
            if table.has_printed(column.name()) {
                cells.push(match table.printed(name, column.name()) {
                    Some(Printed::Number(number)) => column.format(*number),
                    Some(Printed::Words(words)) => (*words).to_owned(),
                    None => NOTHING.to_owned(),
                });
            }
            cells.push(match origin {
                Origin::Paper | Origin::Ours => ours(column, record, name, &footnotes),
                Origin::Others => EXTERNAL.to_owned(),
            });
        }
        grid.row(cells);
    }
    Parts { grid, notes: notes(table, record, &footnotes) }
}

/// From here on a difference is not marked as one.
const SIGNIFICANT: f64 = 0.05;

/// Our number with its deviation over seeds, its interval, and a mark if it differs from the first row's; without a number,
/// a dash; and the mark of the footnote, if there is one.
fn ours<C>(column: &Column<C>, record: &Record, row: &str, footnotes: &Footnotes) -> String {
    let Some(cell) = record.cell(row, column.name()) else { return NOTHING.to_owned() };
    let mark = footnotes.mark(record, cell);
    let Some(value) = cell.value else { return format!("{NOTHING}{mark}") };
    let deviation = cell.deviation().map_or_else(String::new, |deviation| format!(" ± {}", column.format(deviation)));
    let interval = cell
        .interval
        .map_or_else(String::new, |[low, high]| format!(" [{}, {}]", column.format(low), column.format(high)));
    format!("{}{deviation}{interval}{}{mark}", column.format(value), if differs(cell) { "*" } else { "" })
}

/// What is said of single cells below the table, each text once, in the order of the cells.
pub(crate) struct Footnotes(Vec<String>);

impl Footnotes {
    pub(crate) fn of<C: Config>(table: &Table<C>, record: &Record) -> Self {
        let mut texts = Vec::new();
        for (name, _) in table.lines() {
            let cells = table.columns().iter().filter_map(|column| record.cell(name, column.name()));
            for text in cells.filter_map(|cell| footnote(record, cell)) {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
        Self(texts)
    }

    /// The mark of a cell's footnote; nothing where it has none.
    pub(crate) fn mark(&self, record: &Record, cell: &RecordCell) -> String {
        let text = footnote(record, cell);
        let at = text.and_then(|text| self.0.iter().position(|other| *other == text));
        at.map_or_else(String::new, |at| superscript(at + 1))
    }
}

/// What must be said of a cell below the table: why it has no number, or that it has not the seeds which others have, so
/// that their means are not of the same runs.
fn footnote(record: &Record, cell: &RecordCell) -> Option<String> {
    if cell.value.is_none() {
        return cell.reason.clone();
    }
    let lacks = record.seeds().iter().any(|seed| !cell.seeds.contains(seed));
    let only = match cell.seeds.as_slice() {
        [seed] => format!("of seed {seed} only"),
        seeds => format!("of seeds {} only", list(seeds)),
    };
    lacks.then(|| cell.reason.as_ref().map_or_else(|| only.clone(), |reason| format!("{only}: {reason}")))
}

/// Whether a cell is marked as different from the first row's.
pub(crate) fn differs(cell: &RecordCell) -> bool {
    cell.p.is_some_and(|p| p < SIGNIFICANT)
}

/// A p-value in two significant digits, or in as many as say on which side of the bound for a mark it is; none below a thousandth.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 {
        return "< 0.001".to_owned();
    }
    let leading = p.log10().floor();
    let rounded = |digits: i32| format!("{p:.*}", (f64::from(digits) - 1.0 - leading).max(0.0) as usize);
    let faithful = |text: &String| text.parse::<f64>().is_ok_and(|shown| (shown < SIGNIFICANT) == (p < SIGNIFICANT));
    (2..17).map(rounded).find(faithful).unwrap_or_else(|| p.to_string())
}

/// The notes below the table, footnotes among them.
pub(crate) fn notes_of<C: Config>(table: &Table<C>, record: &Record) -> Vec<String> {
    notes(table, record, &Footnotes::of(table, record))
}

fn notes<C: Config>(table: &Table<C>, record: &Record, footnotes: &Footnotes) -> Vec<String> {
    let mut notes: Vec<String> =
        footnotes.0.iter().enumerate().map(|(at, reason)| format!("{} {reason}", superscript(at + 1))).collect();
    let cells = || record.rows.iter().flat_map(|row| &row.cells);
    let mut legend = match table.paper_source() {
        Some(source) => format!("paper: as printed in {source}; ours: measured here."),
        None => "ours: measured here.".to_owned(),
    };
    let has = |kind: Origin| table.lines().any(|(_, origin)| origin == kind);
    if has(Origin::Ours) {
        legend.push_str(" (ours): a row that the paper does not have.");
    }
    if has(Origin::Others) {
        legend.push_str(" (external): work of others, which nothing here can run.");
    }
    legend.push_str(" —: no number.");
    if cells().any(|cell| cell.interval.is_some()) {
        let over = match cells().any(|cell| cell.sentences.is_some()) {
            true => "test sentences where N counts them, else over items",
            false => "test items",
        };
        legend.push_str(&format!(
            " Brackets: 95 % interval over {over}, of these trainings: it says nothing of other seeds, and has no width where \
             no item, or every one, counts."
        ));
    }
    if cells().any(|cell| cell.values.len() > 1) {
        legend.push_str(" ±: standard deviation over seeds.");
    }
    if let (true, Some(first)) = (cells().any(differs), table.rows().first()) {
        legend.push_str(&format!(
            " *: differs from {} (paired bootstrap over what the brackets are over, of the seeds that both have, \
             p < {SIGNIFICANT}; not corrected for the number of rows and columns).",
            first.name()
        ));
    }
    notes.push(legend);
    if !record.caption.is_empty() {
        notes.push(record.caption.clone());
    }
    let sizes: Vec<String> = table.columns().iter().filter_map(|column| sizes(column, record)).collect();
    if !sizes.is_empty() {
        notes.push(format!("N: {}.", sizes.join("; ")));
    }
    let seeds: Vec<u64> = record.seeds().into_iter().collect();
    if !seeds.is_empty() {
        notes.push(format!("Seeds: {}.", list(&seeds)));
    }
    match record.command.as_str() {
        "" if record.stages == 0 => notes.push("Not run yet.".to_owned()),
        // Under way: the command that measures is not at its end.
        "" => {}
        command => notes.push(format!("Command: `{command}`")),
    }
    if record.stages > 0 {
        let cores = list(&record.cores);
        notes.push(format!(
            "Time: {} for {}, on {cores} cores.",
            seconds(record.seconds),
            counted(record.stages, "stage")
        ));
    }
    if !record.code.is_empty() {
        notes.push(format!("Code: {}.", record.code.iter().map(code).collect::<Vec<_>>().join("; ")));
    }
    notes
}

/// How many items a column's numbers were measured on, and of how many sentences: one number, or all if rows differ.
fn sizes<C>(column: &Column<C>, record: &Record) -> Option<String> {
    let cells = record.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.column == column.name());
    let size = |cell: &RecordCell| {
        let fewer = cell.sentences.filter(|&sentences| Some(sentences as u64) != cell.n);
        Some((cell.n?, fewer.map_or_else(String::new, |sentences| format!(" of {sentences} sentences"))))
    };
    let sizes: BTreeSet<(u64, String)> = cells.filter_map(size).collect();
    let sizes: Vec<String> = sizes.into_iter().map(|(n, of)| format!("{n}{of}")).collect();
    (!sizes.is_empty()).then(|| format!("{} {}", column.name(), list(&sizes)))
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn code(git: &Git) -> String {
    let dirty = if git.dirty { " with uncommitted changes" } else { "" };
    format!("{}{dirty}", git.commit.get(..10).unwrap_or(&git.commit))
}

fn superscript(number: usize) -> String {
    let digit = |digit: char| ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize];
    number.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_value_is_on_the_side_of_its_mark() {
        let shown = [0.0, 0.00099, 0.001, 0.0123, 0.0496, 0.049_96, 0.05, 0.0503, 0.234, 0.996, 1.0].map(p_value);
        let expected =
            ["< 0.001", "< 0.001", "0.0010", "0.012", "0.0496", "0.04996", "0.050", "0.050", "0.23", "1.00", "1.0"];
        assert_eq!(shown, expected);
    }
}
