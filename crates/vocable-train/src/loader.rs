//! Batches ahead of their turn, on threads of their own.
//!
//! The order of the batches is a function of the recipe, so every thread knows which are its own: the n-th of them goes
//! to thread n modulo their number, each thread has a queue, and the step takes from them in turn. Neither the order nor
//! anything else depends on timing.

use std::collections::HashMap;
use std::iter;
use std::panic;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

use serde::{Deserialize, Serialize};

use crate::{Batch, BatchId, ObjectiveError};

/// How batches are prepared: a matter of time, memory and patience alone, the results of a run that ends do not depend on
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loading {
    /// Batches that are ready or in work ahead of the one in use; 0 prepares each when its turn comes.
    pub ahead: usize,
    /// Threads that prepare them, apart from those that compute.
    pub threads: usize,
    /// Bytes of validation batches that are kept from one validation to the next.
    pub kept: usize,
    /// Files that may turn out to be unusable while the run goes on: what needs them is left out of its batches, and named
    /// in the records. One more ends the run.
    pub bad_files: usize,
}

impl Default for Loading {
    /// Four batches ahead, one thread, a quarter of a gigabyte of validation batches, ten bad files.
    fn default() -> Self {
        Self { ahead: 4, threads: 1, kept: 256 << 20, bad_files: 10 }
    }
}

/// A batch, or why there is none.
pub(crate) type Loaded<T> = Result<Arc<Batch<T>>, ObjectiveError>;

/// Gives batches in their order.
pub(crate) enum Loader<'scope, T> {
    /// Prepares each when it is asked for.
    Inline(Box<dyn FnMut() -> Loaded<T> + 'scope>),
    /// Takes each from the thread whose turn it is.
    Ahead { threads: Vec<(Receiver<Loaded<T>>, ScopedJoinHandle<'scope, ()>)>, turn: usize },
}

impl<'scope, T: Send + Sync + 'scope> Loader<'scope, T> {
    /// Begins with the first of `order`; `prepare` makes a batch.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        loading: Loading,
        order: impl Iterator<Item = BatchId> + Clone + Send + 'scope,
        prepare: impl Fn(BatchId) -> Result<Batch<T>, ObjectiveError> + Clone + Send + 'scope,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept { batches: HashMap::new(), room: loading.kept }));
        let load = move |id| Kept::load(&kept, id, &prepare);
        if loading.ahead == 0 {
            let mut order = order;
            return Self::Inline(Box::new(move || load(order.next().expect("no batch is left to load"))));
        }
        let count = loading.threads.clamp(1, loading.ahead);
        let threads = (0..count).map(|thread| {
            // What is sent and what the thread holds until there is room for it make up the batches ahead.
            let (sender, receiver) = sync_channel((loading.ahead - thread).div_ceil(count) - 1);
            let (own, load) = (order.clone().skip(thread).step_by(count), load.clone());
            let work = move || {
                for id in own {
                    if sender.send(load(id)).is_err() {
                        // The run has ended.
                        break;
                    }
                }
            };
            (receiver, scope.spawn(work))
        });
        Self::Ahead { threads: threads.collect(), turn: 0 }
    }

    /// The next batch of the order; waits until it is ready.
    ///
    /// # Panics
    /// With the panic of a thread that died preparing it, or behind the end of the order.
    pub(crate) fn next(&mut self) -> Loaded<T> {
        match self {
            Self::Inline(load) => load(),
            Self::Ahead { threads, turn } => {
                let index = *turn % threads.len();
                *turn += 1;
                match threads[index].0.recv() {
                    Ok(loaded) => loaded,
                    Err(_) => match threads.swap_remove(index).1.join() {
                        Err(payload) => panic::resume_unwind(payload),
                        Ok(()) => panic!("no batch is left to load"),
                    },
                }
            }
        }
    }
}

/// Validation batches that are kept.
struct Kept<T> {
    batches: HashMap<usize, Arc<Batch<T>>>,
    /// Bytes that more of them may take.
    room: usize,
}

impl<T> Kept<T> {
    fn load(
        kept: &Mutex<Self>,
        id: BatchId,
        prepare: &impl Fn(BatchId) -> Result<Batch<T>, ObjectiveError>,
    ) -> Loaded<T> {
        let BatchId::Valid(index) = id else { return Ok(Arc::new(prepare(id)?)) };
        let lock = || kept.lock().expect("nothing panics under this lock");
        if let Some(batch) = lock().batches.get(&index) {
            return Ok(Arc::clone(batch));
        }
        let batch = Arc::new(prepare(id)?);
        let mut kept = lock();
        if let Some(room) = kept.room.checked_sub(batch.bytes) {
            kept.room = room;
            kept.batches.insert(index, Arc::clone(&batch));
        }
        Ok(batch)
    }
}

/// The batches of a run from update `start` on, in their order: those of each update, then those of the validation that
/// follows it, if `validated` says that one does.
pub(crate) fn order(
    start: usize,
    updates: usize,
    micro_batches: usize,
    validation_batches: usize,
    validated: impl Fn(usize) -> bool + Clone + Send,
) -> impl Iterator<Item = BatchId> + Clone + Send {
    (start..updates).flat_map(move |update| {
        let train = (0..micro_batches).map(move |micro| BatchId::Train { update, micro });
        let held_out = if validated(update + 1) { validation_batches } else { 0 };
        iter::chain(train, (0..held_out).map(BatchId::Valid))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn batch(data: usize) -> Batch<usize> {
        Batch { data, utterances: Vec::new(), sequences: Vec::new(), bytes: 100, left_out: Vec::new() }
    }

    #[test]
    fn validation_follows_the_updates_it_is_due_after() {
        let [train, valid] = [|update, micro| BatchId::Train { update, micro }, |batch, _| BatchId::Valid(batch)];
        let ids: Vec<BatchId> = order(1, 4, 2, 3, |done| done % 2 == 0).collect();
        let mut expected = vec![train(1, 0), train(1, 1), valid(0, 0), valid(1, 0), valid(2, 0)];
        expected.extend([train(2, 0), train(2, 1), train(3, 0), train(3, 1), valid(0, 0), valid(1, 0), valid(2, 0)]);
        assert_eq!(ids, expected);
    }

    #[test]
    fn batches_come_in_order_and_not_too_many_ahead() {
        for (ahead, threads) in [(0, 1), (1, 1), (4, 1), (4, 3), (2, 8), (5, 2)] {
            let begun = AtomicUsize::new(0);
            let prepare = |id| {
                let BatchId::Train { update, .. } = id else { panic!("{id:?}") };
                begun.fetch_add(1, Ordering::SeqCst);
                if update == 7 { Err("gone".into()) } else { Ok(batch(update)) }
            };
            thread::scope(|scope| {
                let loading = Loading { ahead, threads, kept: 0, bad_files: 0 };
                let mut loader = Loader::start(scope, loading, order(0, 20, 1, 0, |_| false), prepare);
                for taken in 0..15 {
                    match loader.next() {
                        Ok(batch) => assert_eq!(batch.data, taken),
                        Err(error) => assert_eq!((taken, error.to_string().as_str()), (7, "gone")),
                    }
                    thread::sleep(Duration::from_millis(2));
                    let begun = begun.load(Ordering::SeqCst);
                    assert!(begun <= taken + 1 + ahead, "{begun} begun when {} were taken, {loading:?}", taken + 1);
                }
            });
        }
    }

    #[test]
    fn validation_batches_are_kept_as_far_as_there_is_room() {
        let made = AtomicUsize::new(0);
        let prepare = |id| {
            let BatchId::Valid(index) = id else { return Ok(batch(99)) };
            made.fetch_add(1, Ordering::SeqCst);
            Ok(batch(index))
        };
        thread::scope(|scope| {
            let loading = Loading { ahead: 2, threads: 2, kept: 250, bad_files: 0 };
            let mut loader = Loader::start(scope, loading, order(0, 3, 1, 4, |_| true), prepare);
            for _ in 0..3 {
                let data: Vec<usize> = (0..5).map(|_| loader.next().unwrap().data).collect();
                assert_eq!(data, [99, 0, 1, 2, 3]);
            }
        });
        // Two of the four fit.
        assert_eq!(made.load(Ordering::SeqCst), 2 + 3 * 2);
    }
}
