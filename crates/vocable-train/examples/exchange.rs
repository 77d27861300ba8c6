//! How fast ranks add up their gradients: `mpirun -n 2 target/release/examples/exchange`, built with
//! `cargo build --release -p vocable-train --features mpi --example exchange`. Without `mpirun` or the feature, one process
//! is alone and has nothing to exchange.

use std::time::Instant;

use vocable_train::ranks;

/// Numbers of values: a megabyte, sixteen, and the gradient of 154 million parameters.
const SIZES: [usize; 3] = [1 << 18, 1 << 22, 154_000_000];

/// The buckets of an update.
const BUCKET: usize = 1 << 22;

fn main() {
    #[cfg(feature = "mpi")]
    let _joined = vocable_train::Mpi::join();
    let ranks = ranks::joined();
    for size in SIZES {
        let mut values = vec![ranks.rank() as f32 + 1.0; size];
        let mut best = f64::INFINITY;
        for round in 0..4 {
            let begun = Instant::now();
            values.chunks_mut(BUCKET).for_each(|bucket| ranks.sum(bucket));
            // The first round has the pages and connections to make.
            if round > 0 {
                best = best.min(begun.elapsed().as_secs_f64());
            }
        }
        if ranks.rank() == 0 {
            let megabytes = 4.0 * size as f64 / 1e6;
            println!(
                "{} ranks, {megabytes:.0} MB: {:.1} ms, {:.2} GB/s",
                ranks.size(),
                1e3 * best,
                megabytes / 1e3 / best
            );
        }
    }
}
