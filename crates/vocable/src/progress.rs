//! How far a long step is: a bar on a terminal, a line per tenth elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use vocable_data::readers::Progress;

/// Progress on standard error.
#[derive(Default)]
pub struct Console(Mutex<Option<Step>>);

struct Step {
    name: String,
    files: usize,
    done: usize,
    /// None where standard error is not a terminal.
    bar: Option<ProgressBar>,
}

impl Console {
    /// Ends the current step, if any, so that what is printed next starts on a line of its own.
    pub fn finish(&self) {
        if let Some(bar) = self.0.lock().expect("no thread panics here").take().and_then(|step| step.bar) {
            bar.abandon();
        }
    }
}

impl Progress for Console {
    fn step(&self, name: &str, files: usize) {
        self.finish();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:<16} {wide_bar} {pos}/{len} {eta:>4}");
            let bar = ProgressBar::new(files as u64).with_style(style.expect("a fixed template"));
            bar.with_message(name.to_owned())
        });
        if bar.is_none() {
            eprintln!("{name}: {files} files");
        }
        *self.0.lock().expect("no thread panics here") = Some(Step { name: name.to_owned(), files, done: 0, bar });
    }

    fn done(&self) {
        let mut step = self.0.lock().expect("no thread panics here");
        let Some(step) = step.as_mut() else { return };
        step.done += 1;
        match &step.bar {
            Some(bar) => bar.inc(1),
            None if step.done * 10 / step.files > (step.done - 1) * 10 / step.files => {
                eprintln!("{}: {} of {}", step.name, step.done, step.files);
            }
            None => {}
        }
    }
}
