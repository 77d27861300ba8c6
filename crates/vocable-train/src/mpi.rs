//! Ranks that are processes of an MPI job, on one machine or several.

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use crate::ranks::Ranks;

/// The processes that `mpirun` started together.
///
/// If one of them dies, `mpirun` ends the others and says which one it was; what is saved continues.
pub struct Mpi {
    world: SimpleCommunicator,
    /// MPI ends when this is dropped.
    _universe: Universe,
}

impl Mpi {
    /// Joins the job; `None` if MPI was started in this process before. Collectives must come from the thread that calls
    /// this.
    pub fn start() -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(Self { world: universe.world(), _universe: universe })
    }

    /// Ends the whole job, the other ranks too, with this exit status.
    pub fn abort(&self, status: i32) -> ! {
        self.world.abort(status)
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
