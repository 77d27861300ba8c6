//! Sounds, pictures and texts that stages put on show, as figures.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::curves::{Inputs, kind};
use super::{details, escape};
use crate::error::Error;
use crate::files::entries;
use crate::plan::named_stage_dir;
use crate::record::{Record, RecordRow};
use crate::stage_run::EXHIBITS;

/// Characters of a text that are shown at most.
const TEXT_SHOWN: usize = 20_000;
/// What exhibits are often called, alone or after the number of a sample (`0-said.wav`), in the order of their figures, and what
/// that says.
const NAMES: [(&str, &str); 5] = [
    ("heard", "what the model was given"),
    ("said", "what it made of that"),
    ("target", "what it was to make"),
    (
        "alignment",
        "steps of the output to the right, positions of the input that they attend to upwards, all of the weight black",
    ),
    ("aligned", "each output above its reference, word by word"),
];

/// The files that a stage puts on show, by number of the sample, and of each sample in the order of [`NAMES`].
pub(crate) fn exhibit_files(stage: &Path) -> Vec<PathBuf> {
    let mut files = entries(&stage.join("outputs").join(EXHIBITS));
    // Stable: a picture stays before its sound, which has the same name.
    files.sort_by_cached_key(|path| {
        let (sample, name) = parts(path);
        (sample, NAMES.iter().position(|(known, _)| *known == name).unwrap_or(NAMES.len()), name)
    });
    files
}

/// The number of the sample that a file is of, if it is of one, and what of it.
fn parts(path: &Path) -> (Option<u64>, String) {
    let name = stem(path);
    match name.split_once('-').and_then(|(sample, what)| Some((sample.parse().ok()?, what))) {
        Some((sample, what)) => (Some(sample), what.to_owned()),
        None => (None, name),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is on the page already, by its content: rows often speak of the same recording, tables of the same training.
#[derive(Default)]
pub(super) struct Embedded(HashMap<Vec<u8>, Place>);

struct Place {
    id: String,
    what: String,
    table: String,
}

impl Embedded {
    /// The id of what is embedded next.
    pub fn next(&self) -> String {
        format!("exhibit{}", self.0.len())
    }

    /// Says that these contents are in the element with this id, what they are, and under which table's heading.
    pub fn insert(&mut self, contents: Vec<u8>, id: &str, what: &str, table: &str) {
        let [id, what, table] = [id, what, table].map(str::to_owned);
        self.0.insert(contents, Place { id, what, table });
    }

    /// A link to these contents, if they are on the page, that stands under this table's heading.
    pub fn link(&self, contents: &[u8], table: &str) -> Option<String> {
        let place = self.0.get(contents)?;
        let there = if place.table == table { String::new() } else { format!(" in {}", place.table) };
        Some(format!("<a href=\"#{}\">the same as {}{there}</a>", place.id, place.what))
    }
}

/// Files that share a name: a picture and its sound, say.
struct Figure {
    row: String,
    /// What it is under its row.
    name: String,
    /// The stage, and the number of the sample.
    of: (String, Option<u64>),
    /// The files' extensions and contents.
    files: Vec<(String, Vec<u8>)>,
}

/// Sounds, pictures and texts that the stages behind each cell put on show, `shown` files of a stage at most, under the heading
/// of a table.
pub(super) fn exhibits(
    table: &str,
    record: &Record,
    runs: &Path,
    shown: usize,
    inputs: &Inputs,
    embedded: &mut Embedded,
) -> Result<String, Error> {
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for row in &record.rows {
        let mut figures = Vec::new();
        let stages = stages(row, inputs)?;
        for (stage, columns) in &stages {
            let dir = named_stage_dir(runs, stage);
            if seen.contains(&dir) {
                continue;
            }
            // Stages of a kind are told apart by what is made of them.
            let alone = stages.iter().filter(|(other, _)| kind(other) == kind(stage)).count() == 1;
            let columns = if alone { String::new() } else { format!(" ({})", columns.join(", ")) };
            let files = exhibit_files(&dir);
            for alike in files[..files.len().min(shown)].chunk_by(|a, b| a.file_stem() == b.file_stem()) {
                let (sample, name) = parts(&alike[0]);
                names.insert(name);
                figures.push(Figure {
                    row: row.name.clone(),
                    name: format!("{}{columns}: {}", kind(stage), stem(&alike[0])),
                    of: (stage.clone(), sample),
                    files: alike.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
                });
            }
            seen.push(dir);
        }
        rows.push((&row.name, figures));
    }
    rows.retain(|(_, figures)| !figures.is_empty());
    if rows.is_empty() {
        return Ok(String::new());
    }
    let pictures = rows.iter().flat_map(|(_, figures)| figures).flat_map(|figure| &figure.files);
    let widest = pictures.filter_map(|(_, bytes)| png_width(bytes)).max().unwrap_or(1);
    let known: Vec<String> = NAMES
        .iter()
        .filter(|(name, _)| names.contains(*name))
        .map(|(name, meaning)| format!("{name}: {meaning}"))
        .collect();
    let legend =
        if known.is_empty() { String::new() } else { format!("<p class=\"notes\">{}.</p>\n", known.join("; ")) };
    let mut html = format!("<h3>To see and hear</h3>\n{legend}");
    for (row, figures) in rows {
        // What belongs to a sample is side by side.
        let samples = figures.chunk_by(|a, b| a.of == b.of).map(|sample| {
            let figures: String = sample.iter().map(|figure| figure.html(table, widest, embedded)).collect();
            format!("<div class=\"exhibits\">\n{figures}</div>\n")
        });
        let samples: String = samples.collect();
        html.push_str(&details(row, &samples));
    }
    Ok(html)
}

/// The stages whose exhibits are a row's: those that score it and what these read, each with the columns that are made of it.
fn stages<'r>(row: &'r RecordRow, inputs: &Inputs) -> Result<Vec<(String, Vec<&'r str>)>, Error> {
    let mut stages: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in &row.cells {
        // Of several seeds the first one's.
        let Some(score) = cell.stages.first() else { continue };
        for stage in std::iter::once(score.clone()).chain(inputs(score)?.into_values()) {
            match stages.iter_mut().find(|(known, _)| *known == stage) {
                Some((_, columns)) => columns.push(&cell.column),
                None => stages.push((stage, vec![&cell.column])),
            }
        }
    }
    Ok(stages)
}

fn read(path: &Path) -> Result<(String, Vec<u8>), Error> {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    Ok((extension, fs::read(path).map_err(Error::file("read", path))?))
}

/// The width in pixels that a PNG's header says; `None` of what is no PNG.
fn png_width(bytes: &[u8]) -> Option<u32> {
    let width = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(8..12)?;
    Some(u32::from_be_bytes(width.try_into().ok()?))
}

impl Figure {
    /// The figure under a table's heading, pictures as wide as they are of the widest, so that their times can be compared.
    fn html(&self, table: &str, widest: u32, embedded: &mut Embedded) -> String {
        let name = escape(&self.name);
        // A reader who jumps from one to the next hears of each what it is.
        let label = format!("{}, {name}", escape(&self.row));
        let id = embedded.next();
        let (mut items, mut class) = (String::new(), "");
        for (extension, bytes) in &self.files {
            let data = |kind: &str| format!("data:{kind};base64,{}", STANDARD.encode(bytes));
            // A picture is small, and is looked at beside others; sounds and texts are on the page once.
            if let (Some(width), "png") = (png_width(bytes), extension.as_str()) {
                let width = 100.0 * f64::from(width) / f64::from(widest);
                let picture = data("image/png");
                items.push_str(&format!("<img alt=\"{label}\" style=\"width:{width:.1}%\" src=\"{picture}\">"));
                continue;
            }
            if let Some(link) = embedded.link(bytes, table) {
                items.push_str(&link);
                continue;
            }
            match extension.as_str() {
                "wav" => items.push_str(&format!(
                    "<audio controls preload=\"metadata\" aria-label=\"{label}\" src=\"{}\"></audio>",
                    data("audio/wav")
                )),
                "txt" => {
                    let text = String::from_utf8_lossy(bytes);
                    let shown: String = text.chars().take(TEXT_SHOWN).collect();
                    let more = if shown.len() < text.len() { "\n…" } else { "" };
                    items.push_str(&format!("<pre tabindex=\"0\">{}{more}</pre>", escape(&shown)));
                    class = " class=\"text\"";
                }
                _ => continue,
            }
            embedded.insert(bytes.clone(), &id, &label, table);
        }
        match items.is_empty() {
            true => items,
            // What embeds nothing that is new has no id: the next one that does has this one.
            false if embedded.next() == id => {
                format!("<figure{class}>{items}<figcaption>{name}</figcaption></figure>\n")
            }
            false => format!("<figure id=\"{id}\"{class}>{items}<figcaption>{name}</figcaption></figure>\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordCell;

    fn png(width: u32) -> Vec<u8> {
        [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &width.to_be_bytes(), &80_u32.to_be_bytes()].concat()
    }

    /// A stage with these exhibits, named like its directory.
    fn stage(runs: &Path, name: &str, exhibits: &[(&str, &[u8])]) {
        let dir = named_stage_dir(runs, name).join("outputs").join(EXHIBITS);
        fs::create_dir_all(&dir).unwrap();
        for (name, bytes) in exhibits {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }

    fn row(name: &str, cells: &[(&str, &str)]) -> RecordRow {
        let cell = |&(column, stage): &(&str, &str)| RecordCell {
            column: column.into(),
            stages: vec![stage.into()],
            ..Default::default()
        };
        RecordRow { name: name.into(), changes: None, cells: cells.iter().map(cell).collect() }
    }

    fn captions(html: &str) -> Vec<&str> {
        let ends = html.split("<figcaption>").skip(1);
        ends.map(|rest| rest.split_once("</figcaption>").unwrap().0).collect()
    }

    #[test]
    fn a_sample_has_what_was_heard_said_and_meant_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let (target, sound) = (png(100), b"target sound".as_slice());
        for (name, said) in [("decode-1", png(50)), ("decode-2", png(200))] {
            let exhibits = [
                ("10-said.png", said.as_slice()),
                ("2-alignment.png", &said),
                ("2-heard.png", &said),
                ("2-said.png", &said),
                ("2-target.png", &target),
                ("2-target.wav", sound),
            ];
            stage(dir.path(), name, &exhibits);
        }
        let mut record = Record::not_run("vc", crate::Scale::Smoke, None);
        record.rows = vec![row("A", &[("VC", "decode-1")]), row("B", &[("VC", "decode-2"), ("ended", "decode-2")])];
        let mut embedded = Embedded::default();
        let mut show = |table: &str, shown: usize| {
            exhibits(table, &record, dir.path(), shown, &|_| Ok(Default::default()), &mut embedded).unwrap()
        };
        let html = show("vc", 100);
        let sample = ["heard", "said", "target", "alignment"].map(|what| format!("decode: 2-{what}"));
        let whole: Vec<&str> = sample.iter().map(String::as_str).chain(["decode: 10-said"]).collect();
        assert_eq!(captions(&html), [whole.clone(), whole].concat());
        assert!(html.contains("heard: what the model was given; said: ") && !html.contains("aligned: "), "{html}");
        assert_eq!(html.matches("<div class=\"exhibits\">").count(), 4, "one of each sample");
        // The picture is beside what was said in both rows, the sound is there once.
        assert_eq!((html.matches("<img alt=\"A, decode: 2-target\"").count(), html.matches("<audio").count()), (1, 1));
        assert!(html.contains("<img alt=\"B, decode: 2-target\" style=\"width:50.0%\""), "{html}");
        assert!(html.contains("<img alt=\"B, decode: 2-said\" style=\"width:100.0%\""), "{html}");
        assert!(html.contains("\">the same as A, decode: 2-target</a>"), "{html}");
        // Of another table the heading is named.
        assert!(show("other: Of others", 100).contains("\">the same as A, decode: 2-target in vc</a>"));
        let ids: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
        let links: Vec<&str> = html.split("href=\"#").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
        assert_eq!((ids.as_slice(), links.as_slice()), (&["exhibit0"][..], &["exhibit0"][..]));
        // Where not all are shown, those of the first sample are.
        assert_eq!(captions(&show("few", 2)), ["decode: 2-heard", "decode: 2-said"].repeat(2));
    }

    #[test]
    fn exhibits_are_named_by_their_stage_and_by_columns_only_where_a_row_has_several_of_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["decode-asr-1", "decode-asr-2", "decode-vc-3"] {
            stage(dir.path(), name, &[("aligned.txt", name.as_bytes())]);
        }
        let mut record = Record::not_run("diagnostics", crate::Scale::Smoke, None);
        let cells = [
            ("CTC clean", "score-asr-1"),
            ("CTC other", "score-asr-2"),
            ("attention clean", "score-asr-1"),
            ("VC unconverted", "score-vc-3"),
        ];
        record.rows = vec![row("A", &cells)];
        let inputs = |score: &str| Ok([("decode".to_owned(), score.replace("score", "decode"))].into());
        let html = exhibits("", &record, dir.path(), 9, &inputs, &mut Embedded::default()).unwrap();
        let expected = [
            "decode-asr (CTC clean, attention clean): aligned",
            "decode-asr (CTC other): aligned",
            "decode-vc: aligned",
        ];
        assert_eq!(captions(&html), expected);
    }
}
