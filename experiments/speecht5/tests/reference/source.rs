//! The types of the configuration with what their documentation says, read from their source as rustfmt lays it out.

use std::fs;
use std::path::{Path, PathBuf};

/// A field of a struct or of a variant.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub of: String,
    pub docs: String,
}

/// A variant of an enum, by the name that a configuration calls it.
#[derive(Clone, Debug)]
pub struct Variant {
    pub name: String,
    pub docs: String,
    pub fields: Vec<Field>,
    /// The type of what it holds.
    pub holds: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Struct(Vec<Field>),
    /// An enum whose variant is the value, or the value of the key `kind`.
    Enum {
        tagged: bool,
        variants: Vec<Variant>,
    },
    /// Another name.
    Alias(String),
}

/// A type and where it is.
#[derive(Clone, Debug)]
pub struct Type {
    pub name: String,
    pub parameter: Option<String>,
    pub file: PathBuf,
    pub kind: Kind,
}

/// Every type that serde writes.
pub struct Types(Vec<Type>);

impl Types {
    /// Those of all crates and of this one.
    pub fn read() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut types = Vec::new();
        for folder in [here.join("src"), here.join("../../crates")] {
            read_folder(&folder, &mut types);
        }
        Self(types)
    }

    /// The type that a file calls by this name: its own, that of its crate, or the only one there is.
    pub fn get(&self, name: &str, file: &Path) -> Option<&Type> {
        let named: Vec<&Type> = self.0.iter().filter(|found| found.name == name).collect();
        let folder = file.ancestors().find(|folder| folder.ends_with("src"));
        let own = named.iter().find(|found| found.file == file);
        let near = || named.iter().find(|found| folder.is_some_and(|folder| found.file.starts_with(folder)));
        let found = own.or_else(near).or(named.first())?;
        let sure = own.is_some() || near().is_some() || named.len() == 1;
        assert!(sure, "{}: which {name}? {named:?}", file.display());
        Some(found)
    }
}

fn read_folder(folder: &Path, types: &mut Vec<Type>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_folder(&path, types);
        } else if path.extension().is_some_and(|kind| kind == "rs") && path.iter().any(|part| part == "src") {
            read_file(&path, types);
        }
    }
}

/// What stands before an item.
#[derive(Default)]
struct Before {
    docs: Vec<String>,
    attributes: String,
}

impl Before {
    /// Takes a line if it is documentation or an attribute.
    fn takes(&mut self, line: &str) -> bool {
        if let Some(text) = line.trim_start().strip_prefix("///") {
            self.docs.push(text.trim().to_owned());
        } else if line.trim_start().starts_with("#[") {
            self.attributes.push_str(line.trim());
        } else {
            return false;
        }
        true
    }

    /// The first paragraph, with links as their texts.
    fn docs(&self) -> String {
        let first = self.docs.iter().take_while(|line| !line.is_empty());
        unsourced(&unlinked(&first.map(String::as_str).collect::<Vec<_>>().join(" ")))
    }

    fn renamed(&self, name: &str, rule: &str) -> String {
        let own = self.attributes.split_once("serde(rename = \"").and_then(|(_, rest)| rest.split_once('"'));
        if let Some((name, _)) = own {
            return name.to_owned();
        }
        let separator = match rule {
            _ if rule.contains("\"snake_case\"") => "_",
            _ if rule.contains("\"kebab-case\"") => "-",
            _ => "",
        };
        let mut renamed = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !renamed.is_empty() {
                renamed.push_str(separator);
            }
            renamed.extend(c.to_lowercase());
        }
        renamed
    }
}

/// Documentation with the text of each link in its place.
fn unlinked(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        out.push_str(&format!("{before}`{name}`"));
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    out + rest
}

/// Documentation without the places in the specification that it names in brackets, which a reader of the page may not have.
fn unsourced(text: &str) -> String {
    let mut parts = text.split(" (");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((source, after)) if ["table D", "spec "].iter().any(|start| source.starts_with(start)) => out += after,
            _ => out = out + " (" + part,
        }
    }
    out
}

fn field(line: &str, before: &Before) -> Option<Field> {
    let (name, of) = line.trim().trim_start_matches("pub ").trim_end_matches(',').split_once(": ")?;
    let skipped = before.attributes.contains("serde(skip)");
    (!skipped).then(|| Field { name: name.to_owned(), of: of.to_owned(), docs: before.docs() })
}

fn read_file(path: &Path, types: &mut Vec<Type>) {
    let source = fs::read_to_string(path).unwrap();
    let mut lines = source.lines();
    let mut before = Before::default();
    while let Some(line) = lines.next() {
        if before.takes(line) {
            continue;
        }
        let item = std::mem::take(&mut before);
        let written = item.attributes.contains("Serialize");
        let words = line.strip_prefix("pub ").and_then(|line| line.split_once(' '));
        let (head, kind) = match words {
            Some(("type", rest)) if rest.contains(" = ") => {
                let (head, of) = rest.split_once(" = ").unwrap();
                (head, Kind::Alias(of.trim_end_matches(';').to_owned()))
            }
            Some(("struct", rest)) if written && rest.ends_with(" {") => {
                (rest.trim_end_matches(" {"), Kind::Struct(fields(&mut lines, "}")))
            }
            Some(("struct", rest)) if written && rest.ends_with(" {}") => {
                (rest.trim_end_matches(" {}"), Kind::Struct(Vec::new()))
            }
            Some(("enum", rest)) if written => {
                let variants = variants(&mut lines, &item.attributes);
                let tagged = item.attributes.contains("tag = \"kind\"");
                (rest.trim_end_matches(" {"), Kind::Enum { tagged, variants })
            }
            _ => continue,
        };
        let (name, parameter) = match head.split_once('<') {
            Some((name, parameter)) => (name, Some(parameter.trim_end_matches('>').to_owned())),
            None => (head, None),
        };
        types.push(Type { name: name.to_owned(), parameter, file: path.to_owned(), kind });
    }
}

/// The fields up to a line.
fn fields<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str) -> Vec<Field> {
    let mut before = Before::default();
    let mut fields = Vec::new();
    for line in lines.take_while(|line| *line != end) {
        if !before.takes(line) {
            fields.extend(field(line, &std::mem::take(&mut before)));
        }
    }
    fields
}

fn variants<'a>(lines: &mut impl Iterator<Item = &'a str>, rule: &str) -> Vec<Variant> {
    let mut before = Before::default();
    let mut variants = Vec::new();
    while let Some(line) = lines.next().filter(|line| *line != "}") {
        if before.takes(line) {
            continue;
        }
        let about = std::mem::take(&mut before);
        let line = line.trim().trim_end_matches(',');
        let (name, holds, fields) = match (line.strip_suffix(" {"), line.split_once('(')) {
            (Some(name), _) => (name, None, fields(lines, "    },")),
            (None, Some((name, held))) => (name, Some(held.trim_end_matches(')').to_owned()), Vec::new()),
            (None, None) => (line, None, Vec::new()),
        };
        if !name.is_empty() {
            variants.push(Variant { name: about.renamed(name, rule), docs: about.docs(), fields, holds });
        }
    }
    variants
}
