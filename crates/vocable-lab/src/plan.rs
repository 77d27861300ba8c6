//! The stages that a set of cells needs, each once, inputs first.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::files::entries;
use crate::grid::Grid;
use crate::manifest::{Manifest, Status};
use crate::progress::{about, counted, seconds};
use crate::stage::Stage;

/// Where a stage's directory stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Finished, after this wall time in seconds; it is reused.
    Done(f64),
    /// Finished likewise, in runs of which only an archive is here: its scores can be used, its large outputs are gone.
    Kept(f64),
    /// Begun; it continues.
    Partial,
    /// Not begun.
    ToDo,
}

impl State {
    /// Whether it has run to its end, here or where an archive was made.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Done(_) | Self::Kept(_))
    }
}

/// Stages in an order in which they can run.
#[derive(Debug, Default)]
pub struct Plan {
    stages: Vec<Arc<Stage>>,
    /// The identity of a stage whose large outputs are wanted, not its scores alone.
    whole: Option<String>,
}

impl Plan {
    /// The given stages and all that they need, each once, inputs before what reads them.
    pub fn new<'s>(goals: impl IntoIterator<Item = &'s Arc<Stage>>) -> Self {
        let mut plan = Self::default();
        let mut seen = HashSet::new();
        for stage in goals {
            plan.add(stage, &mut seen);
        }
        plan
    }

    /// One stage, with all its outputs, and all that it needs.
    pub fn whole(stage: &Arc<Stage>) -> Self {
        Self { whole: Some(stage.identity().to_owned()), ..Self::new([stage]) }
    }

    fn add(&mut self, stage: &Arc<Stage>, seen: &mut HashSet<String>) {
        if seen.insert(stage.identity().to_owned()) {
            for (_, input) in stage.inputs() {
                self.add(input, seen);
            }
            self.stages.push(Arc::clone(stage));
        }
    }

    /// The stages in order.
    pub fn stages(&self) -> &[Arc<Stage>] {
        &self.stages
    }

    /// Their names, in the same order.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.stages.iter().map(|stage| stage.name())
    }

    /// Where each stage stands under a runs directory. One that is only kept is to do where another that is not done reads it.
    ///
    /// # Errors
    /// [`Error`] when a manifest cannot be read.
    pub fn states(&self, runs: &Path) -> Result<Vec<State>, Error> {
        let mut states = self.stages.iter().map(|stage| state(stage, runs)).collect::<Result<Vec<_>, _>>()?;
        let mut read: HashSet<&str> = self.whole.as_deref().into_iter().collect();
        // Readers come after what they read.
        for (stage, state) in self.stages.iter().zip(&mut states).rev() {
            if matches!(state, State::Kept(_)) && read.contains(stage.identity()) {
                *state = State::ToDo;
            }
            if matches!(state, State::Partial | State::ToDo) {
                read.extend(stage.inputs().iter().map(|(_, input)| input.identity()));
            }
        }
        Ok(states)
    }

    /// The plan as a text: stages with steps, parameters, estimated or real time and state, then the totals.
    ///
    /// # Errors
    /// [`Error`] when a manifest cannot be read.
    pub fn text(&self, runs: &Path) -> Result<String, Error> {
        let mut grid = Grid::new();
        for column in ["stage", "inputs", "steps", "parameters", "time", "state"] {
            grid.column(column);
        }
        let states = self.states(runs)?;
        let count = |number: u64| if number == 0 { "—".to_owned() } else { grouped(number) };
        let (mut steps, mut left, mut spent) = (0, 0.0, 0.0);
        for (stage, state) in self.stages.iter().zip(&states) {
            let cost = stage.cost();
            let (time, word) = match state {
                State::Done(wall) => (seconds(*wall), "done"),
                State::Kept(wall) => (seconds(*wall), "kept"),
                State::Partial => (format!("≈ {}", seconds(cost.seconds)), "partial"),
                State::ToDo => (format!("≈ {}", seconds(cost.seconds)), "to do"),
            };
            match state {
                State::Done(wall) | State::Kept(wall) => spent += wall,
                State::Partial | State::ToDo => {
                    steps += cost.steps;
                    left += cost.seconds;
                }
            }
            let inputs = stage.inputs().iter().map(|(_, input)| input.name()).collect::<Vec<_>>().join(" ");
            grid.row(vec![stage.name(), inputs, count(cost.steps), count(cost.parameters), time, word.to_owned()]);
        }
        let done = states.iter().filter(|state| state.is_finished()).count();
        let open = states.len() - done;
        Ok(format!(
            "{}{}: {done} done (took {}), {open} to run (at most {} steps, {})\n",
            grid.text(),
            counted(states.len(), "stage"),
            seconds(spent),
            grouped(steps),
            about(left),
        ))
    }
}

/// The directory of a stage under a runs directory.
pub fn stage_dir(runs: &Path, stage: &Stage) -> PathBuf {
    named_stage_dir(runs, &stage.name())
}

/// The directories of a stage's inputs, by the name the stage knows them by.
pub(crate) fn input_dirs(runs: &Path, stage: &Stage) -> BTreeMap<&'static str, PathBuf> {
    stage.inputs().iter().map(|(name, input)| (*name, stage_dir(runs, input))).collect()
}

/// The directory of the stage of a name under a runs directory.
pub(crate) fn named_stage_dir(runs: &Path, name: &str) -> PathBuf {
    runs.join("stages").join(name)
}

/// The directories of the stages under a runs directory, sorted by name.
pub(crate) fn stage_dirs(runs: &Path) -> Vec<PathBuf> {
    let mut dirs = entries(&runs.join("stages"));
    dirs.retain(|dir| dir.is_dir());
    dirs
}

/// Where a stage stands under a runs directory.
///
/// # Errors
/// [`Error::Collision`] when the directory belongs to another stage; [`Error`] when its manifest cannot be read.
pub fn state(stage: &Stage, runs: &Path) -> Result<State, Error> {
    let dir = stage_dir(runs, stage);
    match Manifest::read(&dir)? {
        None => Ok(State::ToDo),
        Some(manifest) if manifest.identity != stage.identity() => {
            Err(Error::Collision { path: dir, found: manifest.identity })
        }
        Some(manifest) if manifest.status == Status::Done && manifest.left_out.is_empty() => {
            Ok(State::Done(manifest.wall_seconds))
        }
        Some(manifest) if manifest.status == Status::Done => Ok(State::Kept(manifest.wall_seconds)),
        Some(_) => Ok(State::Partial),
    }
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    grouped.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_every_stage_once_and_inputs_first() {
        let leaf = Stage::new("leaf", 1, 0).run(|_| Ok(()));
        let left = Stage::new("left", 1, 0).input("leaf", &leaf).run(|_| Ok(()));
        let right = Stage::new("right", 1, 0).input("leaf", &leaf).run(|_| Ok(()));
        let top = Stage::new("top", 1, 0).input("r", &right).input("l", &left).run(|_| Ok(()));
        // The same stage made again is the same stage.
        let again = Stage::new("left", 1, 0).input("leaf", &leaf).run(|_| Ok(()));
        let plan = Plan::new([&top, &again, &leaf]);
        let kinds: Vec<_> = plan.stages().iter().map(|stage| stage.kind()).collect();
        assert_eq!(kinds, ["leaf", "right", "left", "top"]);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 12, 999, 1000, 154_300_010].map(grouped), ["0", "12", "999", "1,000", "154,300,010"]);
    }
}
