//! A report as one HTML file that needs nothing else: tables, what each row changes, curves of training, exhibits.

mod chart;
pub(crate) mod curves;
pub(crate) mod exhibits;
mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;

use self::chart::{STEPS, chart};
use self::curves::{Charts, Inputs, curves, of_manifests};
use self::exhibits::{Embedded, exhibits};
use self::sweep::sweep;
use crate::config::{Change, Config, diff};
use crate::error::{Error, lines};
use crate::patch::Patch;
use crate::record::Record;
use crate::report::{self, Footnotes, heading};
use crate::table::{Column, Direction, Origin, Printed, Table};

/// Exhibits of one stage that are embedded at most unless told otherwise; a report is a page, not an archive.
pub const EXHIBITS_SHOWN: usize = 24;

/// The page for these records; curves and exhibits, `shown` of a stage at most, are read from the stages under `runs` that are
/// still there.
///
/// # Errors
/// [`Error`] when a manifest, a metrics file or an exhibit cannot be read.
pub fn page<C: Config>(records: &[(&Table<C>, Record)], runs: &Path, shown: usize) -> Result<String, Error> {
    whole(records, runs, shown, &of_manifests(runs), "", "")
}

/// The page of a run under way: beneath `progress`, and loading itself again when what is at `/state` is no longer the state
/// that this says. `inputs` are those of all stages, begun or not.
pub(crate) fn live_page<C: Config>(
    records: &[(&Table<C>, Record)],
    runs: &Path,
    inputs: &HashMap<String, BTreeMap<String, String>>,
    progress: &str,
) -> Result<String, Error> {
    let inputs = |stage: &str| Ok(inputs.get(stage).cloned().unwrap_or_default());
    whole(records, runs, EXHIBITS_SHOWN, &inputs, progress, LIVE)
}

/// What stands in the place of the page of a run under way that cannot be made; it asks for the page again until it can.
pub(crate) fn live_error(error: &Error) -> String {
    let error = escape(&lines(error));
    let body = format!(
        "<section aria-labelledby=\"error\" data-state=\"error\">\n<h2 id=\"error\">The page cannot be made</h2>\n\
         <pre>{error}</pre>\n<p role=\"status\"></p>\n</section>\n"
    );
    document("", &body, LIVE)
}

/// What brings a page again.
const LIVE: &str = include_str!("html/live.js");

fn whole<C: Config>(
    records: &[(&Table<C>, Record)],
    runs: &Path,
    shown: usize,
    inputs: &Inputs,
    beginning: &str,
    more_script: &str,
) -> Result<String, Error> {
    let mut body = beginning.to_owned();
    let mut contents = String::new();
    let mut embedded = Embedded::default();
    for (number, (table, record)) in records.iter().enumerate() {
        let title = escape(&heading(table, record));
        put(&mut contents, &format!("<li><a href=\"#table{number}\">{title}</a></li>\n"));
        put(&mut body, &format!("<section id=\"table{number}\" aria-labelledby=\"title{number}\">\n"));
        put(&mut body, &format!("<h2 id=\"title{number}\">{title}</h2>\n"));
        body.push_str(&grid(number, &title, table, record));
        body.push_str(&list(&report::notes_of(table, record)));
        let changes = changes(table, record);
        body.push_str(&sweep(table, record, &changes));
        body.push_str(&particulars(&title, table, record));
        body.push_str(&list_of_changes(&changes));
        body.push_str(&training(&title, record, runs, inputs, &mut embedded)?);
        body.push_str(&exhibits(&title, record, runs, shown, inputs, &mut embedded)?);
        body.push_str("</section>\n");
    }
    Ok(document(&contents, &body, more_script))
}

/// A page of these list items, which lead to its parts, and this body.
fn document(contents: &str, body: &str, more_script: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Results</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n\
         <header><h1>Results</h1>\n<nav aria-label=\"Tables\"><ul>\n{contents}</ul></nav></header>\n<main>\n{body}</main>\n\
         <script>\n{}{more_script}</script>\n</body>\n</html>\n",
        include_str!("html/style.css"),
        include_str!("html/script.js")
    )
}

/// The table, with buttons that sort and a field that filters its rows.
fn grid<C: Config>(number: usize, title: &str, table: &Table<C>, record: &Record) -> String {
    let footnotes = Footnotes::of(table, record);
    let mut html = format!(
        "<p class=\"filter\"><label>Rows with <input type=\"search\" data-filter=\"grid{number}\"></label> \
         <span role=\"status\"></span></p>\n\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Numbers of {title}\">\n\
         <table id=\"grid{number}\">\n<thead>\n<tr>\n"
    );
    let mut second = String::new();
    html.push_str("<th scope=\"col\" rowspan=\"2\">row</th>\n");
    for column in table.columns() {
        let paper = table.has_printed(column.name());
        let better = match column.direction() {
            Direction::LowerIsBetter => "lower is better",
            Direction::HigherIsBetter => "higher is better",
        };
        put(
            &mut html,
            &format!(
                "<th scope=\"colgroup\" colspan=\"{}\" title=\"{better}\">{}</th>\n",
                1 + usize::from(paper),
                escape(&column.header())
            ),
        );
        for kind in if paper { &["paper", "ours"][..] } else { &["ours"] } {
            put(
                &mut second,
                &format!(
                    "<th scope=\"col\"><button type=\"button\" data-sort aria-label=\"{kind}, {}\">{kind}</button></th>\n",
                    escape(column.name())
                ),
            );
        }
    }
    put(&mut html, &format!("</tr>\n<tr>\n{second}</tr>\n</thead>\n<tbody>\n"));
    for (name, origin) in table.lines() {
        let mark = match origin {
            Origin::Paper => "",
            Origin::Ours => " <small>(ours)</small>",
            Origin::Others => " <small>(external)</small>",
        };
        put(&mut html, &format!("<tr>\n<th scope=\"row\">{}{mark}</th>\n", escape(name)));
        for column in table.columns() {
            if table.has_printed(column.name()) {
                let (words, value) = match table.printed(name, column.name()) {
                    Some(Printed::Number(number)) => (column.format(*number), number.to_string()),
                    Some(Printed::Words(words)) => ((*words).to_owned(), String::new()),
                    None => (report::NOTHING.to_owned(), String::new()),
                };
                put(&mut html, &format!("<td class=\"paper\" data-value=\"{value}\">{}</td>\n", escape(&words)));
            }
            html.push_str(&match origin {
                Origin::Paper | Origin::Ours => ours(column, record, name, &footnotes),
                Origin::Others => nothing(""),
            });
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}

/// A cell without a number.
fn nothing(mark: &str) -> String {
    format!("<td data-value=\"\">{}{mark}</td>\n", report::NOTHING)
}

/// Our number, or none, with the mark of the footnote that says why, or of which seeds it is.
fn ours<C: Config>(column: &Column<C>, record: &Record, row: &str, footnotes: &Footnotes) -> String {
    let Some(cell) = record.cell(row, column.name()) else { return nothing("") };
    let mark = footnotes.mark(record, cell);
    let Some(value) = cell.value else { return nothing(&mark) };
    let deviation =
        cell.deviation().map_or_else(String::new, |deviation| format!("\u{a0}±\u{a0}{}", column.format(deviation)));
    let interval =
        cell.interval.map_or_else(String::new, |interval| format!(" <small>{}</small>", range(column, interval)));
    let differs =
        if report::differs(cell) { "<abbr title=\"differs from the first row, p &lt; 0.05\">*</abbr>" } else { "" };
    format!("<td data-value=\"{value}\"><b>{}</b>{deviation}{interval}{differs}{mark}</td>\n", column.format(value))
}

fn range<C: Config>(column: &Column<C>, [low, high]: [f64; 2]) -> String {
    format!("[{}, {}]", column.format(low), column.format(high))
}

fn list(notes: &[String]) -> String {
    let items: String = notes.iter().map(|note| format!("<li>{}</li>\n", code(&escape(note)))).collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}

/// All that is known of each number, folded: what the table has no room for.
fn particulars<C: Config>(title: &str, table: &Table<C>, record: &Record) -> String {
    let mut lines = String::new();
    for row in &record.rows {
        for column in table.columns() {
            let Some(cell) = record.cell(&row.name, column.name()) else { continue };
            let Some(value) = cell.value else { continue };
            let seeds = cell.seeds.iter().zip(&cell.values);
            let seeds: Vec<String> = seeds.map(|(seed, value)| format!("{seed}: {}", column.format(*value))).collect();
            let entries = [
                Some(escape(column.name())),
                Some(column.format(value)),
                Some(seeds.join("<br>")),
                cell.n.map(|n| n.to_string()),
                cell.sentences.map(|sentences| sentences.to_string()),
                cell.interval.map(|interval| range(column, interval)),
                cell.speakers.map(|speakers| speakers.to_string()),
                cell.speaker_interval.map(|interval| range(column, interval)),
                cell.p.map(|p| escape(&report::p_value(p))),
                Some(format!("<code>{}</code>", cell.stages.join("<br>"))),
            ];
            let entries = entries.map(|entry| format!("<td>{}</td>\n", entry.unwrap_or_default())).concat();
            put(&mut lines, &format!("<tr>\n<th scope=\"row\">{}</th>\n{entries}</tr>\n", escape(&row.name)));
        }
    }
    if lines.is_empty() {
        return lines;
    }
    let heads = PARTICULARS.map(|head| format!("<th scope=\"col\">{head}</th>\n")).concat();
    let table = format!("<table>\n<thead>\n<tr>\n{heads}</tr>\n</thead>\n<tbody>\n{lines}</tbody>\n</table>\n");
    let summary = "Every number: seeds, intervals, p-values";
    let region = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{summary}, {title}\">\n{table}</div>\n"
    );
    details(summary, &region)
}

/// What is said of each number.
const PARTICULARS: [&str; 11] = [
    "row",
    "column",
    "ours",
    "by seed",
    "N",
    "sentences",
    "95 % over these, or else over test items",
    "speakers",
    "95 % over speakers",
    "p against the first row",
    "from",
];

/// What each row changes: as its record says, or of the scale's base where the record is from before records said so.
fn changes<C: Config>(table: &Table<C>, record: &Record) -> Vec<(String, Vec<Change>)> {
    let kept: Vec<_> = record.rows.iter().filter_map(|row| Some((row.name.clone(), row.changes.clone()?))).collect();
    if !kept.is_empty() {
        return kept;
    }
    // A table that is valid at its own scale resolves; one that is not has said so before.
    let Ok(resolved) = table.resolve(record.scale, &Patch::new()) else { return Vec::new() };
    let rows = table.rows().iter().zip(&resolved.rows);
    rows.map(|(row, config)| (row.name().to_owned(), diff(&resolved.base, config))).collect()
}

fn list_of_changes(rows: &[(String, Vec<Change>)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows = rows.iter().map(|(row, changes)| {
        let changes: Vec<String> =
            changes.iter().map(|change| format!("<code>{}</code>", escape(&change.to_string()))).collect();
        let changes = if changes.is_empty() { "the base as it is".to_owned() } else { changes.join("<br>") };
        format!("<dt>{}</dt>\n<dd>{changes}</dd>\n", escape(row))
    });
    details("What each row changes", &format!("<dl>\n{}</dl>\n", rows.collect::<String>()))
}

/// A chart for every number that training stages behind the table, whose title is given, reported, with a line for each row.
fn training(
    title: &str,
    record: &Record,
    runs: &Path,
    inputs: &Inputs,
    embedded: &mut Embedded,
) -> Result<String, Error> {
    let mut html = String::new();
    for (kind, numbers) in curves(record, runs, inputs)? {
        let Charts { learning, machine } = Charts::of(numbers);
        for (what, charts) in [("Curves of", learning), ("Time, memory and batches of", machine)] {
            let charts: String =
                charts.iter().map(|(name, lines)| chart(&format!("{kind}: {name}"), &STEPS, lines)).collect();
            if charts.is_empty() {
                continue;
            }
            let shown = match embedded.link(charts.as_bytes(), title) {
                Some(earlier) => format!("<p>{earlier}</p>\n"),
                None => {
                    let id = embedded.next();
                    let shown = format!("<div id=\"{id}\" class=\"charts\">\n{charts}</div>\n");
                    embedded.insert(charts.into_bytes(), &id, "the curves", title);
                    shown
                }
            };
            html.push_str(&details(&format!("{what} {kind}"), &shown));
        }
    }
    Ok(html)
}

fn details(summary: &str, inner: &str) -> String {
    format!("<details>\n<summary>{}</summary>\n{inner}</details>\n", escape(summary))
}

fn put(html: &mut String, words: &str) {
    // Writing to a string never fails.
    let _ = html.write_str(words);
}

/// Text whose backquotes mark code, as in Markdown.
fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

/// Text as it may stand in an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
