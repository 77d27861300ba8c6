//! How far a stage is: a bar on a terminal, a line now and then otherwise.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a stage's progress on standard error. Positions are absolute, so a resumed loop just goes on counting.
pub struct Progress {
    stage: String,
    terminal: bool,
    task: Mutex<Option<Task>>,
}

struct Task {
    label: String,
    total: u64,
    begun: Instant,
    /// Where it stood at the first step seen, so that a resumed loop's speed is not overestimated.
    first: Option<u64>,
    printed: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// A reporter for the stage of this name; bars if `terminal`, lines otherwise.
    pub fn new(stage: String, terminal: bool) -> Self {
        Self { stage, terminal, task: Mutex::new(None) }
    }

    /// A reporter that shows nothing.
    pub fn hidden() -> Self {
        let this = Self::new(String::new(), true);
        this.begin(0, "", ProgressDrawTarget::hidden());
        this
    }

    /// Begins a task of `total` steps ("steps", "files"); ends the one before.
    pub fn start(&self, total: u64, label: &str) {
        let target = if self.terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        self.begin(total, label, target);
    }

    fn begin(&self, total: u64, label: &str, target: ProgressDrawTarget) {
        self.finish();
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = "  {prefix} {bar:30} {pos}/{len} {elapsed}<{eta} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        bar.set_prefix(label.to_owned());
        let now = Instant::now();
        let task = Task { label: label.to_owned(), total, begun: now, first: None, printed: now, bar };
        *self.lock() = Some(task);
    }

    /// `n` steps are done; `message` says how it goes ("loss 3.21").
    pub fn step(&self, n: u64, message: impl Display) {
        let mut task = self.lock();
        let Some(task) = task.as_mut() else { return };
        task.bar.set_position(n);
        task.bar.set_message(message.to_string());
        let first = *task.first.get_or_insert(n);
        if !self.terminal && (n == task.total || task.printed.elapsed() >= LINE_EVERY) {
            task.printed = Instant::now();
            let elapsed = task.begun.elapsed();
            let left = match n - first.min(n) {
                0 => String::new(),
                done => {
                    let left = elapsed.as_secs_f64() * task.total.saturating_sub(n) as f64 / done as f64;
                    format!(", {} left", seconds(left))
                }
            };
            let (stage, label, total) = (&self.stage, &task.label, task.total);
            eprintln!("  {stage}: {n}/{total} {label} ({}{left}) {message}", seconds(elapsed.as_secs_f64()));
        }
    }

    /// Ends the task that was begun.
    pub fn finish(&self) {
        if let Some(task) = self.lock().take() {
            task.bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Task>> {
        // A panic of a stage between two steps leaves the state usable.
        self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A duration as people say it: "0 s", "48 s", "3 min 20 s", "2 h 5 min".
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 if seconds > 0.0 => "under 1 s".to_owned(),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.2), "under 1 s");
        assert_eq!(seconds(59.4), "59 s");
        assert_eq!(seconds(200.0), "3 min 20 s");
        assert_eq!(seconds(7500.0), "2 h 5 min");
    }

    #[test]
    fn steps_without_a_task_and_after_the_end_are_ignored() {
        let progress = Progress::hidden();
        progress.step(1, "a");
        progress.finish();
        progress.step(2, "b");
    }
}
