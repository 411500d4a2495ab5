//! Which batch comes next.

use crate::random::Gaussian;

/// An endless sequence of batches: every epoch is a seeded permutation of all of them, so that
/// neighbours in the sequence (pivots of one step) get different ones.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    seed: u64,
    batches: usize,
    epoch: Option<u64>,
    order: Vec<usize>,
}

/// Streams from here on, so that they are not those of directions and probes of the same seed.
const STREAMS: u64 = 1 << 40;

impl Draw {
    /// The sequence of a seed over so many batches.
    pub fn new(seed: u64, batches: usize) -> Self {
        Self { seed, batches, epoch: None, order: Vec::new() }
    }

    /// `count` batches from a place in the sequence on.
    pub fn take(&mut self, first: u64, count: usize) -> Vec<usize> {
        (first..first + count as u64).map(|place| self.at(place)).collect()
    }

    fn at(&mut self, place: u64) -> usize {
        let (epoch, index) = (place / self.batches as u64, place % self.batches as u64);
        if self.epoch != Some(epoch) {
            let mut keys = vec![0.0_f64; self.batches];
            Gaussian::new(self.seed, STREAMS + epoch).fill(0, &mut keys);
            self.order = (0..self.batches).collect();
            self.order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
            self.epoch = Some(epoch);
        }
        usize::try_from(index).map_or(0, |index| self.order[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_batch_once_and_can_be_entered_anywhere() {
        let mut draw = Draw::new(3, 7);
        let whole = draw.take(0, 21);
        for epoch in whole.chunks(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_ne!(whole[..7], whole[7..14]);
        assert_eq!(Draw::new(3, 7).take(9, 8), whole[9..17]);
        assert_ne!(Draw::new(4, 7).take(0, 21), whole);
    }
}
