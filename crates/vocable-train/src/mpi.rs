//! Ranks that are processes of an MPI job, on one machine or several.

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use crate::ranks::Ranks;

/// What a program ends with that panics.
const PANICKED: i32 = 101;

/// The processes that `mpirun` started together.
///
/// If one of them dies or panics, `mpirun` ends the others and says which one it was; what is saved continues.
pub struct Mpi {
    world: SimpleCommunicator,
}

/// Keeps a process in its MPI job; MPI ends when it is dropped. A panic that unwinds through it ends the whole job.
#[must_use = "MPI ends when this is dropped"]
pub struct Joined {
    _universe: Universe,
}

impl Drop for Joined {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others may be exchanging and would wait for this one, which would wait for them at the end of MPI.
            SimpleCommunicator::world().abort(PANICKED);
        }
    }
}

impl Mpi {
    /// Joins the job; `None` if this process joined before. The calling thread is the one that may exchange.
    pub fn join() -> Option<Joined> {
        mpi::initialize_with_threading(Threading::Funneled).map(|(universe, _)| Joined { _universe: universe })
    }

    /// The job that this process has joined, if it has.
    pub fn joined() -> Option<Self> {
        let alive = mpi::environment::is_initialized() && !mpi::environment::is_finalized();
        alive.then(|| Self { world: SimpleCommunicator::world() })
    }
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let length = i32::try_from(bytes.len()).expect("messages are far below 2 GiB");
        let mut lengths = vec![0_i32; self.size()];
        self.world.all_gather_into(&length, &mut lengths[..]);
        let starts: Vec<i32> =
            lengths.iter().scan(0, |next, length| Some(std::mem::replace(next, *next + length))).collect();
        let mut all = vec![0_u8; lengths.iter().sum::<i32>() as usize];
        if all.is_empty() {
            // MPI refuses to move nothing.
            return vec![Vec::new(); lengths.len()];
        }
        self.world.all_gather_varcount_into(bytes, &mut PartitionMut::new(&mut all[..], &lengths[..], &starts[..]));
        let part = |(&start, &length): (&i32, &i32)| all[start as usize..(start + length) as usize].to_vec();
        starts.iter().zip(&lengths).map(part).collect()
    }

    fn sum(&self, values: &mut [f32]) {
        let own = values.to_vec();
        self.world.all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    fn broadcast(&self, values: &mut [f32]) {
        self.world.process_at_rank(0).broadcast_into(values);
    }
}
