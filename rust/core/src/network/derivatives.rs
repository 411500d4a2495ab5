//! What gradients and products with second derivatives share: blocks of samples, and sums of
//! vectors over them that have the same bits on any number of threads.
//!
//! Blocks are put together in groups whose number depends on the network and the data alone. A
//! group adds up its blocks in their order in the network's precision; groups are added in f64.

use rayon::prelude::*;

use crate::error::Error;
use crate::network::data::Block;
use crate::network::dataset_loss::{DatasetLoss, Statistics};
use crate::network::kernel::Real;
use crate::network::pass::Moments;
use crate::network::threads::threads;

/// Bytes that a block's values and derivatives may take: they should stay in a processor's cache.
const BLOCK_BYTES: usize = 2 << 20;
/// The most panels of a block: by then sums over lanes cost little.
const BLOCK_PANELS: usize = 16;
/// The most groups: as many threads can share a point.
const GROUPS: usize = 32;
/// Blocks that a group has at least, where there are enough: adding its vector costs as much as a part
/// of a block.
const LEAST: usize = 2;
/// Groups that each thread has before their vectors are added.
const WAVE: usize = 4;
/// Entries that a thread adds at a time.
const PIECE: usize = 1 << 12;
/// Bytes that the groups' vectors may take together.
const GROUP_BYTES: usize = 256 << 20;

/// The blocks of a pass over samples.
pub(crate) struct Blocks<'a, T> {
    pub blocks: Vec<Block<'a, T>>,
    pub moments: Moments,
}

impl<T: Real> DatasetLoss<T> {
    /// All samples, or one batch of the split, in blocks that fit a cache; a batch that is
    /// normalised by itself is one block.
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
        let panels = (BLOCK_BYTES / bytes.max(1)).clamp(1, BLOCK_PANELS);
        let blocks = data.iter().flat_map(|data| match moments {
            Moments::Stored => data.blocks(panels),
            Moments::Batch => data.blocks(data.panels()),
        });
        Ok(Blocks { blocks: blocks.collect(), moments })
    }
}

/// How many blocks make a group, for sums of vectors of this many numbers in all.
pub(crate) fn blocks_per_group<T: Real>(blocks: usize, numbers: usize) -> usize {
    let affordable = GROUP_BYTES / (numbers * size_of::<T>()).max(1);
    let least = (blocks / (GROUPS / 4)).min(LEAST);
    blocks.div_ceil(GROUPS.min(affordable.max(1))).max(least).max(1)
}

/// Σ over groups of what `share` adds to a zeroed vector and returns, the vector in f64.
pub(crate) fn sum_over_groups<T: Real, B: Sync>(
    blocks: &[B],
    numbers: usize,
    share: impl Fn(&[B], &mut [T]) -> Result<f64, Error> + Sync,
) -> Result<(f64, Vec<f64>), Error> {
    let groups: Vec<_> = blocks.chunks(blocks_per_group::<T>(blocks.len(), numbers)).collect();
    // Vectors of a few groups at a time: those of all would leave the caches.
    let wave = if threads() == 1 { 1 } else { WAVE * threads() }.min(groups.len());
    let mut vectors = vec![T::ZERO; wave * numbers.max(1)];
    let mut sums = (0.0, vec![0.0; numbers]);
    for groups in groups.chunks(wave.max(1)) {
        let vectors = vectors.par_chunks_mut(numbers.max(1)).take(groups.len());
        let found: Result<Vec<_>, Error> = vectors
            .zip(groups)
            .map(|(vector, group)| {
                vector.fill(T::ZERO);
                let sum = share(group, &mut vector[..numbers])?;
                Ok((sum, &vector[..numbers]))
            })
            .collect();
        let found = found?;
        for (sum, _) in &found {
            sums.0 += sum;
        }
        let pieces = sums.1.par_chunks_mut(PIECE).enumerate();
        pieces.for_each(|(index, totals)| {
            for (_, vector) in &found {
                for (total, entry) in totals.iter_mut().zip(&vector[index * PIECE..]) {
                    *total += entry.widen();
                }
            }
        });
    }
    Ok(sums)
}
