//! Sums of parameter vectors over blocks of samples, for gradients and curvature products, with
//! the same bits on any number of threads.
//!
//! Blocks form groups whose number depends on the network and the data alone. A
//! group sums its blocks in order, in the network's precision; groups are summed in f64.

use rayon::prelude::*;

use crate::error::Error;
use crate::network::data::Block;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::kernel::Real;
use crate::network::pass::Moments;
use crate::threads::threads;

/// Bytes of a block's values and derivatives, which should stay in the cache.
const BLOCK_BYTES: usize = 2 << 20;
/// The largest number of panels in a block: at that size, sums over lanes cost little.
const MAX_BLOCK_PANELS: usize = 16;
/// The largest number of groups, and so of threads that can share a point.
const MAX_GROUPS: usize = 32;
/// The smallest number of blocks in a group, if there are enough: adding the vector of a group costs
/// as much as a part of a block.
const MIN_BLOCKS_PER_GROUP: usize = 2;
/// Groups per thread between additions of their vectors.
const GROUPS_PER_THREAD: usize = 4;
/// Entries per task of an addition.
const ENTRIES_PER_TASK: usize = 1 << 12;
/// Bytes that the vectors of all groups may take.
const GROUP_BYTES: usize = 256 << 20;

/// The blocks of a pass over samples.
pub(crate) struct Blocks<'a, T> {
    pub blocks: Vec<Block<'a, T>>,
    pub moments: Moments,
}

impl<T: Real> DatasetLoss<T> {
    /// All samples, or one batch of the split, in blocks that fit the cache. A batch that is
    /// normalised by its own statistics is one block.
    pub(crate) fn blocks(
        &self,
        statistics: Statistics<'_, T>,
        batch: Option<usize>,
    ) -> Result<Blocks<'_, T>, Error> {
        let moments = match statistics {
            Statistics::Stored => Moments::Stored,
            Statistics::Batch => {
                self.check_batches()?;
                Moments::Batch
            }
            Statistics::Recalibrated(_) => {
                return Err(Error::Invalid(
                    "derivatives are not defined for statistics that are re-estimated at every \
                     point; use those of the batch, or the stored ones"
                        .into(),
                ));
            }
        };
        let data = match (batch, moments) {
            (Some(batch), _) => std::slice::from_ref(self.batch(batch)?),
            (None, Moments::Stored) => std::slice::from_ref(&self.whole),
            (None, Moments::Batch) => self.batches(),
        };
        let bytes = self.network.tape_size() * T::LANES * size_of::<T>();
        let panels = (BLOCK_BYTES / bytes.max(1)).clamp(1, MAX_BLOCK_PANELS);
        let blocks = data.iter().flat_map(|data| match moments {
            Moments::Stored => data.blocks(panels),
            Moments::Batch => data.blocks(data.panels()),
        });
        Ok(Blocks { blocks: blocks.collect(), moments })
    }
}

/// Blocks per group, for sums of vectors with `numbers` entries in all.
pub(crate) fn blocks_per_group<T: Real>(blocks: usize, numbers: usize) -> usize {
    let affordable = GROUP_BYTES / (numbers * size_of::<T>()).max(1);
    let least = (blocks / (MAX_GROUPS / 4)).min(MIN_BLOCKS_PER_GROUP);
    blocks.div_ceil(MAX_GROUPS.min(affordable.max(1))).max(least).max(1)
}

/// Sums over groups: of the numbers that `share` returns, and, in f64, of the vectors that it fills.
pub(crate) fn sum_over_groups<T: Real, B: Sync>(
    blocks: &[B],
    numbers: usize,
    share: impl Fn(&[B], &mut [T]) -> Result<f64, Error> + Sync,
) -> Result<(f64, Vec<f64>), Error> {
    let groups: Vec<_> = blocks.chunks(blocks_per_group::<T>(blocks.len(), numbers)).collect();
    // A few groups at a time: the vectors of all of them would not fit the cache.
    let groups_at_once =
        if threads() == 1 { 1 } else { GROUPS_PER_THREAD * threads() }.min(groups.len());
    let mut vectors = vec![T::ZERO; groups_at_once * numbers.max(1)];
    let mut sums = (0.0, vec![0.0; numbers]);
    for groups in groups.chunks(groups_at_once.max(1)) {
        let vectors = vectors.par_chunks_mut(numbers.max(1)).take(groups.len());
        let groups_done: Result<Vec<_>, Error> = vectors
            .zip(groups)
            .map(|(vector, group)| {
                vector.fill(T::ZERO);
                let sum = share(group, &mut vector[..numbers])?;
                Ok((sum, &vector[..numbers]))
            })
            .collect();
        let sums_of_groups = groups_done?;
        for (sum, _) in &sums_of_groups {
            sums.0 += sum;
        }
        let pieces = sums.1.par_chunks_mut(ENTRIES_PER_TASK).enumerate();
        pieces.for_each(|(index, totals)| {
            for (_, vector) in &sums_of_groups {
                for (total, entry) in totals.iter_mut().zip(&vector[index * ENTRIES_PER_TASK..]) {
                    *total += entry.widen();
                }
            }
        });
    }
    Ok(sums)
}
