//! Tables of names.

use crate::{Layout, Meaning};

/// A parameter or a module here, its name in a file, and how the values of its weight lie there; `*` stands for a
/// layer's number. Where several names lead to one parameter, the first is written.
pub type Row = (&'static str, &'static str, Layout);

/// The names that a format has for the parameters of a module.
#[derive(Debug)]
pub struct Names {
    /// One row a parameter, or a module whose parameters have the same names in both.
    pub rows: &'static [Row],
    /// Ends of names of what is computed here: tables of sinusoids, and marks of versions and devices.
    pub constants: &'static [&'static str],
    /// A field under which a larger module holds the one that is named: paths are meant without it.
    pub wrapper: Option<&'static str>,
}

impl Names {
    /// A path without the wrapper.
    pub fn path<'p>(&self, path: &'p str) -> &'p str {
        let inner = self.wrapper.and_then(|wrapper| path.strip_prefix(wrapper)?.strip_prefix('.'));
        inner.unwrap_or(path)
    }

    /// The part of the module that a parameter belongs to: the first component of its path.
    pub fn part<'p>(&self, path: &'p str) -> &'p str {
        self.path(path).split('.').next().expect("a split has a first piece")
    }

    /// The names in a file that hold a parameter, the one that is written first; empty if there is none.
    pub fn names(&self, path: &str) -> impl Iterator<Item = (String, Layout)> {
        let path = self.path(path);
        self.rows.iter().filter_map(move |&(ours, theirs, layout)| moved(path, ours, theirs, layout))
    }

    /// The parameters that a name in a file may stand for, without the wrapper.
    pub fn paths(&self, name: &str) -> impl Iterator<Item = (String, Layout)> {
        self.rows.iter().filter_map(move |&(ours, theirs, layout)| moved(name, theirs, ours, layout))
    }

    /// Whether a name in a file stands for something constant, which no reader needs.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.iter().any(|end| name.ends_with(end))
    }

    /// What a name in a file stands for: the first parameter that may be meant.
    pub fn meaning(&self, name: &str) -> Meaning {
        match self.paths(name).next() {
            Some((path, _)) => Meaning::Parameter(path),
            None if self.is_constant(name) => Meaning::Constant,
            None => Meaning::Unknown,
        }
    }
}

/// A name that matches the pattern `from` as the pattern `to` spells it.
fn moved(name: &str, from: &str, to: &str, layout: Layout) -> Option<(String, Layout)> {
    let (number, rest) = matched(from, name)?;
    // A module's bias keeps its order whatever its weight does.
    let layout = if rest == ".bias" { Layout::Flat } else { layout };
    Some((to.replacen('*', number, 1) + rest, layout))
}

/// Splits `name` into the number under the pattern's `*` (empty without one) and what follows the pattern: nothing or a
/// field.
fn matched<'a>(pattern: &str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let (number, rest) = match pattern.split_once('*') {
        None => ("", name.strip_prefix(pattern)?),
        Some((before, after)) => {
            let tail = name.strip_prefix(before)?;
            let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (&tail[..digits], tail[digits..].strip_prefix(after)?)
        }
    };
    let field = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.contains('.');
    (rest.is_empty() || rest.strip_prefix('.').is_some_and(field)).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        rows: &[
            ("layers.*.inner", "decoder.layers.*.fc1", Layout::Linear),
            ("tokens.weight", "decoder.embed.weight", Layout::Flat),
            ("tokens.weight", "decoder.out.weight", Layout::Flat),
        ],
        constants: &["decoder.version"],
        wrapper: Some("core"),
    };

    #[test]
    fn names_and_paths_lead_to_each_other() {
        let names = |path: &str| NAMES.names(path).collect::<Vec<_>>();
        assert_eq!(names("core.layers.11.inner.weight"), [("decoder.layers.11.fc1.weight".into(), Layout::Linear)]);
        assert_eq!(names("layers.0.inner.bias"), [("decoder.layers.0.fc1.bias".into(), Layout::Flat)]);
        assert_eq!(names("tokens.weight").len(), 2);
        assert!(names("layers.0.outer.bias").is_empty() && names("layers.0.inner.weight.more").is_empty());
        assert_eq!(NAMES.meaning("decoder.out.weight"), Meaning::Parameter("tokens.weight".into()));
        assert_eq!(NAMES.meaning("my.decoder.version"), Meaning::Constant);
        assert_eq!(NAMES.meaning("decoder.layers.1.fc1.weight.more"), Meaning::Unknown);
        assert_eq!((NAMES.part("core.layers.0.inner"), NAMES.part("corelayers.0")), ("layers", "corelayers"));
    }
}
