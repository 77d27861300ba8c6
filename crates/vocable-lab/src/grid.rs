//! Aligned text and Markdown from the same cells.

use unicode_width::UnicodeWidthStr;

/// A grid of cells under a header; the first column is left-aligned, the others right-aligned.
pub struct Grid {
    columns: Vec<Head>,
    rows: Vec<Vec<String>>,
}

/// The header of one column.
struct Head {
    /// What neighbouring columns share; empty for a column that stands alone.
    group: String,
    name: String,
}

impl Grid {
    /// A grid without rows and columns.
    pub fn new() -> Self {
        Self { columns: Vec::new(), rows: Vec::new() }
    }

    /// Adds a column that stands alone.
    pub fn column(&mut self, name: impl Into<String>) {
        self.grouped("", name);
    }

    /// Adds a column under the heading that it shares with its neighbours.
    pub fn grouped(&mut self, group: impl Into<String>, name: impl Into<String>) {
        self.columns.push(Head { group: group.into(), name: name.into() });
    }

    /// Adds a row with as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has as many cells as the grid has columns");
        self.rows.push(cells);
    }

    /// Columns two spaces apart, each group's heading over its columns, a line under the header; no trailing spaces.
    pub fn text(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|head| head.name.as_str()).collect();
        let body: Vec<Vec<&str>> = self.rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let width = |at: usize| body.iter().chain([&names]).map(|row| row[at].width()).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..names.len()).map(width).collect();
        let mut headings = String::new();
        let mut at = 0;
        for group in self.columns.chunk_by(|a, b| !a.group.is_empty() && a.group == b.group) {
            let end = at + group.len();
            let heading = group[0].group.as_str();
            let short = heading.width().saturating_sub(span(&widths[at..end]));
            widths[end - 1] += short;
            let space = span(&widths[at..end]) - heading.width();
            let gap = if at == 0 { "" } else { "  " };
            headings.push_str(&format!("{gap}{}{heading}{}", " ".repeat(space - space / 2), " ".repeat(space / 2)));
            at = end;
        }
        let headings = Some(headings.trim_end()).filter(|line| !line.is_empty()).map(|line| format!("{line}\n"));
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        let lines = [&names, &rule].into_iter().chain(&body).map(|row| line(row, &widths));
        headings.into_iter().chain(lines).collect()
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |cell: &str| cell.replace('|', "\\|");
        let header = self.columns.iter().map(|head| escape(format!("{} {}", head.group, head.name).trim())).collect();
        let rule = (0..self.columns.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()).collect();
        let rows = self.rows.iter().map(|row| line(row.iter().map(|cell| escape(cell)).collect()));
        [line(header), line(rule)].into_iter().chain(rows).collect()
    }
}

/// The width of columns side by side.
fn span(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * (widths.len() - 1)
}

fn line(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let space = " ".repeat(width - cell.width());
        match column {
            0 => line.extend([*cell, &space]),
            _ => line.extend(["  ", &space, cell]),
        }
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn both_forms_show_the_same_cells() {
        let mut grid = Grid::new();
        grid.column("row");
        grid.grouped("word errors ↓", "paper");
        grid.grouped("word errors ↓", "ours");
        grid.grouped("D", "ours");
        grid.row(cells(&["a", "4.4", "—", "1"]));
        grid.row(cells(&["w/o b|c", "—", "2.5", "12.25"]));
        let text = [
            "         word errors ↓    D",
            "row      paper    ours   ours",
            "───────  ─────  ──────  ─────",
            "a          4.4       —      1",
            "w/o b|c      —     2.5  12.25",
            "",
        ];
        assert_eq!(grid.text(), text.join("\n"));
        let markdown = [
            "| row | word errors ↓ paper | word errors ↓ ours | D ours |",
            "| --- | ---: | ---: | ---: |",
            "| a | 4.4 | — | 1 |",
            "| w/o b\\|c | — | 2.5 | 12.25 |",
            "",
        ];
        assert_eq!(grid.markdown(), markdown.join("\n"));
    }

    #[test]
    fn a_grid_without_groups_has_one_header_line() {
        let mut grid = Grid::new();
        grid.column("stage");
        grid.column("steps");
        grid.row(cells(&["pretrain", "7"]));
        assert_eq!(grid.text(), "stage     steps\n────────  ─────\npretrain      7\n");
    }
}
