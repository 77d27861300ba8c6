//! A report as one HTML file that needs nothing else: tables, what each row changes, curves of training, exhibits.

mod chart;
pub(crate) mod curves;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::chart::chart;
use self::curves::{Inputs, Line, curves, of_manifests};
use crate::config::{Config, diff};
use crate::error::Error;
use crate::files::entries;
use crate::patch::Patch;
use crate::plan::named_stage_dir;
use crate::record::Record;
use crate::report::{self, Footnotes, heading};
use crate::stage_run::EXHIBITS;
use crate::table::{Column, Direction, Origin, Printed, Table};

/// Exhibits of one stage that are embedded at most unless told otherwise; a report is a page, not an archive.
pub const EXHIBITS_SHOWN: usize = 24;
/// Characters of a text that are shown at most.
const TEXT_SHOWN: usize = 20_000;

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
    whole(records, runs, EXHIBITS_SHOWN, &inputs, progress, include_str!("html/live.js"))
}

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
    let mut embedded = Embedded::new();
    for (number, (table, record)) in records.iter().enumerate() {
        let title = escape(&heading(table, record));
        put(&mut contents, &format!("<li><a href=\"#table{number}\">{title}</a></li>\n"));
        put(&mut body, &format!("<section id=\"table{number}\" aria-labelledby=\"title{number}\">\n"));
        put(&mut body, &format!("<h2 id=\"title{number}\">{title}</h2>\n"));
        body.push_str(&grid(number, table, record));
        body.push_str(&list(&report::notes_of(table, record)));
        body.push_str(&particulars(table, record));
        body.push_str(&changes(table, record));
        body.push_str(&training(&title, record, runs, inputs, &mut embedded)?);
        body.push_str(&exhibits(record, runs, shown, inputs, &mut embedded)?);
        body.push_str("</section>\n");
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Results</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n\
         <header><h1>Results</h1>\n<nav aria-label=\"Tables\"><ul>\n{contents}</ul></nav></header>\n<main>\n{body}</main>\n\
         <script>\n{}{more_script}</script>\n</body>\n</html>\n",
        include_str!("html/style.css"),
        include_str!("html/script.js")
    ))
}

/// The table, with buttons that sort and a field that filters its rows.
fn grid<C: Config>(number: usize, table: &Table<C>, record: &Record) -> String {
    let footnotes = Footnotes::of(table, record);
    let mut html = format!(
        "<p class=\"filter\"><label>Rows with <input type=\"search\" data-filter=\"grid{number}\"></label></p>\n\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"title{number}\">\n<table id=\"grid{number}\">\n<thead>\n<tr>\n"
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
    let deviation = cell.deviation().map_or_else(String::new, |deviation| format!(" ± {}", column.format(deviation)));
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
fn particulars<C: Config>(table: &Table<C>, record: &Record) -> String {
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
                cell.p.map(|p| format!("{p:.3}")),
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
    let region =
        format!("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{summary}\">\n{table}</div>\n");
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

/// What each row changes of the scale's base.
fn changes<C: Config>(table: &Table<C>, record: &Record) -> String {
    // A table that is valid at its own scale resolves; one that is not has said so before.
    let Ok(resolved) = table.resolve(record.scale, &Patch::new()) else { return String::new() };
    let rows = table.rows().iter().zip(&resolved.rows).map(|(row, config)| {
        let changes = diff(&resolved.base, config);
        let changes: Vec<String> =
            changes.iter().map(|change| format!("<code>{}</code>", escape(&change.to_string()))).collect();
        let changes = if changes.is_empty() { "the base as it is".to_owned() } else { changes.join("<br>") };
        format!("<dt>{}</dt>\n<dd>{changes}</dd>\n", escape(row.name()))
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
    for (kind, charts) in curves(record, runs, inputs)? {
        let charts: String = charts
            .iter()
            .map(|(name, lines): (&String, &Vec<Line>)| chart(&format!("{kind}: {name}"), lines))
            .collect();
        let id = format!("exhibit{}", embedded.len());
        let shown = match embedded.get(charts.as_bytes()) {
            Some(earlier) => format!("<p>{earlier}</p>\n"),
            None => {
                let shown = format!("<div id=\"{id}\" class=\"charts\">\n{charts}</div>\n");
                embedded.insert(charts.into_bytes(), format!("<a href=\"#{id}\">the same as of {title}</a>"));
                shown
            }
        };
        html.push_str(&details(&format!("Curves of {kind}"), &shown));
    }
    Ok(html)
}

/// Sounds, pictures and texts that the stages behind each cell put on show.
fn exhibits(
    record: &Record,
    runs: &Path,
    shown: usize,
    inputs: &Inputs,
    embedded: &mut Embedded,
) -> Result<String, Error> {
    let mut html = String::new();
    let mut seen = Vec::new();
    for row in &record.rows {
        let mut items = String::new();
        for cell in &row.cells {
            // Of several seeds the first one's.
            let Some(stage) = cell.stages.first() else { continue };
            let read = inputs(stage)?;
            for dir in std::iter::once(stage).chain(read.values()).map(|stage| named_stage_dir(runs, stage)) {
                if !seen.contains(&dir) {
                    let paths = entries(&dir.join("outputs").join(EXHIBITS));
                    let paths = &paths[..paths.len().min(shown)];
                    for alike in paths.chunk_by(|a, b| a.file_stem() == b.file_stem()) {
                        items.push_str(&exhibit(&row.name, &cell.column, alike, embedded)?);
                    }
                    seen.push(dir);
                }
            }
        }
        if !items.is_empty() {
            html.push_str(&details(&row.name, &format!("<div class=\"exhibits\">\n{items}</div>\n")));
        }
    }
    Ok(if html.is_empty() { html } else { format!("<h3>To see and hear</h3>\n{html}") })
}

/// Contents that are on the page already, each with a link to it: rows often speak of the same recording, tables of the same
/// training.
type Embedded = HashMap<Vec<u8>, String>;

/// One figure of files that share a name: a sound and its picture, say.
fn exhibit(row: &str, column: &str, paths: &[PathBuf], embedded: &mut Embedded) -> Result<String, Error> {
    let name = paths[0].file_stem().unwrap_or_default().to_string_lossy();
    let name = escape(&format!("{column}: {name}"));
    // A reader who jumps from one to the next hears of each what it is.
    let label = format!("{}, {name}", escape(row));
    // No other figure that adds something has it.
    let id = format!("exhibit{}", embedded.len());
    let link = format!("<a href=\"#{id}\">the same as {label}</a>");
    let (mut items, mut class, mut earlier) = (String::new(), "", String::new());
    for path in paths {
        let bytes = fs::read(path).map_err(Error::file("read", path))?;
        if let Some(known) = embedded.get(&bytes) {
            earlier.clone_from(known);
            continue;
        }
        let data = |kind: &str| format!("data:{kind};base64,{}", STANDARD.encode(&bytes));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wav") => put(
                &mut items,
                &format!(
                    "<audio controls preload=\"metadata\" aria-label=\"{label}\" src=\"{}\"></audio>",
                    data("audio/wav")
                ),
            ),
            Some("png") => put(&mut items, &format!("<img alt=\"{label}\" src=\"{}\">", data("image/png"))),
            Some("txt") => {
                let text = String::from_utf8_lossy(&bytes);
                let shown: String = text.chars().take(TEXT_SHOWN).collect();
                let more = if shown.len() < text.len() { "\n…" } else { "" };
                put(&mut items, &format!("<pre tabindex=\"0\">{}{more}</pre>", escape(&shown)));
                class = " class=\"text\"";
            }
            _ => continue,
        }
        embedded.insert(bytes, link.clone());
    }
    let id = if items.is_empty() { String::new() } else { format!(" id=\"{id}\"") };
    items.push_str(&earlier);
    Ok(if items.is_empty() {
        items
    } else {
        format!("<figure{id}{class}>{items}<figcaption>{name}</figcaption></figure>\n")
    })
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
