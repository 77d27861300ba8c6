//! What all commands share: how they end, what they say on the way, the files they are given and those they write.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tempfile::NamedTempFile;

/// Why a command cannot begin: options, a model or files that do not fit. The program says it in a line and exits 2.
#[derive(Debug)]
pub struct Unusable(pub String);

impl<E: std::error::Error> From<E> for Unusable {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// How a command ends.
pub type Ending = Result<ExitCode, Unusable>;

/// Standard input's name among the files.
const STANDARD_INPUT: &str = "-";

/// Recordings.
#[derive(Args)]
pub struct Recordings {
    /// Recordings (WAV, FLAC, Ogg Vorbis; any rate): files, folders with all that is in them, globs, or - for standard
    /// input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

/// A file as it was named.
pub struct Input {
    /// What the user calls it.
    pub name: String,
    path: PathBuf,
    /// Standard input is kept in a file while it is in use.
    _kept: Option<NamedTempFile>,
}

impl Input {
    fn of(path: PathBuf) -> Self {
        Self { name: path.display().to_string(), path, _kept: None }
    }

    /// Samples of the recording at `rate` Hz, and its duration in seconds.
    pub fn samples(&self, rate: u32) -> Result<(Vec<f32>, f64), String> {
        let named =
            |error: vocable_audio::AudioError| error.to_string().replace(&self.path.display().to_string(), &self.name);
        let audio = vocable_audio::read(&self.path).map_err(named)?;
        let seconds = audio.seconds();
        let samples = match audio.rate == rate {
            true => audio.samples,
            false => vocable_audio::resample(&audio.samples, audio.rate, rate),
        };
        Ok((samples, seconds))
    }
}

impl Recordings {
    /// What one name stands for.
    pub fn one(name: &str) -> Self {
        Self { files: vec![name.into()] }
    }

    /// The files one by one: folders and globs in the order of their names. A file that is missing is an input like the
    /// others, which will fail.
    pub fn expand(&self) -> Result<Vec<Input>, Unusable> {
        let mut inputs = Vec::new();
        for file in &self.files {
            let path = Path::new(file);
            let before = inputs.len();
            if file == STANDARD_INPUT {
                inputs.push(standard_input()?);
            } else if path.is_dir() {
                inputs.extend(recordings_in(path)?.into_iter().map(Input::of));
            } else if !path.exists() && file.contains(['*', '?', '[']) {
                let found: Result<Vec<PathBuf>, _> = glob::glob(file)?.collect();
                inputs.extend(found?.into_iter().filter(|path| path.is_file()).map(Input::of));
            } else {
                inputs.push(Input::of(path.into()));
            }
            if inputs.len() == before {
                return Err(Unusable(format!("{file}: no recording there")));
            }
        }
        Ok(inputs)
    }
}

fn standard_input() -> Result<Input, Unusable> {
    let mut kept = NamedTempFile::new()?;
    std::io::copy(&mut std::io::stdin().lock(), &mut kept)?;
    kept.flush()?;
    Ok(Input { name: "standard input".into(), path: kept.path().into(), _kept: Some(kept) })
}

/// All of standard input as text.
pub fn standard_text() -> Result<String, Unusable> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| Unusable(format!("standard input: {error}")))?;
    Ok(text)
}

fn recordings_in(folder: &Path) -> Result<Vec<PathBuf>, Unusable> {
    let mut found = Vec::new();
    let failed = |error: std::io::Error| Unusable(format!("{}: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        if path.is_dir() {
            found.extend(recordings_in(&path)?);
        } else if extension.is_some_and(|extension| ["wav", "flac", "ogg"].iter().any(|known| extension == *known)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where results of several inputs go: one file for one input, else files of the inputs' names in a folder.
pub struct Outputs(Vec<PathBuf>);

impl Outputs {
    /// Names them. A folder is one that exists, has a trailing slash, or is needed for several inputs.
    pub fn new(to: &Path, inputs: &[Input], extension: &str) -> Result<Self, Unusable> {
        let folder = to.is_dir() || to.as_os_str().to_string_lossy().ends_with('/') || inputs.len() > 1;
        if !folder {
            return Ok(Self(vec![to.into()]));
        }
        let name = |input: &Input| match &input._kept {
            Some(_) => to.join("stdin").with_extension(extension),
            None => to.join(input.path.file_stem().unwrap_or_default()).with_added_extension(extension),
        };
        let paths: Vec<PathBuf> = inputs.iter().map(name).collect();
        for (number, path) in paths.iter().enumerate() {
            if let Some(other) = paths[..number].iter().position(|other| other == path) {
                let (one, two) = (&inputs[other].name, &inputs[number].name);
                return Err(Unusable(format!("{one} and {two} would both be written to {}", path.display())));
            }
        }
        std::fs::create_dir_all(to).map_err(|error| Unusable(format!("{}: {error}", to.display())))?;
        Ok(Self(paths))
    }

    /// The file of the input of that number.
    pub fn of(&self, number: usize) -> &Path {
        &self.0[number]
    }
}

/// Prints results, counts failures, and shows how far it is where someone is looking.
pub struct Reporter {
    json: bool,
    bar: Option<ProgressBar>,
    failed: usize,
}

impl Reporter {
    /// For `count` inputs; `json` prints objects.
    pub fn new(json: bool, count: usize) -> Self {
        let watched = count > 1 && std::io::stderr().is_terminal();
        let bar = watched.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta:>4}").expect("a fixed template");
            ProgressBar::new(count as u64).with_style(style)
        });
        Self { json, bar, failed: 0 }
    }

    /// A result: its object, or its line for readers.
    pub fn done(&self, object: &Value, line: &str) {
        self.print(|| {
            let text = if self.json { object.to_string() } else { line.to_owned() };
            // A reader that has gone away is no fault of ours.
            let _ = writeln!(std::io::stdout(), "{text}");
        });
    }

    /// An input that failed.
    pub fn failed(&mut self, error: &str) {
        self.failed += 1;
        self.print(|| eprintln!("error: {error}"));
    }

    /// Something that a user should know.
    pub fn warn(&self, warning: &str) {
        self.print(|| eprintln!("warning: {warning}"));
    }

    /// Another input is behind us.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Exit code 1 where an input failed.
    pub fn finish(self) -> ExitCode {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        ExitCode::from(u8::from(self.failed > 0))
    }

    fn print(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
