//! What can go wrong: the user's settings ([`ConfigError`]) and everything else ([`Error`]).

use std::io;
use std::path::{Path, PathBuf};

/// A mistake in the settings; a program that meets one exits with code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that the configuration does not have.
    #[error("unknown key `{path}`; the nearest valid key is `{nearest}`")]
    Unknown {
        /// The key as it was given.
        path: String,
        /// The valid key closest to it in spelling.
        nearest: String,
    },
    /// A key below an optional part that is switched off.
    #[error("cannot set `{path}`: `{part}` is none in this configuration; set the whole part or drop this key")]
    Absent {
        /// The key as it was given.
        path: String,
        /// The optional part above it that is none.
        part: String,
    },
    /// `none` for something that must be there.
    #[error("`{path}` is not optional, so it cannot be none")]
    NotOptional {
        /// The key as it was given.
        path: String,
    },
    /// A value of the wrong type, or a part that lacks a setting.
    #[error("`{path}`: {message}")]
    Type {
        /// Where the value was to go.
        path: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A value of the right type that makes no sense.
    #[error("`{path}` = {value} is out of range: {allowed}")]
    Range {
        /// The dotted key.
        path: String,
        /// The value as it is.
        value: String,
        /// What would be valid, as a phrase ("must be 1 or more").
        allowed: String,
    },
    /// A command line override without `=`, or with nothing before it.
    #[error("`{0}` is not an override; write KEY=VALUE, for example `seed=7`")]
    NotAnOverride(String),
    /// A patch file that cannot be read or is not TOML.
    #[error("patch file {}: {message}", path.display())]
    PatchFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        message: String,
    },
    /// A name that stands for nothing; the valid ones are listed.
    #[error("unknown {what} `{name}`; valid: {valid}")]
    Name {
        /// What was looked up: "table", "scale".
        what: &'static str,
        /// The name as it was given.
        name: String,
        /// The valid names, separated by commas.
        valid: String,
    },
    /// A row of a table whose configuration is invalid.
    #[error("row \"{row}\" of table `{table}` is invalid")]
    Row {
        /// The table.
        table: String,
        /// The row.
        row: String,
        /// What is wrong with it.
        #[source]
        source: Box<ConfigError>,
    },
    /// Any other mistake, said by the program that owns the configuration.
    #[error("{0}")]
    Other(String),
}

impl ConfigError {
    /// A value out of range: `ConfigError::range("pretrain.steps", 0, "must be 1 or more")`.
    pub fn range(path: &str, value: impl ToString, allowed: &str) -> Self {
        Self::Range { path: path.to_owned(), value: value.to_string(), allowed: allowed.to_owned() }
    }
}

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or directory that cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// "read", "write", "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A JSON file that does not hold what it should.
    #[error("{} is damaged; move it away to have it made again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Two different stages that would share a directory.
    #[error("{} belongs to another stage ({found}); use another --runs directory", path.display())]
    Collision {
        /// The directory.
        path: PathBuf,
        /// The identity recorded in it.
        found: String,
    },
    /// A stage that another process is running.
    #[error("stage {stage} is being run by another process ({holder}); wait for it, or use another --runs directory")]
    Locked {
        /// The stage's name.
        stage: String,
        /// Who holds the lock.
        holder: String,
    },
    /// A runs directory in which a run is at work, when its stages were to be removed.
    #[error("a run is at work under {}; remove nothing there before its end", .0.display())]
    AtWork(PathBuf),
    /// A score that is not a number.
    #[error("score `{0}` is not a finite number; a stage that cannot be scored should fail and say why")]
    Score(String),
    /// A score stage that did not write the value a column asks for.
    #[error("stage {stage} wrote no score `{key}`; it wrote: {found}")]
    NoScore {
        /// The stage's name.
        stage: String,
        /// The key the column asks for.
        key: String,
        /// The keys that are there.
        found: String,
    },
    /// A directory that cannot be compared with another.
    #[error("{} {reason}", path.display())]
    Compare {
        /// The directory or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A stage that a chain leads to and that is not there.
    #[error("{} has no manifest; run the table again, or give the right --runs directory", .0.display())]
    Missing(PathBuf),
    /// A record whose numbers do not say where they are from.
    #[error("{} does not say which stages its numbers are from; run its command again", .0.display())]
    NoStages(PathBuf),
    /// The run was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}

/// An error and its causes, one line per cause.
pub(crate) fn lines(error: &dyn std::error::Error) -> String {
    let mut lines = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push_str(&format!("\n  because {error}"));
        cause = error.source();
    }
    lines
}

/// What a stage returns when it stopped early because it was asked to ([`crate::StageRun::check`] makes one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;
