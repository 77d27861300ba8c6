//! Changes to a configuration that come from outside: a TOML file, then dotted overrides.

use std::path::Path;

use serde_json::{Value, json};

use crate::config::{self, Config};
use crate::error::ConfigError;
use crate::nearest::nearest;

/// Changes in the order in which they apply; later ones win.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    path: Vec<String>,
    value: Given,
}

/// A value as it was given.
#[derive(Clone, Debug)]
enum Given {
    /// From a file: typed already.
    Typed(Value),
    /// From the command line: its type is seen from the text and from what it replaces.
    Text(String),
    /// From an option of its own: a string unless it replaces something else.
    Option(String),
}

impl Patch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the settings of a TOML text; `source` is the file it came from, for messages.
    ///
    /// # Errors
    /// [`ConfigError::PatchFile`] when it is not TOML.
    pub fn toml(mut self, text: &str, source: &Path) -> Result<Self, ConfigError> {
        let file = |message: String| ConfigError::PatchFile { path: source.to_owned(), message };
        let table: toml::Table = toml::from_str(text).map_err(|error| file(error.to_string().trim_end().to_owned()))?;
        for (key, value) in table {
            self.settings.push(Setting { path: vec![key], value: Given::Typed(from_toml(value)) });
        }
        Ok(self)
    }

    /// Adds the settings of a TOML file.
    ///
    /// # Errors
    /// [`ConfigError::PatchFile`] when it cannot be read or is not TOML.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::PatchFile { path: path.to_owned(), message: error.to_string() })?;
        self.toml(&text, path)
    }

    /// Adds one `path.to.key=value`. The value is TOML (`3`, `0.1`, `true`, `[1, 2]`, `{ a = 1 }`) or a bare string;
    /// `none` removes an optional part.
    ///
    /// # Errors
    /// [`ConfigError::NotAnOverride`] without a `=`, or with an empty key.
    pub fn assign(mut self, text: &str) -> Result<Self, ConfigError> {
        let bad = || ConfigError::NotAnOverride(text.to_owned());
        let (path, value) = text.split_once('=').ok_or_else(bad)?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(bad());
        }
        self.settings.push(Setting { path, value: Given::Text(value.trim().to_owned()) });
        Ok(self)
    }

    /// Adds the value of a command line option that stands for the dotted key `path`; kept as a string when the key
    /// holds one or is none.
    pub fn option(mut self, path: &str, value: &str) -> Self {
        let path = path.split('.').map(str::to_owned).collect();
        self.settings.push(Setting { path, value: Given::Option(value.to_owned()) });
        self
    }

    /// The configuration with every setting applied.
    ///
    /// # Errors
    /// [`ConfigError`] naming the path of the first setting that is unknown, below a part that is none, or of the
    /// wrong type.
    pub fn apply<C: Config>(&self, config: &C) -> Result<C, ConfigError> {
        let before = config::tree(config);
        let mut after = before.clone();
        let mut unseen = Vec::new();
        for Setting { path, value } in &self.settings {
            let slot = descend(&mut after, path, &mut unseen)?;
            let value = match value {
                Given::Typed(value) => value.clone(),
                Given::Text(text) => from_text(text, slot.is_string()),
                Given::Option(text) => from_text(text, slot.is_string() || slot.is_null()),
            };
            merge(slot, value, path, &mut unseen);
        }
        let patched: C =
            serde_path_to_error::deserialize(&after).map_err(|error| refusal(&before, &after, &unseen, &error))?;
        // A key that was new is fine if the type now has it (a part that was none, another variant of an enum) ..
        let read_back = config::tree(&patched);
        // .. or minds what it is, and does not write it where it is what it is without being set.
        let minded = |path: &[String]| {
            let mut tree = after.clone();
            let Ok(slot) = descend(&mut tree, path, &mut Vec::new()) else { return false };
            *slot = json!({ "": null });
            C::deserialize(&tree).is_err()
        };
        match unseen.iter().find(|path| lookup(&read_back, path).is_none() && !minded(path)) {
            Some(path) => Err(unknown(&read_back, path)),
            None => Ok(patched),
        }
    }
}

/// The place that `path` names, made if it does not exist; paths that did not exist go to `unseen`.
fn descend<'t>(
    tree: &'t mut Value,
    path: &[String],
    unseen: &mut Vec<Vec<String>>,
) -> Result<&'t mut Value, ConfigError> {
    let mut slot = tree;
    let mut known = true;
    for (depth, key) in path.iter().enumerate() {
        if slot.is_null() && depth > 0 {
            return Err(ConfigError::Absent { path: path.join("."), part: path[..depth].join(".") });
        }
        if !slot.is_object() {
            // A key below a plain value: let the type refuse it, with the key reported as unknown.
            *slot = Value::Object(serde_json::Map::new());
        }
        let map = slot.as_object_mut().expect("made an object above");
        if !map.contains_key(key) {
            if known {
                unseen.push(path.to_vec());
            }
            known = false;
            // Not null: a deeper key must be reported as unknown, not as part of something switched off.
            map.insert(key.clone(), Value::Object(serde_json::Map::new()));
        }
        slot = &mut map[key];
    }
    Ok(slot)
}

/// Puts `value` into `slot`: tables into tables key by key, anything else as a whole.
fn merge(slot: &mut Value, value: Value, path: &[String], unseen: &mut Vec<Vec<String>>) {
    match (slot, value) {
        (Value::Object(map), Value::Object(new)) => {
            for (key, value) in new {
                let path: Vec<String> = path.iter().chain([&key]).cloned().collect();
                match map.get_mut(&key) {
                    Some(slot) => merge(slot, value, &path, unseen),
                    None => {
                        unseen.push(path);
                        map.insert(key, value);
                    }
                }
            }
        }
        (slot, value) => {
            if let Value::Object(new) = &value {
                unseen.extend(new.keys().map(|key| path.iter().chain([key]).cloned().collect()));
            }
            *slot = value;
        }
    }
}

/// The value that a command line text stands for.
fn from_text(text: &str, replaces_string: bool) -> Value {
    if text == "none" {
        return Value::Null;
    }
    let quoted = text.starts_with('"') || text.starts_with('\'');
    if replaces_string && !quoted {
        return Value::from(text);
    }
    match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => match table.remove("value") {
            // Quoted on the command line means the word itself, so "none" in quotes is a string.
            Some(toml::Value::String(word)) => Value::from(word),
            Some(value) => from_toml(value),
            None => Value::from(text),
        },
        _ => Value::from(text),
    }
}

/// TOML as JSON, with the string "none" as null.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) if text == "none" => Value::Null,
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        // JSON has no such number, and would have none in its place.
        toml::Value::Float(number) if !number.is_finite() => Value::from(number.to_string()),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::from(flag),
        // No configuration holds dates; their text is what was meant.
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(k, v)| (k, from_toml(v))).collect()),
    }
}

/// Why the type does not take the patched tree: a key it does not have, or a value of the wrong type.
fn refusal(
    before: &Value,
    after: &Value,
    unseen: &[Vec<String>],
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> ConfigError {
    let path = error.path().to_string();
    let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
    let message = error.inner().to_string();
    // The type only looks at keys that it has, so an error inside a new key is an error of its value.
    let inside_new = unseen.iter().any(|new| keys.starts_with(new)) && !message.starts_with("unknown field");
    // Which keys a part has that was none cannot be told from the configuration; the type's own words must do.
    let misspelt = unseen.iter().find(|path| !below_none(before, path));
    match misspelt {
        Some(path) if !inside_new => unknown(before, path),
        _ if lookup(after, &keys).is_some_and(Value::is_null) => ConfigError::NotOptional { path },
        _ => ConfigError::Type { path, message },
    }
}

/// Whether the deepest part of `path` that exists is none.
fn below_none(tree: &Value, path: &[String]) -> bool {
    let mut slot = tree;
    for key in path {
        match slot.get(key) {
            Some(deeper) => slot = deeper,
            None => break,
        }
    }
    slot.is_null()
}

fn unknown(tree: &Value, path: &[String]) -> ConfigError {
    ConfigError::Unknown { path: path.join("."), nearest: nearest(tree, path) }
}

fn lookup<'t>(tree: &'t Value, path: &[String]) -> Option<&'t Value> {
    path.iter().try_fold(tree, |slot, key| slot.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Run {
        seed: u64,
        name: String,
        data: Option<String>,
        rate: f32,
        widths: Vec<usize>,
        pretrain: Option<Pretrain>,
        quantizer: Quantizer,
        /// Came later, and changes no identity where it is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judge: Option<u32>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Pretrain {
        steps: u32,
        speech: Option<Speech>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Speech {
        weight: f64,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Quantizer {
        Nearest { codes: usize },
        Gumbel { codes: usize, temperature: f32 },
    }

    fn base() -> Run {
        Run {
            seed: 1,
            name: "base".to_owned(),
            data: None,
            rate: 0.1,
            widths: vec![512, 512],
            pretrain: Some(Pretrain { steps: 100, speech: Some(Speech { weight: 1.0 }) }),
            quantizer: Quantizer::Nearest { codes: 100 },
            judge: None,
        }
    }

    fn with(overrides: &[&str]) -> Result<Run, ConfigError> {
        overrides.iter().try_fold(Patch::new(), |patch, text| patch.assign(text))?.apply(&base())
    }

    fn message(overrides: &[&str]) -> String {
        with(overrides).unwrap_err().to_string()
    }

    fn speech(run: &Run) -> Option<&Speech> {
        run.pretrain.as_ref()?.speech.as_ref()
    }

    #[test]
    fn a_key_that_is_not_written_where_it_is_none_can_be_set_and_unset() {
        assert_eq!(with(&["judge=3"]).unwrap().judge, Some(3));
        assert_eq!(with(&["judge=none"]).unwrap(), base());
        assert_eq!(with(&["judge=3", "judge=none"]).unwrap(), base());
        assert!(message(&["jugde=none"]).contains("unknown key `jugde`"), "{}", message(&["jugde=none"]));
        assert!(message(&["judge.deeper=1"]).contains("judge"), "{}", message(&["judge.deeper=1"]));
    }

    #[test]
    fn values_take_the_type_of_what_they_replace() {
        let run = with(&["seed=18446744073709551615", "name=7", "data=a b.jsonl", "rate = 1", "widths=[1, 2, 3]"]);
        // TOML integers end at 2^63 - 1.
        assert!(run.is_err());
        let run = with(&["seed=9_000", "name=7", "data=a b.jsonl", "rate = 1", "widths=[1, 2, 3]"]).unwrap();
        let expected = Run {
            seed: 9000,
            name: "7".to_owned(),
            data: Some("a b.jsonl".to_owned()),
            rate: 1.0,
            widths: vec![1, 2, 3],
            ..base()
        };
        assert_eq!(run, expected);
        assert_eq!(with(&["rate=1e-3"]).unwrap().rate, 1e-3);
        assert_eq!(with(&["name=\"none\""]).unwrap().name, "none");
        assert_eq!(with(&["name=x\ny = 1"]).unwrap().name, "x\ny = 1");
        // An option's value is a string where nothing says otherwise, and a number where one was.
        let run = Patch::new().option("data", "2024").option("seed", "5").apply(&base()).unwrap();
        assert_eq!((run.data.as_deref(), run.seed), (Some("2024"), 5));
    }

    #[test]
    fn none_removes_an_optional_part_and_a_table_puts_one_in() {
        assert_eq!(speech(&with(&["pretrain.speech=none"]).unwrap()), None);
        assert_eq!(with(&["pretrain=none"]).unwrap().pretrain, None);
        let run = with(&["pretrain.speech=none", "pretrain.speech={ weight = 2.5 }"]).unwrap();
        assert_eq!(speech(&run), Some(&Speech { weight: 2.5 }));
        let file = Path::new("p.toml");
        let run = Patch::new().toml("pretrain.speech = 'none'", file).unwrap().apply(&base()).unwrap();
        assert_eq!((speech(&run), run.pretrain.as_ref().unwrap().steps), (None, 100));
        let run = Patch::new().toml("[pretrain.speech]\nweight = 3", file).unwrap().apply(&run).unwrap();
        assert_eq!(speech(&run), Some(&Speech { weight: 3.0 }));
    }

    #[test]
    fn an_enum_changes_its_variant() {
        let run = with(&["quantizer={ kind = 'gumbel', temperature = 2 }"]).unwrap();
        assert_eq!(run.quantizer, Quantizer::Gumbel { codes: 100, temperature: 2.0 });
        let dotted = with(&["quantizer.kind=gumbel", "quantizer.temperature=2"]).unwrap();
        assert_eq!(dotted, run);
        assert!(message(&["quantizer.kind=gumbl"]).starts_with("`quantizer"), "{}", message(&["quantizer.kind=gumbl"]));
    }

    #[test]
    fn mistakes_name_the_path_and_the_nearest_key() {
        let cases: [(&[&str], &str); 12] = [
            (&["pretrain.stpes=1"], "unknown key `pretrain.stpes`; the nearest valid key is `pretrain.steps`"),
            (&["pretrian.steps=1"], "unknown key `pretrian.steps`; the nearest valid key is `pretrain.steps`"),
            (&["steps=1"], "unknown key `steps`; the nearest valid key is `pretrain.steps`"),
            (&["pretrain.steps.max=1"], "unknown key `pretrain.steps.max`; the nearest valid key is `pretrain.steps`"),
            (
                &["pretrain.speech=none", "pretrain.speech={ wieght = 1 }"],
                "unknown key `pretrain.speech.wieght`; the nearest valid key is `pretrain.speech.weight`",
            ),
            (
                &["pretrain.speech=none", "pretrain.speech={ weight = 1, hieght = 2 }"],
                "unknown key `pretrain.speech.hieght`; the nearest valid key is `pretrain.speech.weight`",
            ),
            (
                &["pretrain.speech=none", "pretrain.speech.weight=1"],
                "cannot set `pretrain.speech.weight`: `pretrain.speech` is none in this configuration; set the whole part \
                 or drop this key",
            ),
            (
                &["pretrain=none", "pretrain.speech.weight=1"],
                "cannot set `pretrain.speech.weight`: `pretrain` is none in this configuration; set the whole part or drop \
                 this key",
            ),
            (&["pretrain.steps=-1"], "`pretrain.steps`: invalid value: integer `-1`, expected u32"),
            (&["pretrain.steps=none"], "`pretrain.steps` is not optional, so it cannot be none"),
            (&["rate=nan"], "`rate`: invalid type: string \"NaN\", expected f32"),
            (&["widths=[1, x]"], "`widths`: invalid type: string \"[1, x]\", expected a sequence"),
        ];
        for (overrides, expected) in cases {
            assert_eq!(message(overrides), expected, "{overrides:?}");
        }
        // Where the configuration itself has none, only the type knows the keys.
        let without = with(&["pretrain.speech=none"]).unwrap();
        let patch = Patch::new().assign("pretrain.speech={ wieght = 1 }").unwrap();
        assert_eq!(patch.apply(&without).unwrap_err().to_string(), "`pretrain.speech`: missing field `weight`");
    }

    #[test]
    fn a_patch_file_with_a_mistake_is_named() {
        let file = Path::new("patch.toml");
        let error = Patch::new().toml("seed = = 1", file).unwrap_err().to_string();
        assert!(error.starts_with("patch file patch.toml: TOML parse error at line 1"), "{error}");
        let error = Patch::new().toml("[pretrain]\nspeach = 1", file).unwrap().apply(&base()).unwrap_err().to_string();
        assert_eq!(error, "unknown key `pretrain.speach`; the nearest valid key is `pretrain.speech`");
    }
}
