//! The record of a stage's run: what it was made from, by which command and code, when, and whether it is done.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{read_json, write_json};

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Started and not ended: at work, or killed.
    Running,
    /// Stopped when asked to; a second run continues it.
    Interrupted,
    /// Ended with an error; a second run tries again.
    Failed,
    /// Finished: its outputs are complete and are reused.
    Done,
}

/// The state of the source tree a program was built from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Whether tracked files had uncommitted changes.
    pub dirty: bool,
}

impl Git {
    /// From what `git describe --always --abbrev=40 --exclude=* --dirty` prints; `None` of nothing, as outside a repository.
    ///
    /// A build script asks while a program is compiled (`experiments/build.rs`), so that a program says what it is and not what the
    /// directory has become that it is run in.
    pub fn described(text: &str) -> Option<Self> {
        let (commit, dirty) = text.strip_suffix("-dirty").map_or((text, false), |commit| (commit, true));
        (!commit.is_empty()).then(|| Self { commit: commit.to_owned(), dirty })
    }
}

/// What a program was built from and what it computes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// The source tree, where that was a repository and the program [says so](Git::described).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// The SHA-256 of the lock file that names the version of every dependency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<String>,
    /// Features of the build that change how it computes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl Build {
    /// The build from a lock file of this text, for a kind of device, with those of the features that are on.
    pub fn new(lock_file: &str, device: &str, features: &[(&str, bool)]) -> Self {
        Self {
            git: None,
            lock_file: Some(vocable_files::sha256(lock_file)),
            features: features.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()).collect(),
            device: Some(device.to_owned()),
        }
    }
}

impl fmt::Display for Build {
    /// The parts that are known, such as "lock file 0123456789, device flex, features mpi".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lock_file = self.lock_file.as_ref().map(|hash| format!("lock file {hash:.10}"));
        let device = self.device.as_ref().map(|device| format!("device {device}"));
        let features = (!self.features.is_empty()).then(|| format!("features {}", self.features.join(" ")));
        let known: Vec<String> = [lock_file, device, features].into_iter().flatten().collect();
        f.write_str(&known.join(", "))
    }
}

/// Who makes a result: the command and the code. The same for all stages of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command line, program name first, without its directory.
    pub command: String,
    /// The version of the program.
    pub version: String,
    /// Processor cores available.
    pub cores: usize,
    /// What the program was built from.
    #[serde(flatten)]
    pub build: Build,
}

impl Provenance {
    /// This process's, for a program of the given version, build and command line.
    pub fn of_this_process(command: String, version: &str, build: Build) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Self { command, version: version.to_owned(), cores, build }
    }
}

/// The content of a stage's `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where the stage stands.
    pub status: Status,
    /// The kind of work.
    pub kind: String,
    /// The version of the code contract.
    pub contract: u32,
    /// The stage's full identity.
    pub identity: String,
    /// The hash of its resolved configuration alone.
    pub config_hash: String,
    /// The directories of the input stages, by the name the stage knows them by.
    pub inputs: BTreeMap<String, String>,
    /// When its first run began (UTC, RFC 3339).
    pub started: String,
    /// When its last run began.
    pub resumed: String,
    /// When its last run ended; `None` while it runs.
    pub ended: Option<String>,
    /// Wall time over all its runs, in seconds. Of a run that was killed, up to the last file it wrote.
    pub wall_seconds: f64,
    /// How many runs it took so far.
    pub runs: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether this is a stage of an [archive](crate::archive::archive), with thin curves, a part of its exhibits and no checkpoints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// Outputs that were too large to keep there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The command and the code of its last run.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Manifest {
    /// The file's name in a stage directory.
    pub const FILE: &'static str = "manifest.json";

    /// Reads a stage directory's manifest; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn read(dir: &Path) -> Result<Option<Self>, Error> {
        read_json(&dir.join(Self::FILE))
    }

    /// Writes it, atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        write_json(&dir.join(Self::FILE), self)
    }
}

/// This moment in UTC, RFC 3339, to the second.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_tree_is_a_commit_with_or_without_changes() {
        let git = |commit: &str, dirty| Some(Git { commit: commit.to_owned(), dirty });
        assert_eq!(Git::described("b453ea9"), git("b453ea9", false));
        assert_eq!(Git::described("b453ea9-dirty"), git("b453ea9", true));
        assert_eq!(Git::described(""), None);
    }
}
