//! A table whose rows are values of one key, as lines over it.

use std::collections::BTreeSet;

use super::chart::{Axis, chart};
use super::curves::Line;
use crate::config::{Change, Config};
use crate::record::Record;
use crate::table::Table;

/// Through fewer points a line says no more than the table does.
const FEWEST: usize = 3;

/// Where the rows that have numbers differ in one numeric key alone: a chart over its values for every column with intervals.
pub fn sweep<C: Config>(table: &Table<C>, record: &Record, changes: &[(String, Vec<Change>)]) -> String {
    let measured = |row: &str| {
        let mut rows = record.rows.iter().filter(|other| other.name == row);
        rows.any(|row| row.cells.iter().any(|cell| cell.value.is_some()))
    };
    let rows: Vec<&(String, Vec<Change>)> = changes.iter().filter(|(row, _)| measured(row)).collect();
    let changes: Vec<&[Change]> = rows.iter().map(|(_, changes)| changes.as_slice()).collect();
    let Some((key, values)) = varied(&changes) else { return String::new() };
    let axis = Axis { name: key, band: "; band: 95 % interval" };
    let mut charts = String::new();
    for column in table.columns() {
        let (mut points, mut intervals) = (Vec::new(), false);
        for ((row, _), &x) in rows.iter().zip(&values) {
            let Some(cell) = record.cell(row, column.name()) else { continue };
            let Some(value) = cell.value else { continue };
            let [low, high] = cell.interval.unwrap_or([value; 2]);
            points.push([x, value, low, high]);
            intervals |= cell.interval.is_some();
        }
        if intervals {
            points.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let line = Line { rows: column.name().to_owned(), row: 0, runs: 1, points };
            charts.push_str(&chart(&column.header(), &axis, &[line]));
        }
    }
    if charts.is_empty() { charts } else { format!("<div class=\"charts\">\n{charts}</div>\n") }
}

/// The key in which these rows differ, if there is just one and it is a number in each of them, and its value in each.
fn varied<'c>(rows: &[&'c [Change]]) -> Option<(&'c str, Vec<f64>)> {
    let all = || rows.iter().copied().flatten();
    let keys: BTreeSet<&str> = all().map(|change| change.path.as_str()).collect();
    let mut varied = keys.into_iter().filter_map(|key| {
        // A row that does not change it has the base's.
        let base = &all().find(|change| change.path == key)?.from;
        let value = |row: &&'c [Change]| row.iter().find(|change| change.path == key).map_or(base, |change| &change.to);
        let values: Vec<_> = rows.iter().map(value).collect();
        values.iter().any(|value| *value != values[0]).then_some((key, values))
    });
    let (key, values) = varied.next().filter(|_| varied.next().is_none())?;
    let values: Vec<f64> = values.into_iter().map(serde_json::Value::as_f64).collect::<Option<_>>()?;
    let different: BTreeSet<u64> = values.iter().map(|value| value.to_bits()).collect();
    (different.len() >= FEWEST).then_some((key, values))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::{RecordCell, RecordRow};
    use crate::table::{Column, Unavailable};

    fn change(path: &str, from: Value, to: Value) -> Change {
        Change { path: path.into(), from, to }
    }

    #[test]
    fn a_key_is_drawn_over_where_rows_differ_in_nothing_else() {
        let weight = |to: f64| vec![change("search.weight", json!(0.3), json!(to))];
        let found = |rows: &[Vec<Change>]| {
            let rows: Vec<&[Change]> = rows.iter().map(Vec::as_slice).collect();
            varied(&rows).map(|(key, values)| (key.to_owned(), values))
        };
        let key = |values: &[f64]| Some(("search.weight".to_owned(), values.to_vec()));
        // A row without a change has the base's value.
        assert_eq!(found(&[vec![], weight(0.0), weight(1.0)]), key(&[0.3, 0.0, 1.0]));
        // What all of these rows change alike is no difference between them.
        let beam = change("search.beam", json!(10), json!(5));
        let with = |row: Vec<Change>| [row, vec![beam.clone()]].concat();
        assert_eq!(found(&[with(weight(0.5)), with(weight(0.0)), with(weight(1.0))]), key(&[0.5, 0.0, 1.0]));
        assert_eq!(found(&[with(weight(0.5)), weight(0.0), weight(1.0)]), None);
        assert_eq!(found(&[vec![], weight(0.5), weight(0.5)]), None, "two values");
        let none = vec![change("search.weight", json!(0.3), Value::Null)];
        assert_eq!(found(&[vec![], weight(0.5), none]), None, "no number");
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn columns_with_intervals_are_drawn_of_the_rows_that_have_numbers() {
        let column = |name| Column::lower(name, name, |_: &f64| Err(Unavailable("no stage".into())));
        let table = Table::new("ctc", "Weights").base(|_| 0.0).column(column("errors")).column(column("codes"));
        let mut record = Record::not_run("ctc", crate::Scale::Smoke, None);
        let cell = |column: &str, value, interval| RecordCell {
            column: column.into(),
            value,
            interval,
            ..RecordCell::default()
        };
        let row = |name: &str, value: Option<f64>| RecordRow {
            name: name.into(),
            changes: None,
            cells: vec![
                cell("errors", value, value.map(|value| [value - 1.0, value + 1.0])),
                cell("codes", value, None),
            ],
        };
        record.rows = vec![row("a", Some(4.0)), row("b", Some(2.0)), row("c", Some(3.0)), row("d", None)];
        let weight = |to: f64| vec![change("weight", json!(0.5), json!(to))];
        let changes =
            [("a", vec![]), ("b", weight(1.0)), ("c", weight(0.0)), ("d", vec![change("beam", json!(1), json!(2))])];
        let html = sweep(&table, &record, &changes.map(|(row, changes)| (row.to_owned(), changes)));
        assert_eq!(html.matches("<figure>").count(), 1, "{html}");
        assert!(html.contains(">weight</text>") && html.contains("errors ↓; band: 95 % interval"), "{html}");
        // From the row of the least weight to that of the greatest: 3, 4, 2 between 1 and 5.
        assert!(html.contains("class=\"line colour0\" d=\"M58.0 103.0L234.0 55.5L410.0 150.5\""), "{html}");
    }
}
