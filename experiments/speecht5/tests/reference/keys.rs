//! The page of all keys of the configuration: walks its types from the top, with the values of three scales beside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::source::{Field, Kind, Type, Types};

const HEAD: &str = "# The configuration of `speecht5`: every key

Written by `just reference` from the documentation of the types and the base configurations (`experiments/speecht5/src/scales.rs`); a test holds it to
both. A cell that is empty is as the one to its left: `mini` begins with `base`, `smoke` with `mini`. `none` is a part that is
absent, and — stands where a part above it is; a key without any value is a part that is there. Rows of the tables change these
values; `speecht5 show TABLE` says which.

Each key is set on the command line (`speecht5 run ablation pretrain.train.updates=50 pretrain.task.quantizer=none`) or by a TOML
file with the same names (`--patch FILE`).
";

/// A part that has the values of another one at every scale.
const SAME: (&str, &str) = ("units.teacher", "pretrain");

/// A type as it is written in a file, with what the parameter of the type around it stands for.
#[derive(Clone)]
struct Written {
    of: String,
    file: PathBuf,
}

struct Page<'a> {
    types: &'a Types,
    scales: [Table; 3],
    text: String,
    /// Enums that keys have for values.
    choices: BTreeMap<String, Type>,
    /// Keys that have a line.
    seen: Vec<String>,
}

/// The whole page, from the base configurations of the scales `base`, `mini` and `smoke`.
pub fn page(types: &Types, scales: [Table; 3]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config.rs");
    let top = types.get("RunConfig", &file).expect("it is there").clone();
    let Kind::Struct(parts) = &top.kind else { panic!("it is a struct") };
    let (choices, seen) = (BTreeMap::new(), Vec::new());
    let mut page = Page { types, scales, text: HEAD.to_owned(), choices, seen };
    page.text += "\n| key | `base` | `mini` | `smoke` | |\n|---|---|---|---|---|\n";
    let is_part = |field: &&Field| page.scales.iter().any(|scale| scale.get(&field.name).is_some_and(Value::is_table));
    let (sections, single): (Vec<&Field>, Vec<&Field>) = parts.iter().partition(is_part);
    let here = |field: &Field| Written { of: field.of.clone(), file: top.file.clone() };
    for field in single {
        page.key(&field.name, &field.docs, here(field));
    }
    for field in sections {
        page.text += &format!("\n## `{}`\n\n{}\n\n", field.name, field.docs);
        page.text += "| key | `base` | `mini` | `smoke` | |\n|---|---|---|---|---|\n";
        page.inside(&field.name, here(field));
    }
    page.add_choices();
    let valued: Vec<String> = page.scales.iter().flat_map(|scale| leaves("", &Value::Table(scale.clone()))).collect();
    for key in valued {
        let same = key.strip_prefix(SAME.0).is_some_and(|rest| rest.starts_with('.'));
        assert!(same || page.seen.contains(&key), "no field describes {key}");
    }
    page.text
}

/// The keys below a value that have one themselves.
fn leaves(path: &str, value: &Value) -> Vec<String> {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Table(table) => table.iter().flat_map(|(key, value)| leaves(&join(key), value)).collect(),
        _ => vec![path.to_owned()],
    }
}

impl Page<'_> {
    /// A key, and all below it.
    fn key(&mut self, path: &str, docs: &str, written: Written) {
        assert!(!docs.is_empty(), "{path} is not documented");
        if path == SAME.0 {
            let mut same = self.scales.iter().all(|scale| at(scale, SAME.0) == at(scale, SAME.1));
            same &= at(&self.scales[0], SAME.1).is_some();
            assert!(same, "{} is not as {} any more", SAME.0, SAME.1);
            self.text += &format!("| `{path}` | | | | {docs} All as [`{}`](#{}). |\n", SAME.1, SAME.1);
            return;
        }
        let optional = written.of.starts_with("Option<");
        let found = self.find(&written);
        let part = found.as_ref().is_some_and(|(found, _)| !matches!(found.kind, Kind::Enum { tagged: false, .. }));
        match found {
            Some((found, _)) if !part => {
                self.choices.insert(found.name.clone(), found.clone());
                self.line(path, &format!("{docs} [Choices](#{}).", found.name.to_lowercase()), false);
            }
            Some((found, _)) => {
                if optional || !matches!(&found.kind, Kind::Struct(fields) if fields.is_empty()) {
                    self.line(path, docs, true);
                }
                self.inside(path, written);
            }
            None => self.line(path, docs, false),
        }
    }

    /// The keys of a part.
    fn inside(&mut self, path: &str, written: Written) {
        let Some((found, argument)) = self.find(&written) else { panic!("{path}: what is {}?", written.of) };
        match &found.kind {
            Kind::Struct(fields) => {
                for field in fields {
                    let of_parameter = found.parameter.as_ref().is_some_and(|name| *name == field.of);
                    let here = Written { of: field.of.clone(), file: found.file.clone() };
                    let written = if of_parameter { argument.clone().expect("it is given") } else { here };
                    self.key(&format!("{path}.{}", field.name), &field.docs, written);
                }
            }
            Kind::Enum { variants, .. } => {
                self.choices.insert(found.name.clone(), found.clone());
                self.line(&format!("{path}.kind"), &format!("[Choices](#{}).", found.name.to_lowercase()), false);
                for variant in variants {
                    let used = |scale: &Table| {
                        at(scale, &format!("{path}.kind")).is_some_and(|kind| kind.as_str() == Some(&variant.name))
                    };
                    if self.scales.iter().any(used) {
                        for field in self.fields_of(variant, &found) {
                            let here = Written { of: field.of.clone(), file: found.file.clone() };
                            self.key(&format!("{path}.{}", field.name), &field.docs, here);
                        }
                    }
                }
            }
            Kind::Alias(_) => unreachable!("names are followed"),
        }
    }

    /// The type behind what is written, and what its parameter stands for.
    fn find(&self, written: &Written) -> Option<(Type, Option<Written>)> {
        let of = written.of.strip_prefix("Option<").map_or(&*written.of, |of| &of[..of.len() - 1]);
        let (name, argument) = match of.split_once('<') {
            Some((name, argument)) => (name, Some(argument.trim_end_matches('>').to_owned())),
            None => (of, None),
        };
        let found = self.types.get(name, &written.file)?;
        match &found.kind {
            Kind::Alias(of) => self.find(&Written { of: of.clone(), file: found.file.clone() }),
            _ => Some((found.clone(), argument.map(|of| Written { of, file: written.file.clone() }))),
        }
    }

    fn fields_of(&self, variant: &crate::source::Variant, of: &Type) -> Vec<Field> {
        let held = variant.holds.as_ref().and_then(|held| self.types.get(held, &of.file));
        match held.map(|held| &held.kind) {
            Some(Kind::Struct(fields)) => fields.clone(),
            _ => variant.fields.clone(),
        }
    }

    /// A line of the table. Of a part only whether it is absent is said.
    fn line(&mut self, path: &str, docs: &str, part: bool) {
        let mut cells: Vec<String> = self.scales.iter().map(|scale| cell(scale, path, part)).collect();
        for n in (1..cells.len()).rev() {
            if cells[n] == cells[n - 1] {
                cells[n].clear();
            }
        }
        self.text += &format!("| `{path}` | {} | {} |\n", cells.join(" | "), docs.replace('|', "\\|"));
        self.seen.push(path.to_owned());
    }

    /// The enums, with what each of their variants means.
    fn add_choices(&mut self) {
        self.text += "\n## Choices\n";
        for found in std::mem::take(&mut self.choices).into_values() {
            let Kind::Enum { tagged, variants } = &found.kind else { unreachable!("only enums are choices") };
            self.text += &format!("\n### {}\n\n", found.name);
            for variant in variants {
                let key = if *tagged { "kind = " } else { "" };
                self.text += &format!("- `{key}\"{}\"`: {}\n", variant.name, variant.docs);
                for field in self.fields_of(variant, &found) {
                    self.text += &format!("  - `{}`: {}\n", field.name, field.docs);
                }
            }
        }
    }
}

/// What a scale has under a dotted key.
fn at<'a>(scale: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let top = scale.get(keys.next()?)?;
    keys.try_fold(top, |value, key| value.get(key))
}

fn cell(scale: &Table, path: &str, part: bool) -> String {
    let above = path.rsplit_once('.').map(|(above, _)| at(scale, above));
    match at(scale, path) {
        Some(Value::String(text)) if text == "none" => "none".to_owned(),
        Some(_) if part => String::new(),
        Some(value) => format!("`{value}`"),
        None if above.is_none_or(|above| above.is_some_and(Value::is_table)) => "none".to_owned(),
        None => "—".to_owned(),
    }
}
