//! A configuration is a complete struct; its tree of keys is what patches, differences and identities work on.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vocable_files::sha256;

/// A complete, typed run configuration: any plain struct that serde can write and read back.
///
/// Optional parts are `Option` fields, serialised as null, so that their keys are seen even when they are none. A field that came
/// later may be left out where it is what everything was before it (`default`, `skip_serializing_if`): then it changes no
/// identity, and can be set all the same. Maps with free keys are not configuration: every valid key is a field.
pub trait Config: Serialize + DeserializeOwned + Clone + PartialEq {}

impl<T: Serialize + DeserializeOwned + Clone + PartialEq> Config for T {}

/// The configuration as a tree of JSON values, in field order.
///
/// # Panics
/// If serde cannot write it (a map with keys that are not strings): a bug in the configuration type.
pub fn tree(config: &impl Serialize) -> Value {
    // Through text, so that an `f32` of 0.1 reads 0.1 and not 0.10000000149011612.
    let text = serde_json::to_string(config).expect("a configuration serialises to JSON");
    serde_json::from_str(&text).expect("what was just written parses")
}

/// The SHA-256, as 64 hexadecimal digits, of a tree in canonical form: keys sorted, no spaces.
pub fn hash(tree: &Value) -> String {
    let mut tree = tree.clone();
    tree.sort_all_objects();
    sha256(tree.to_string())
}

/// The tree as TOML, optional parts that are switched off as the string "none".
///
/// A tree that is not a table is put under the key `config`.
pub fn to_toml(tree: &Value) -> String {
    let mut tree = tree.clone();
    nulls_to_none(&mut tree);
    if !tree.is_object() {
        tree = serde_json::json!({ "config": tree });
    }
    toml::to_string(&tree).expect("a tree without nulls is TOML")
}

fn nulls_to_none(tree: &mut Value) {
    match tree {
        Value::Null => *tree = Value::from("none"),
        Value::Array(items) => items.iter_mut().for_each(nulls_to_none),
        Value::Object(map) => map.values_mut().for_each(nulls_to_none),
        _ => {}
    }
}

/// One setting in which two configurations differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The dotted key.
    pub path: String,
    /// The value in the first configuration; null is none.
    pub from: Value,
    /// The value in the second configuration; null is none.
    pub to: Value,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.path, short(&self.from), short(&self.to))
    }
}

/// A value on one short line.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    match value {
        Value::Object(map) if text.len() > 40 => format!("{{ {} settings }}", map.len()),
        Value::Array(items) if text.len() > 40 => format!("[ {} items ]", items.len()),
        _ => text,
    }
}

/// The settings in which `b` differs from `a`, in field order. A part that is none in one of them is one change.
pub fn diff<C: Config>(a: &C, b: &C) -> Vec<Change> {
    changes(&tree(a), &tree(b))
}

/// What [`diff`] gives, of trees.
pub(crate) fn changes(a: &Value, b: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    collect(String::new(), a, b, &mut changes);
    changes
}

fn collect(path: String, a: &Value, b: &Value, changes: &mut Vec<Change>) {
    if a == b {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (a, b) else {
        changes.push(Change { path, from: a.clone(), to: b.clone() });
        return;
    };
    // The two may have different keys when the part is an enum whose variant changed.
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let (from, to) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
        collect(join(&path, key), from, to, changes);
    }
}

/// `path.key`, or `key` alone at the root.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    struct Outer {
        rate: f32,
        part: Option<Inner>,
    }

    #[derive(Clone, PartialEq, Serialize, Deserialize)]
    struct Inner {
        steps: u64,
    }

    #[test]
    fn the_hash_ignores_key_order_and_sees_every_value() {
        let a = serde_json::from_str::<Value>(r#"{"x": {"b": 1, "a": [{"d": 2, "c": 3}]}}"#).unwrap();
        let b = serde_json::from_str::<Value>(r#"{"x": {"a": [{"c": 3, "d": 2}], "b": 1}}"#).unwrap();
        let c = serde_json::from_str::<Value>(r#"{"x": {"a": [{"c": 3, "d": 2}], "b": 2}}"#).unwrap();
        assert_eq!(hash(&a), hash(&b));
        assert_ne!(hash(&a), hash(&c));
        assert_eq!(hash(&Value::Null), "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b");
    }

    #[test]
    fn a_tree_shows_floats_as_written_and_none_in_toml() {
        let config = Outer { rate: 0.1, part: None };
        assert_eq!(tree(&config).to_string(), r#"{"rate":0.1,"part":null}"#);
        assert_eq!(to_toml(&tree(&config)), "rate = 0.1\npart = \"none\"\n");
        assert_eq!(to_toml(&Value::from(3)), "config = 3\n");
    }

    #[test]
    fn a_difference_names_the_deepest_key_or_the_part_that_went() {
        let base = Outer { rate: 0.1, part: Some(Inner { steps: 3 }) };
        let mut other = base.clone();
        assert!(diff(&base, &other).is_empty());
        other.part.as_mut().unwrap().steps = 4;
        assert_eq!(diff(&base, &other)[0].to_string(), "part.steps: 3 → 4");
        other.part = None;
        let lines: Vec<_> = diff(&base, &other).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["part: {\"steps\":3} → none"]);
    }
}
