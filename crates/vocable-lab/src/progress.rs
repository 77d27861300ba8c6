//! How far a stage is: a bar on a terminal, a line now and then otherwise, or what was asked for.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A bar that moves.
    Tui,
    /// A line now and then.
    Plain,
    /// An object a line, for programs.
    Json,
    /// Not at all.
    None,
}

impl Style {
    /// Every style with its name.
    pub const ALL: [(&str, Self); 4] =
        [("tui", Self::Tui), ("plain", Self::Plain), ("json", Self::Json), ("none", Self::None)];

    /// A bar on a terminal, lines otherwise.
    pub fn of_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Tui } else { Self::Plain }
    }

    /// How often a line is printed; none where there are no lines.
    fn line_every(self) -> Option<Duration> {
        match self {
            Self::Plain => Some(Duration::from_secs(10)),
            Self::Json => Some(Duration::from_secs(1)),
            Self::Tui | Self::None => None,
        }
    }

    /// Says what happens to a stage, which may be the one with this number of so many that are to run.
    pub(crate) fn say(self, place: Option<(usize, usize)>, stage: &str, what: &str) {
        let (number, of) = place.unzip();
        match (self, place) {
            (Self::Tui | Self::Plain, Some((number, of))) => say(format!("[{number}/{of}] {stage}: {what}")),
            (Self::Tui | Self::Plain, None) => say(format!("{stage}: {what}")),
            (Self::Json, _) => say(json!({ "stage": stage, "number": number, "of": of, "status": what })),
            (Self::None, _) => {}
        }
    }
}

/// Says a line on standard error. Where nobody listens any more, the work goes on all the same.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Shows a stage's progress on standard error. Positions are absolute, so a resumed loop just goes on counting.
pub struct Progress {
    stage: String,
    style: Style,
    task: Mutex<Option<Task>>,
}

struct Task {
    label: String,
    total: u64,
    begun: Instant,
    /// When the first step was seen and where it stood then, so that a resumed loop's speed is not overestimated.
    first: Option<(Instant, u64)>,
    printed: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// A reporter for the stage of this name.
    pub fn new(stage: String, style: Style) -> Self {
        Self { stage, style, task: Mutex::new(None) }
    }

    /// A reporter that shows nothing.
    pub fn hidden() -> Self {
        Self::new(String::new(), Style::None)
    }

    /// Begins a task of `total` steps ("steps", "files"); ends the one before.
    pub fn start(&self, total: u64, label: &str) {
        self.finish();
        let bars = self.style == Style::Tui;
        let target = if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
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
        let (since, first) = *task.first.get_or_insert((Instant::now(), n));
        let due = |every| n == task.total || task.printed.elapsed() >= every;
        if !self.style.line_every().is_some_and(due) {
            return;
        }
        task.printed = Instant::now();
        let elapsed = task.begun.elapsed().as_secs_f64();
        let done = n - first.min(n);
        let left =
            (done > 0).then(|| since.elapsed().as_secs_f64() * task.total.saturating_sub(n) as f64 / done as f64);
        let (stage, label, total) = (&self.stage, &task.label, task.total);
        if self.style == Style::Json {
            let message = message.to_string();
            let line = json!({
                "stage": stage, "done": n, "total": total, "what": label, "seconds": elapsed, "left": left,
                "message": message,
            });
            say(line);
        } else {
            let left = left.map(|left| format!(", {} left", seconds(left))).unwrap_or_default();
            say(format!("  {stage}: {n}/{total} {label} ({}{left}) {message}", seconds(elapsed)));
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

/// What a duration is expected to be: "about 48 s", "under 1 s".
pub(crate) fn about(expected: f64) -> String {
    let duration = seconds(expected);
    if duration.starts_with("under") { duration } else { format!("about {duration}") }
}

/// How many of what that is: "1 stage", "2 stages".
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
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
        assert_eq!([0.2, 48.0].map(about), ["under 1 s", "about 48 s"]);
        assert_eq!([0, 1, 2].map(|number| counted(number, "stage")), ["0 stages", "1 stage", "2 stages"]);
    }
}
