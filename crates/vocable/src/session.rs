//! What all commands share: how they end, what they say on the way, the files they are given and those they write.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tempfile::NamedTempFile;
use vocable_files::destination;

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
    #[arg(required = true, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
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

    /// The name of the file without its folder and its extension.
    pub fn stem(&self) -> &OsStr {
        self.path.file_stem().unwrap_or_default()
    }

    /// Samples of the recording at `rate` Hz, one at least, and its duration in seconds.
    pub fn samples(&self, rate: u32) -> Result<(Vec<f32>, f64), String> {
        let named =
            |error: vocable_audio::AudioError| error.to_string().replace(&self.path.display().to_string(), &self.name);
        let audio = vocable_audio::read(&self.path).map_err(named)?;
        let (seconds, count) = (audio.seconds(), audio.samples.len());
        let samples = match audio.rate == rate {
            true => audio.samples,
            false => vocable_audio::resample(&audio.samples, audio.rate, rate),
        };
        match samples.is_empty() {
            true => {
                Err(format!("{}: {count} samples at {} Hz are too few for one at {rate} Hz", self.name, audio.rate))
            }
            false => Ok((samples, seconds)),
        }
    }
}

impl Recordings {
    /// What such names stand for.
    pub fn named(files: Vec<String>) -> Self {
        Self { files }
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
                let wrong = |error: &dyn Display| Unusable(format!("{file}: no such file, nor a glob: {error}"));
                let found: Result<Vec<PathBuf>, _> = glob::glob(file).map_err(|error| wrong(&error))?.collect();
                let found = found.map_err(|error| wrong(&error))?;
                inputs.extend(found.into_iter().filter(|path| path.is_file()).map(Input::of));
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

/// Links to folders are not followed: one to a folder above would be for ever.
fn recordings_in(folder: &Path) -> Result<Vec<PathBuf>, Unusable> {
    let mut found = Vec::new();
    let failed = |error: std::io::Error| Unusable(format!("{}: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        if path.is_dir() {
            if !path.is_symlink() {
                found.extend(recordings_in(&path)?);
            }
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
            can_be_file(to)?;
            let outputs = Self(vec![to.into()]);
            return outputs.beside(inputs);
        }
        can_be_folder(to)?;
        let name = |input: &Input| match &input._kept {
            Some(_) => to.join("stdin").with_extension(extension),
            None => to.join(input.stem()).with_added_extension(extension),
        };
        let paths: Vec<PathBuf> = inputs.iter().map(name).collect();
        let mut taken = HashMap::new();
        for (number, path) in paths.iter().enumerate() {
            if let Some(other) = taken.insert(path, number) {
                let (one, two) = (&inputs[other].name, &inputs[number].name);
                return Err(Unusable(format!("{one} and {two} would both be written to {}", path.display())));
            }
        }
        std::fs::create_dir_all(to).map_err(|error| Unusable(format!("{}: {error}", to.display())))?;
        Self(paths).beside(inputs)
    }

    /// Refuses results that would take the place of a file that is read beside the inputs.
    pub fn spare(&self, read: &Path) -> Result<(), Unusable> {
        self.0.iter().try_for_each(|output| apart(read, output))
    }

    /// None of the results may take the place of an input.
    fn beside(self, inputs: &[Input]) -> Result<Self, Unusable> {
        let real = |path: &PathBuf| path.canonicalize().ok();
        let inputs: HashSet<PathBuf> = inputs.iter().filter_map(|input| real(&input.path)).collect();
        match self.0.iter().find(|path| real(path).is_some_and(|path| inputs.contains(&path))) {
            None => Ok(self),
            Some(path) => Err(Unusable(format!("{}: the result would overwrite the recording", path.display()))),
        }
    }

    /// Refuses outputs of two kinds that would be one file.
    pub fn apart_from(&self, others: &Self) -> Result<(), Unusable> {
        let taken: HashSet<PathBuf> = self.0.iter().map(|path| place(path)).collect();
        match others.0.iter().find(|path| taken.contains(&place(path))) {
            None => Ok(()),
            Some(path) => Err(Unusable(format!("{}: two results would be written to it", path.display()))),
        }
    }

    /// The file of the input of that number.
    pub fn of(&self, number: usize) -> &Path {
        &self.0[number]
    }
}

/// Whether both paths lead to the same file or folder, whether it is there or not.
pub fn same_place(one: &Path, other: &Path) -> bool {
    place(one) == place(other)
}

/// Refuses a result that would take the place of what is read.
pub fn apart(read: &Path, output: &Path) -> Result<(), Unusable> {
    match same_place(read, output) {
        true => Err(Unusable(format!("{}: the result would overwrite what is read; name another", output.display()))),
        false => Ok(()),
    }
}

/// Where a path leads to, whether it is there or not; in a folder that is not there, the path itself.
fn place(path: &Path) -> PathBuf {
    vocable_data::files::place(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses a path where no file can be made, before anything takes time.
pub fn can_be_file(path: &Path) -> Result<(), Unusable> {
    let wrong = |message: &str| Err(Unusable(format!("{}: {message}", path.display())));
    if path.is_dir() || path.file_name().is_none() || path.as_os_str().to_string_lossy().ends_with('/') {
        return wrong("it is a folder, where the name of a file is expected");
    }
    if !vocable_files::folder(path).is_dir() {
        return wrong("its folder does not exist; make it first");
    }
    destination(path).map(drop).or_else(|error| wrong(&error.to_string()))
}

/// Refuses a path where no folder can be made.
pub fn can_be_folder(path: &Path) -> Result<(), Unusable> {
    match path.ancestors().find(|path| path.exists()) {
        Some(file) if !file.is_dir() => {
            Err(Unusable(format!("{}: {} is a file, where a folder is expected", path.display(), file.display())))
        }
        _ => Ok(()),
    }
}

/// Prints a line. Whoever reads no further (`head`) has seen enough, and the program ends; what cannot be written otherwise, as on a
/// full disk, ends it as a failure.
pub fn say(line: impl Display) {
    say_bytes(format!("{line}\n").as_bytes());
}

/// The same with text that has its ends of lines.
pub fn say_bytes(text: &[u8]) {
    if !printed(text) {
        std::process::exit(0);
    }
}

/// Prints text that has its ends of lines, and says whether anyone still reads it.
fn printed(text: &[u8]) -> bool {
    let mut out = std::io::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
        Err(error) => {
            eprintln!("error: standard output: {error}");
            std::process::exit(1);
        }
    }
}

/// Shows that something goes on as long as it lives, where someone is looking.
pub struct Waiting(ProgressBar);

impl Waiting {
    /// For what the program is doing.
    pub fn new(doing: &'static str) -> Self {
        // Without a terminal nothing is drawn.
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a fixed template");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Something that a user should know.
    pub fn warn(&self, warning: &str) {
        self.0.suspend(|| eprintln!("warning: {warning}"));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Prints results, counts failures, and shows how far it is where someone is looking.
pub struct Reporter {
    json: bool,
    /// Whether the results are files, which are made whether anyone reads what is printed of them or not.
    files: bool,
    bar: Option<ProgressBar>,
    failed: usize,
}

impl Reporter {
    /// For `count` inputs whose results are what is printed; `json` prints objects.
    pub fn new(json: bool, count: usize) -> Self {
        let watched = count > 1 && std::io::stderr().is_terminal();
        let bar = watched.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta:>4}").expect("a fixed template");
            ProgressBar::new(count as u64).with_style(style)
        });
        Self { json, files: false, bar, failed: 0 }
    }

    /// For `count` inputs whose results are files.
    pub fn of_files(json: bool, count: usize) -> Self {
        Self { files: true, ..Self::new(json, count) }
    }

    /// A result: its object, or its line for readers.
    pub fn done(&self, object: &Value, line: &str) {
        let text = if self.json { format!("{object}\n") } else { format!("{line}\n") };
        self.print(|| {
            if self.files {
                printed(text.as_bytes());
            } else {
                say_bytes(text.as_bytes());
            }
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
