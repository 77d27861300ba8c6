//! Checkpoints: weights, optimiser state and position of a run, whole or not there.
//!
//! ```text
//! checkpoints/step-000200/
//!     model.safetensors      the weights
//!     optimiser.safetensors  Adam's moments, by parameter name
//!     state.json             update, seed, length of the records, best so far
//!     SHA256SUMS             of the three, in the format of `sha256sum --check`
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use serde::{Deserialize, Serialize};
use vocable_files::{sha256, sync_directory};

use crate::average::Average;
use crate::config::{Outcome, TrainConfig};
use crate::{Optimiser, ScaleState, TrainError};

const MODEL: &str = "model.safetensors";
const OPTIMISER: &str = "optimiser.safetensors";
const STATE: &str = "state.json";
const SUMS: &str = "SHA256SUMS";

/// Where a run stands, apart from weights and moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Number of updates done or skipped.
    pub update: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Length of the file of records when the checkpoint was saved.
    pub metrics_bytes: u64,
    /// How many updates in a row were skipped up to now.
    pub skipped_in_a_row: usize,
    /// The best validation so far.
    pub best: Option<BestSoFar>,
    /// Why utterances were left out of batches up to now; each reason once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// The scale of the loss, where it is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScaleState>,
}

/// The best validation of a run so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Number of updates done when it was measured, which names its checkpoint.
    pub update: usize,
    /// The number.
    pub value: f64,
}

/// A checkpoint that was read and agrees with its checksums.
pub struct Checkpoint {
    /// Its directory.
    pub path: PathBuf,
    /// Where the run stood.
    pub state: State,
    model: Vec<u8>,
    optimiser: Vec<u8>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] where a file is missing or altered, [`TrainError::Io`] where one cannot be read: the checkpoint
    /// may be intact then.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let damaged = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let read = |name: &str| {
            let file = path.join(name);
            fs::read(&file).map_err(|error| match error.kind() {
                ErrorKind::NotFound => damaged(format!("cannot read {name}: {error}")),
                _ => TrainError::io("read", &file)(error),
            })
        };
        let sums = String::from_utf8(read(SUMS)?).map_err(|_| damaged(format!("{SUMS} is not text")))?;
        let sums: BTreeMap<&str, &str> =
            sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
        let checked = |name: &str| {
            let bytes = read(name)?;
            match sums.get(name) {
                Some(&sum) if sum == sha256(&bytes) => Ok(bytes),
                Some(_) => Err(damaged(format!("{name} does not match its checksum ({} bytes)", bytes.len()))),
                None => Err(damaged(format!("{SUMS} does not list {name}"))),
            }
        };
        let state = serde_json::from_slice(&checked(STATE)?).map_err(|error| damaged(format!("{STATE}: {error}")))?;
        Ok(Self { path: path.to_path_buf(), state, model: checked(MODEL)?, optimiser: checked(OPTIMISER)? })
    }

    /// The module with the checkpoint's weights.
    ///
    /// # Errors
    /// A parameter that is not in the file or has another shape there, a tensor that is none of the module's.
    pub fn restore_model<M: Module>(&self, module: M) -> Result<M, TrainError> {
        weights_into(module, &self.path.join(MODEL), self.model.clone())
    }

    /// Gives the optimiser the checkpoint's moments.
    ///
    /// # Errors
    /// Moments that are not those of the module's parameters.
    pub fn restore_optimiser<M: Module>(&self, module: &M, optimiser: &mut Optimiser) -> Result<(), TrainError> {
        optimiser
            .load(module, &self.optimiser)
            .map_err(|reason| TrainError::Weights { path: self.path.join(OPTIMISER), reason })
    }
}

/// Writes a module's weights as safetensors, beside and then renamed. Equal weights give equal bytes.
///
/// # Errors
/// What the file system refuses.
pub fn save_model<M: Module>(module: &M, path: &Path) -> Result<(), TrainError> {
    vocable_files::write(path, weights_of(module)).map_err(TrainError::io("write", path))
}

/// Reads weights written by [`save_model`].
///
/// # Errors
/// A file that cannot be read or is not safetensors; a parameter that is not in it or has another shape there, a tensor that is
/// none of the module's.
pub fn load_model<M: Module>(module: M, path: &Path) -> Result<M, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
    weights_into(module, path, bytes)
}

fn weights_of<M: Module>(module: &M) -> Vec<u8> {
    // Burn's own metadata comes out of a hash map in any order; one entry keeps the bytes reproducible.
    let mut store =
        SafetensorsStore::from_bytes(None).clear_metadata().metadata("format", "pt").skip_enum_variants(true);
    module.save_into(&mut store).and_then(|()| store.get_bytes()).expect("weights in memory are serialised")
}

fn weights_into<M: Module>(mut module: M, path: &Path, bytes: Vec<u8>) -> Result<M, TrainError> {
    let wrong = |reason: String| TrainError::Weights { path: path.to_path_buf(), reason };
    let mut store =
        SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true).allow_partial(true).validate(false);
    let result = module.load_from(&mut store).map_err(|error| wrong(format!("not a safetensors file: {error}")))?;
    if let Some(error) = result.errors.first() {
        return Err(wrong(error.to_string()));
    }
    if let Some((name, _)) = result.missing.first() {
        return Err(wrong(format!("the model's parameter {name} is not in the file")));
    }
    if let Some(name) = result.unused.first() {
        return Err(wrong(format!("the model has no parameter {name}")));
    }
    Ok(module)
}

/// Writes a new file and waits until the disk has it.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create(path).map_err(TrainError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::io("write", path))
}

/// Writes and syncs the files of a checkpoint and their checksums.
fn write_files(directory: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), TrainError> {
    let mut sums = String::new();
    for (name, bytes) in files {
        write_synced(&directory.join(name), bytes)?;
        sums += &format!("{}  {name}\n", sha256(bytes));
    }
    write_synced(&directory.join(SUMS), sums.as_bytes())?;
    sync_directory(directory).map_err(TrainError::io("sync", directory))
}

/// The checkpoints of one run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    /// Those in `directory`, which belongs to another process and may be at work: nothing is made or removed.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// Opens `directory`, creating it if need be, and removes what an interrupted write left there.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open(directory: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(directory).map_err(TrainError::io("create the directory", directory))?;
        let checkpoints = Self::at(directory);
        for name in checkpoints.names()? {
            if name.starts_with(".step-") {
                let path = directory.join(name);
                fs::remove_dir_all(&path).map_err(TrainError::io("remove", &path))?;
            }
        }
        Ok(checkpoints)
    }

    /// Where the checkpoint of an update is, if it was saved and kept.
    pub fn path(&self, update: usize) -> PathBuf {
        self.directory.join(format!("step-{update:06}"))
    }

    /// Updates that have a checkpoint, intact or not, in ascending order.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn updates(&self) -> Result<Vec<usize>, TrainError> {
        let mut updates: Vec<usize> =
            self.names()?.iter().filter_map(|name| name.strip_prefix("step-")?.parse().ok()).collect();
        updates.sort_unstable();
        Ok(updates)
    }

    /// Saves a checkpoint: written beside, synced to disk, renamed.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save<M: Module>(&self, module: &M, optimiser: &Optimiser, state: &State) -> Result<PathBuf, TrainError> {
        let update = state.update;
        let path = self.path(update);
        let beside = self.directory.join(format!(".step-{update:06}.new"));
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(TrainError::io("remove", &beside))?;
        }
        fs::create_dir(&beside).map_err(TrainError::io("create the directory", &beside))?;
        let state = serde_json::to_vec_pretty(state).expect("the state is plain data");
        let files = [(MODEL, weights_of(module)), (OPTIMISER, optimiser.to_bytes()), (STATE, state)];
        write_files(&beside, &files).inspect_err(|_| {
            // A full disk needs its room back; what remains is removed by the next run.
            let _ = fs::remove_dir_all(&beside);
        })?;
        self.remove(update)?;
        fs::rename(&beside, &path).map_err(TrainError::io("rename to", &path))?;
        sync_directory(&self.directory).map_err(TrainError::io("sync", &self.directory))?;
        Ok(path)
    }

    /// The newest checkpoint that agrees with its checksums, `None` when there is none at all.
    ///
    /// Damaged ones that are newer are reported with the reason and set aside as `damaged-step-…`.
    ///
    /// # Errors
    /// What the file system refuses, a checkpoint that cannot be read among it: it may be intact, and nothing is set aside. That
    /// all are damaged: starting over silently would throw a run away.
    pub fn newest_intact(&self, mut damaged: impl FnMut(&Path, &str)) -> Result<Option<Checkpoint>, TrainError> {
        let mut newer = Vec::new();
        for update in self.updates()?.into_iter().rev() {
            let path = self.path(update);
            match Checkpoint::read(&path) {
                Ok(checkpoint) => {
                    for path in newer {
                        self.set_aside(path)?;
                    }
                    return Ok(Some(checkpoint));
                }
                Err(TrainError::Checkpoint { reason, .. }) => {
                    damaged(&path, &reason);
                    newer.push(path);
                }
                Err(error) => return Err(error),
            }
        }
        if newer.is_empty() {
            return Ok(None);
        }
        Err(TrainError::Checkpoint {
            path: self.directory.clone(),
            reason: format!("none of the {} checkpoints is intact; remove them to start over", newer.len()),
        })
    }

    /// The result of a finished run of `config` whose last weights are `module`'s.
    ///
    /// # Errors
    /// A checkpoint that the outcome needs is missing, damaged or cannot be read.
    pub fn outcome<M: Module>(&self, config: &TrainConfig, module: M) -> Result<M, TrainError> {
        let read = |update: usize| Checkpoint::read(&self.path(update));
        match &config.outcome {
            Outcome::Last => Ok(module),
            Outcome::Best(_) => match read(config.updates)?.state.best {
                Some(best) => read(best.update)?.restore_model(module),
                None => {
                    Err(self.nothing("no validation of the run gave a finite number to choose the best checkpoint by"))
                }
            },
            Outcome::Mean { checkpoints } => {
                let mut average = Average::default();
                let updates = self.regular(config)?;
                if updates.is_empty() {
                    return Err(self.nothing("the run saved no checkpoint to take the mean of"));
                }
                for update in updates.into_iter().rev().take(*checkpoints) {
                    average.add(&read(update)?.restore_model(module.clone())?);
                }
                Ok(average.into_module(module))
            }
        }
    }

    fn nothing(&self, reason: &str) -> TrainError {
        let reason = format!("{reason}; take the last weights with outcome.kind=last");
        TrainError::Checkpoint { path: self.directory.clone(), reason }
    }

    /// Removes all but the newest checkpoint, of those that an uninterrupted run of `config` saves the newest
    /// [`TrainConfig::keep_last`], and the best that any of these knows: a run that falls back on an older one has it.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn prune(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let (updates, regular) = (self.updates()?, self.regular(config)?);
        let last = &regular[regular.len().saturating_sub(config.keep_last)..];
        let kept: BTreeSet<usize> = last.iter().chain(updates.last()).copied().collect();
        let best = kept.iter().map(|&update| self.best_known_to(update)).collect::<Result<Vec<_>, _>>()?;
        for update in updates {
            if !kept.contains(&update) && !best.contains(&Some(update)) {
                self.remove(update)?;
            }
        }
        Ok(())
    }

    /// The update of the best checkpoint when that of `update` was saved; a damaged one knows none.
    fn best_known_to(&self, update: usize) -> Result<Option<usize>, TrainError> {
        let path = self.path(update).join(STATE);
        let state = match fs::read(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(TrainError::io("read", &path)(error)),
            state => state.ok().and_then(|state| serde_json::from_slice::<State>(&state).ok()),
        };
        Ok(state.and_then(|state| state.best).map(|best| best.update))
    }

    /// Updates that have a checkpoint whether or not the run was interrupted, in ascending order.
    fn regular(&self, config: &TrainConfig) -> Result<Vec<usize>, TrainError> {
        Ok(self.updates()?.into_iter().filter(|&update| config.saves_after(update)).collect())
    }

    /// Removes the checkpoint of an update if there is one; half removed, it is no longer under its name.
    fn remove(&self, update: usize) -> Result<(), TrainError> {
        let path = self.path(update);
        if !path.exists() {
            return Ok(());
        }
        let old = self.directory.join(format!(".step-{update:06}.old"));
        fs::rename(&path, &old).map_err(TrainError::io("rename", &path))?;
        fs::remove_dir_all(&old).map_err(TrainError::io("remove", &old))
    }

    fn set_aside(&self, path: PathBuf) -> Result<(), TrainError> {
        let name = path.file_name().expect("a checkpoint has a name").to_string_lossy();
        let aside = self.directory.join(format!("damaged-{name}"));
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(TrainError::io("remove", &aside))?;
        }
        fs::rename(&path, &aside).map_err(TrainError::io("rename", &path))
    }

    fn names(&self) -> Result<Vec<String>, TrainError> {
        let entries = fs::read_dir(&self.directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(TrainError::io("list", &self.directory))?;
        Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::parameters;
    use crate::testing::{Tiny, config};

    fn state(update: usize) -> State {
        State {
            update,
            seed: 1,
            metrics_bytes: 7,
            skipped_in_a_row: 0,
            best: Some(BestSoFar { update: 3, value: 0.5 }),
            left_out: BTreeSet::from(["a.wav: no such file".to_owned()]),
            loss_scale: Some(ScaleState { scale: 8.0, good: 3 }),
        }
    }

    fn saved(updates: &[usize]) -> (tempfile::TempDir, Checkpoints) {
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(directory.path()).unwrap();
        for &update in updates {
            let optimiser = Optimiser::new(&config().optimiser);
            checkpoints.save(&Tiny::new(update as u64), &optimiser, &state(update)).unwrap();
        }
        (directory, checkpoints)
    }

    #[test]
    fn a_checkpoint_gives_back_what_was_saved() {
        let (_directory, checkpoints) = saved(&[12]);
        let checkpoint = checkpoints.newest_intact(|_, reason| panic!("{reason}")).unwrap().unwrap();
        assert_eq!(checkpoint.state, state(12));
        let model = checkpoint.restore_model(Tiny::new(99)).unwrap();
        assert_eq!(weights_of(&model), weights_of(&Tiny::new(12)));
        assert!(parameters(&model).iter().all(|parameter| parameter.trainable && parameter.device.is_autodiff()));
    }

    #[test]
    fn every_kind_of_damage_is_named_and_the_one_before_is_used() {
        let cut = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        };
        let flip = |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        let remove = |path: &Path| fs::remove_file(path).unwrap();
        type Harm<'a> = (&'a str, &'a dyn Fn(&Path));
        let harms: [Harm; 3] = [("cut", &cut), ("flipped", &flip), ("removed", &remove)];
        for (harm, apply) in harms {
            for name in [MODEL, OPTIMISER, STATE, SUMS] {
                let (directory, checkpoints) = saved(&[5, 10]);
                apply(&checkpoints.path(10).join(name));
                let mut reports = Vec::new();
                let intact = checkpoints
                    .newest_intact(|path, reason| reports.push((path.to_path_buf(), reason.to_owned())))
                    .unwrap()
                    .unwrap();
                assert_eq!(intact.state.update, 5, "{name} {harm}");
                assert_eq!(reports.len(), 1);
                assert_eq!(reports[0].0, checkpoints.path(10));
                // A harmed list of sums may still be right about the first file, never about all.
                assert!(name == SUMS || reports[0].1.contains(name), "{name} {harm}: {}", reports[0].1);
                assert_eq!(checkpoints.updates().unwrap(), [5]);
                assert!(directory.path().join("damaged-step-000010").is_dir());
            }
        }
    }

    #[test]
    fn a_run_whose_checkpoints_are_all_damaged_does_not_start_over() {
        let (_directory, checkpoints) = saved(&[5, 10]);
        for update in [5, 10] {
            fs::remove_file(checkpoints.path(update).join(STATE)).unwrap();
        }
        let error = checkpoints.newest_intact(|_, _| {}).err().unwrap().to_string();
        assert!(error.contains("none of the 2 checkpoints"), "{error}");
        assert_eq!(checkpoints.updates().unwrap(), [5, 10], "nothing is moved");
    }

    #[test]
    fn a_checkpoint_that_cannot_be_read_is_an_error_and_no_damage() {
        for name in [MODEL, OPTIMISER, STATE, SUMS] {
            let (_directory, checkpoints) = saved(&[5, 10]);
            // A folder is there and cannot be read as a file, by whomever.
            let file = checkpoints.path(10).join(name);
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
            let error = checkpoints.newest_intact(|_, reason| panic!("{reason}")).unwrap_err();
            assert!(matches!(&error, TrainError::Io { path, .. } if *path == file), "{name}: {error}");
            // Nor does anyone know then which is the best, and nothing is removed.
            let pruned = checkpoints.prune(&TrainConfig { keep_last: 1, checkpoint_every: 5, ..config() });
            assert_eq!(pruned.is_err(), name == STATE, "{name}");
            let left: &[usize] = if name == STATE { &[5, 10] } else { &[10] };
            assert_eq!(checkpoints.updates().unwrap(), left, "{name}");
        }
    }

    #[test]
    fn what_an_interrupted_write_left_is_not_a_checkpoint() {
        let (directory, checkpoints) = saved(&[5]);
        let half = directory.path().join(".step-000010.new");
        fs::create_dir(&half).unwrap();
        fs::write(half.join(MODEL), b"half").unwrap();
        assert_eq!(checkpoints.updates().unwrap(), [5]);
        Checkpoints::open(directory.path()).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn the_newest_and_the_best_that_they_know_are_kept() {
        let (_directory, checkpoints) = saved(&[1, 2, 3, 4, 5, 6]);
        let optimiser = Optimiser::new(&config().optimiser);
        let save = |update, best| {
            let best = Some(BestSoFar { update: best, value: 0.1 });
            checkpoints.save(&Tiny::new(1), &optimiser, &State { best, ..state(update) }).unwrap();
            checkpoints.prune(&TrainConfig { keep_last: 1, checkpoint_every: 2, ..config() }).unwrap();
            checkpoints.updates().unwrap()
        };
        // Should 7 turn out to be damaged, the run goes on from 6, whose best is 3.
        assert_eq!(save(7, 7), [3, 6, 7]);
        assert_eq!(save(8, 7), [7, 8]);
        assert_eq!(save(9, 7), [7, 8, 9]);
    }

    #[test]
    fn saving_again_replaces() {
        let (directory, checkpoints) = saved(&[5]);
        let optimiser = Optimiser::new(&config().optimiser);
        checkpoints.save(&Tiny::new(77), &optimiser, &state(5)).unwrap();
        let checkpoint = Checkpoint::read(&checkpoints.path(5)).unwrap();
        assert_eq!(checkpoint.model, weights_of(&Tiny::new(77)));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_a_clear_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoints");
        fs::write(&path, b"").unwrap();
        let error = Checkpoints::open(&path).unwrap_err().to_string();
        assert!(error.contains("create the directory") && error.contains("checkpoints"), "{error}");
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("weights.safetensors");
        save_model(&Tiny::new(1), &path).unwrap();
        let mut more = Tiny::new(2);
        more.heads.push(Tiny::new(3).heads.remove(0));
        let error = load_model(more, &path).unwrap_err().to_string();
        assert!(error.contains("heads.1 is not in the file"), "{error}");
        let mut fewer = Tiny::new(2);
        fewer.heads.clear();
        let error = load_model(fewer, &path).unwrap_err().to_string();
        assert!(error.contains("no parameter heads.0"), "{error}");
        let mut other = Tiny::new(2);
        other.hidden = Tiny::new(3).heads.remove(0);
        let error = load_model(other, &path).unwrap_err().to_string();
        assert!(error.contains("hidden"), "{error}");
        fs::write(&path, b"not weights").unwrap();
        let error = load_model(Tiny::new(1), &path).unwrap_err().to_string();
        assert!(error.contains("weights.safetensors: not a safetensors file"), "{error}");
    }
}
