//! Which of several endless streams of batches gives the n-th micro-batch.

use rand::seq::SliceRandom;
use vocable_random::Key;

/// A shuffled alternation of streams in fixed proportions.
///
/// Streams are endless (see [`crate::sampler::BatchSampler::at`]), so a small corpus is repeated as often as the large
/// one needs. Draws come in blocks that hold `shares[i]` draws of stream i in keyed random order: proportions are
/// exact after every block, and any draw can be found without those before it.
#[derive(Clone, Debug)]
pub struct Interleave {
    shares: Vec<usize>,
    key: Key,
}

/// One draw of an [`Interleave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The stream that gives this micro-batch.
    pub stream: usize,
    /// Its position in that stream: 0 for the stream's first batch.
    pub position: usize,
}

impl Interleave {
    /// Streams in the proportions `shares`: `[8, 8]` for one to one in blocks of sixteen.
    ///
    /// # Panics
    /// If all shares are zero.
    pub fn new(shares: &[usize], key: Key) -> Self {
        assert!(shares.iter().any(|&share| share > 0), "an interleaving needs a stream with a share above zero");
        Self { shares: shares.to_vec(), key }
    }

    /// The n-th draw.
    pub fn at(&self, n: usize) -> Draw {
        let size: usize = self.shares.iter().sum();
        let (block, offset) = (n / size, n % size);
        let mut order: Vec<usize> =
            self.shares.iter().enumerate().flat_map(|(stream, &share)| std::iter::repeat_n(stream, share)).collect();
        order.shuffle(&mut self.key.fold("interleave").fold(block).rng());
        let stream = order[offset];
        let before = order[..offset].iter().filter(|&&other| other == stream).count();
        Draw { stream, position: block * self.shares[stream] + before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_runs_in_order_and_in_proportion() {
        let streams = Interleave::new(&[8, 16, 0], Key::new(5));
        let mut next = [0; 3];
        let mut changes = 0;
        let mut last = None;
        for n in 0..240 {
            let draw = streams.at(n);
            assert_eq!(draw.position, next[draw.stream], "draw {n}");
            next[draw.stream] += 1;
            changes += usize::from(last.replace(draw.stream) != Some(draw.stream));
        }
        assert_eq!(next, [80, 160, 0]);
        assert!((60..150).contains(&changes), "{changes} changes are not a shuffle");
    }
}
