//! Aligned text and Markdown from the same cells.

use unicode_width::UnicodeWidthStr;

/// A grid of cells under a header; the first column is left-aligned, the others right-aligned.
pub struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// An empty grid. A header cell may have several lines in text; Markdown joins them with a space.
    pub fn new(header: Vec<String>) -> Self {
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a row with as many cells as the header.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.header.len(), "a row has as many cells as the header");
        self.rows.push(cells);
    }

    /// Columns two spaces apart, a line under the header; no trailing spaces.
    pub fn text(&self) -> String {
        let lines = self.header.iter().map(|cell| cell.lines().count()).max().unwrap_or(0);
        let header_line = |line: usize| -> Vec<&str> {
            // Short headers stand at the bottom.
            let cell = |cell: &'_ String| (line + cell.lines().count()).checked_sub(lines);
            self.header
                .iter()
                .map(|c| cell(c).and_then(|at| c.lines().nth(at)).unwrap_or(""))
                .collect()
        };
        let header: Vec<Vec<&str>> = (0..lines).map(header_line).collect();
        let body: Vec<Vec<&str>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(String::as_str).collect())
            .collect();
        let width = |column: usize| {
            header
                .iter()
                .chain(&body)
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        header
            .iter()
            .chain([&rule])
            .chain(&body)
            .map(|row| line(row, &widths))
            .collect()
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escape = |cell: &String| cell.replace('|', "\\|").replace('\n', " ");
        let rule = (0..self.header.len())
            .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let rows = self.rows.iter().map(|row| line(row.iter().map(escape).collect()));
        let header = [line(self.header.iter().map(escape).collect()), line(rule)];
        header.into_iter().chain(rows).collect()
    }
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

    #[test]
    fn both_forms_show_the_same_cells() {
        let mut grid = Grid::new(vec!["row".into(), "WER ↓\npaper".into(), "ours".into()]);
        grid.row(vec!["a".into(), "4.4".into(), "—".into()]);
        grid.row(vec!["w/o b|c".into(), "—".into(), "12.25".into()]);
        let text = "         WER ↓\nrow      paper   ours\n───────  ─────  ─────\na          4.4      —\nw/o b|c      —  12.25\n";
        assert_eq!(grid.text(), text);
        let markdown =
            "| row | WER ↓ paper | ours |\n| --- | ---: | ---: |\n| a | 4.4 | — |\n| w/o b\\|c | — | 12.25 |\n";
        assert_eq!(grid.markdown(), markdown);
    }
}
