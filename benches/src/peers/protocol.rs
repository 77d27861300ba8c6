//! What the driver and its two workers say to each other: a JSON value a line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::job::Job;

/// What the driver asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Build everything; answered by [`Prepared`].
    Prepare(Box<Job>),
    /// Do the work once; answered by [`Run`].
    Run,
}

/// A worker is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// Resident bytes before model and inputs were there.
    pub base: u64,
    /// Numbers in the model.
    pub weights: u64,
    /// What runs.
    pub versions: BTreeMap<String, String>,
}

/// The work was done once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// How long it took.
    pub seconds: f64,
    /// Processor time it took, all threads together.
    pub cpu: f64,
    /// Most resident bytes meanwhile.
    pub peak: u64,
    /// What came out, as named numbers.
    pub outcome: BTreeMap<String, f64>,
}

/// A worker process.
#[derive(Debug)]
pub struct Worker {
    name: &'static str,
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name}: cannot start {}", command.get_program().display()))?;
        let requests = child.stdin.take().expect("piped");
        let replies = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Self { name, child, requests, replies })
    }

    /// Sends a request without waiting for its reply.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        let line = serde_json::to_string(request)?;
        writeln!(self.requests, "{line}").with_context(|| format!("{} has ended", self.name))
    }

    /// Waits for the next reply.
    pub fn reply<R: DeserializeOwned>(&mut self) -> Result<R> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            // Signal 9 is how Linux ends a process for which there is not enough memory.
            bail!("{} has ended without a reply ({})", self.name, self.child.wait()?);
        }
        serde_json::from_str(&line).with_context(|| format!("{}: {line}", self.name))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing is lost with a worker, and one that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
