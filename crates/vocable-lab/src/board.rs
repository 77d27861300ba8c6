//! Which stages of a plan are done, at work and left, for those who work on it side by side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::plan::{Plan, State};
use crate::progress::{Style, about, counted, say, seconds};
use crate::runner::Outcome;
use crate::stage::Stage;

/// How one stage ended.
#[derive(Debug)]
pub enum End {
    /// It ran to its end.
    Done,
    /// Another process had done it meanwhile.
    Reused,
    /// It was asked to stop.
    Interrupted,
    /// It could not be done, for this reason.
    Failed(String),
}

/// The plan, handed out stage by stage: each once, when its inputs are done.
pub struct Board<'p> {
    plan: &'p Plan,
    /// How many work on it.
    jobs: usize,
    /// How they say so.
    style: Style,
    /// How many stages were not done at the start.
    open: usize,
    places: HashMap<&'p str, usize>,
    status: Mutex<Status>,
    changed: Condvar,
}

struct Status {
    stages: Vec<Place>,
    begun: usize,
    /// Estimated and real seconds of what has ended well.
    estimated: f64,
    real: f64,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open {
        partial: bool,
    },
    AtWork,
    Done,
    /// Failed, or something it needs did, or it was interrupted.
    Lost,
}

/// A stage to work on.
pub struct Task<'p> {
    index: usize,
    /// The stage.
    pub stage: &'p Stage,
    /// Its number among those that are to run, for messages.
    number: usize,
    /// Whether it has been begun before.
    pub partial: bool,
}

impl<'p> Board<'p> {
    /// A plan whose stages are in these states, for as many as `jobs` at a time.
    pub fn new(plan: &'p Plan, states: &[State], jobs: usize, style: Style) -> Self {
        let place = |state: &State| match state {
            State::Done(_) | State::Kept(_) => Place::Done,
            State::Partial => Place::Open { partial: true },
            State::ToDo => Place::Open { partial: false },
        };
        let stages: Vec<Place> = states.iter().map(place).collect();
        let reused = stages.iter().filter(|place| **place == Place::Done).count();
        let mut outcome = Outcome::default();
        outcome.reused = reused;
        let board = Self {
            plan,
            jobs,
            style,
            open: stages.len() - reused,
            places: plan.stages().iter().enumerate().map(|(index, stage)| (stage.identity(), index)).collect(),
            status: Mutex::new(Status { stages, begun: 0, estimated: 0.0, real: 0.0, outcome }),
            changed: Condvar::new(),
        };
        let (_, left) = board.left(&board.status());
        let (all, open) = (plan.stages().len(), board.open);
        match style {
            Style::Tui | Style::Plain => {
                say(format!("{}: {reused} done before, {open} to run, {}", counted(all, "stage"), about(left)));
            }
            Style::Json => say(json!({ "stages": all, "reused": reused, "left": seconds(left) })),
            Style::None => {}
        }
        board
    }

    /// How progress is shown.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Says what happens to a stage.
    pub fn say(&self, task: &Task, what: &str) {
        self.style.say(Some((task.number, self.open)), &task.stage.name(), what);
    }

    /// The next stage; waits while what is left needs what others work on. None when there is nothing left to begin.
    pub fn next(&self, interrupt: &AtomicBool) -> Option<Task<'p>> {
        let mut status = self.status();
        loop {
            self.skip(&mut status);
            let is_open = |place: &Place| matches!(place, Place::Open { .. });
            if !status.stages.iter().any(is_open) {
                return None;
            }
            if interrupt.load(Ordering::Relaxed) {
                status.outcome.interrupted = true;
                return None;
            }
            let ready = |index: usize| self.inputs(index).all(|input| status.stages[input] == Place::Done);
            let next = (0..status.stages.len()).find(|&index| is_open(&status.stages[index]) && ready(index));
            let Some(index) = next else {
                // Somebody is at work, for inputs come first: where nobody is, a stage is ready or lost.
                status = self.changed.wait(status).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let partial = status.stages[index] == Place::Open { partial: true };
            status.stages[index] = Place::AtWork;
            status.begun += 1;
            let stage = &*self.plan.stages()[index];
            return Some(Task { index, stage, number: status.begun, partial });
        }
    }

    /// Says how a stage ended that took so many seconds.
    pub fn ended(&self, task: &Task, end: End, took: f64) {
        let Task { index, stage, .. } = task;
        let mut status = self.status();
        status.stages[*index] = if matches!(end, End::Done | End::Reused) { Place::Done } else { Place::Lost };
        // Before anything is said, so that no one who waits depends on it.
        self.changed.notify_all();
        match end {
            End::Done => {
                status.estimated += stage.cost().seconds;
                status.real += took;
                status.outcome.ran.push(stage.name());
                let left = match self.left(&status) {
                    (0, _) => String::new(),
                    (count, left) => format!("; {count} left, {}", about(left)),
                };
                self.say(task, &format!("done in {}{left}", seconds(took)));
            }
            End::Reused => {
                self.say(task, "done meanwhile by another process");
                status.outcome.reused += 1;
            }
            End::Interrupted => {
                self.say(task, "interrupted");
                status.outcome.interrupted = true;
            }
            End::Failed(message) => {
                self.say(task, &format!("failed: {message}"));
                let reason = format!("{} failed: {message}", stage.name());
                status.outcome.lose(stage, reason);
                status.outcome.failed.push((stage.name(), message));
            }
        }
    }

    /// How it went.
    pub fn outcome(self) -> Outcome {
        self.status.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }

    /// Gives up what needs something that is lost.
    fn skip(&self, status: &mut Status) {
        // Inputs come before what reads them, so one pass is enough.
        for (index, stage) in self.plan.stages().iter().enumerate() {
            if !matches!(status.stages[index], Place::Open { .. }) {
                continue;
            }
            if self.inputs(index).any(|input| status.stages[input] == Place::Lost) {
                status.stages[index] = Place::Lost;
                let cause = stage.inputs().iter().find_map(|(_, input)| status.outcome.reason(input));
                // Without a reason it was interrupted.
                if let Some(cause) = cause.map(str::to_owned) {
                    self.style.say(None, &stage.name(), &format!("skipped, {cause}"));
                    status.outcome.lose(stage, cause);
                }
            }
        }
    }

    fn inputs(&self, index: usize) -> impl Iterator<Item = usize> {
        self.plan.stages()[index].inputs().iter().map(|(_, input)| self.places[input.identity()])
    }

    /// How many stages are left, and about how long they take: estimates, corrected by what those so far were off by.
    fn left(&self, status: &Status) -> (usize, f64) {
        let left = self.plan.stages().iter().zip(&status.stages);
        let left = left.filter(|(_, place)| matches!(place, Place::Open { .. } | Place::AtWork));
        let (count, estimated) = left.fold((0, 0.0), |sum, (stage, _)| (sum.0 + 1, sum.1 + stage.cost().seconds));
        let known = status.estimated > 0.0 && status.real > 0.0;
        let correction = if known { status.real / status.estimated } else { 1.0 };
        (count, estimated * correction / self.jobs as f64)
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
