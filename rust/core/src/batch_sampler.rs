//! The sequence of mini-batches.

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::objective::BatchedObjective;
use crate::random::Gaussian;
use crate::scalar::Scalar;

/// An endless sequence of batch indices: every epoch is a seeded permutation, so that neighbours in
/// the sequence (the pivots of one step) get different batches. Any position can be computed directly.
#[derive(Clone, Debug)]
pub(crate) struct BatchSampler {
    seed: u64,
    batches: usize,
    epoch: Option<u64>,
    order: Vec<usize>,
}

/// The first random stream of epochs, disjoint from those of directions and probes of one seed.
const STREAMS: u64 = 1 << 40;

/// The number of mini-batches of an objective.
///
/// # Errors
/// [`Error::Invalid`] where there is none, [`Error::Memory`] where their order does not fit.
pub(crate) fn require_batches<S: Scalar>(
    objective: &dyn BatchedObjective<S>,
) -> Result<usize, Error> {
    let batches = objective.batches()?;
    validate_batches(batches)?;
    Ok(batches)
}

/// # Errors
/// As those of [`require_batches`].
pub(crate) fn validate_batches(batches: usize) -> Result<(), Error> {
    require!(batches > 0, "got an objective of 0 mini-batches; pass one of 1 or more");
    require_memory::<f64>(&format!("the order of {batches} mini-batches"), &[batches, 2]).map(drop)
}

/// # Errors
/// [`Error::Invalid`] unless an objective has the dimension and the mini-batches that a search began
/// with.
pub(crate) fn require_same_batches<S: Scalar>(
    dim: usize,
    objective: &dyn BatchedObjective<S>,
    expected: usize,
) -> Result<(), Error> {
    let given = objective.dim();
    require!(
        given == dim,
        "got a problem of {given} dimensions for vectors of {dim} entries; pass the one that the \
         solver was created for"
    );
    let batches = objective.batches()?;
    require!(
        batches == expected,
        "got an objective of {batches} mini-batches for a search that began with {expected}; pass \
         the one that it began with"
    );
    Ok(())
}

impl BatchSampler {
    /// The sequence of a seed over so many batches.
    pub fn new(seed: u64, batches: usize) -> Self {
        Self { seed, batches, epoch: None, order: Vec::new() }
    }

    /// `count` batches from position `first` of the sequence.
    pub fn take(&mut self, first: u64, count: usize) -> Vec<usize> {
        (0..count as u64)
            .map(|index| first.saturating_add(index))
            .map(|position| self.at(position))
            .collect()
    }

    fn at(&mut self, position: u64) -> usize {
        let (epoch, index) = (position / self.batches as u64, position % self.batches as u64);
        if self.epoch != Some(epoch) {
            let mut keys = vec![0.0_f64; self.batches];
            Gaussian::new(self.seed, STREAMS.saturating_add(epoch)).fill(0, &mut keys);
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
    fn every_epoch_is_a_permutation_and_can_be_resumed_anywhere() {
        let mut sampler = BatchSampler::new(3, 7);
        let whole = sampler.take(0, 21);
        for epoch in whole.chunks(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_ne!(whole[..7], whole[7..14]);
        assert_eq!(BatchSampler::new(3, 7).take(9, 8), whole[9..17]);
        assert_ne!(BatchSampler::new(4, 7).take(0, 21), whole);
    }
}
