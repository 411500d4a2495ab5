//! Winograd's minimal filtering: 3 × 3 convolutions F(2 × 2, 3 × 3) and F(4 × 4, 3 × 3).
//!
//! M × M outputs of a 3 × 3 window read a tile d of N × N inputs, N = M + 2. With the filter g they
//! are Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 16 multiplications instead of 36 for M = 2, and 36 instead of 144
//! for M = 4 (Winograd 1980; Lavin & Gray 2016, equations 8 to 10). Sums over channels commute with
//! A, so that N² matrix products remain in between. Errors are those of direct summation for M = 2,
//! and about three times as large for M = 4.
//!
//! Infinite and NaN inputs, and numbers that overflow in a transform, would spread within a tile.
//! Tiles with very large numbers are therefore left to the caller's direct summation.
//!
//! | module | what it holds |
//! |---|---|
//! | `tile` | the matrices Bᵀ, G and Aᵀ of both tile sizes |
//! | `filters` | transformed filters |
//! | `choice` | the tile size with the least work |
//! | `transforms` | transforms of inputs and outputs |

mod choice;
mod filters;
#[cfg(test)]
mod tests;
mod tile;
mod transforms;

use std::marker::PhantomData;

pub(super) use choice::Choice;
use choice::{Size, TileOrigin};
use tile::{Four, Tile, Two};
use transforms::{Inputs, Outputs};

use super::aligned::AlignedScratch;
use super::direct::{DirectProduct, OutputOrder};
use super::epilogue::Epilogue;
use super::micro_tile::{MAX_POINTWISE, TILE_POSITIONS, pointwise};
use super::packing::{Packing, Weights};
use super::real::Real;
use crate::isa::Isa;

/// Bytes of transformed tiles that stay in the L2 cache.
const BLOCK_BYTES: usize = 512 << 10;
/// The largest sum of squares of transformed numbers that is computed with.
const MAX_SQUARES: f64 = 1e30;

/// A convolution of some panels of images.
pub(super) struct Winograd<'a, T> {
    pub packing: &'a Packing,
    pub weights: Weights<'a, T>,
    pub choice: Choice,
    pub panels: usize,
    /// `[panel][channel][position][lane]`.
    pub x: &'a [T],
    pub epilogue: &'a Epilogue<'a, T>,
}

impl<T: Real> Winograd<'_, T> {
    /// Computes y except for some columns, whose indices over all panels are added to `skipped`.
    pub fn run(&self, isa: Isa, y: &mut [T], skipped: &mut Vec<usize>) {
        match self.choice.size {
            Size::Two => self.by_tiles::<Two, 4, 2>(isa, y, skipped),
            Size::Four => self.by_tiles::<Four, 6, 4>(isa, y, skipped),
        }
    }

    /// Transforms inputs, multiplies and transforms outputs, block by block of tiles. Each of the
    /// three is compiled as a function of its own_filters: together they would compete for registers.
    fn by_tiles<S: Tile<N, M>, const N: usize, const M: usize>(
        &self,
        isa: Isa,
        y: &mut [T],
        skipped: &mut Vec<usize>,
    ) {
        let Self { packing, weights, choice, panels, epilogue, .. } = *self;
        let (rows, inner) = (packing.rows(), packing.inner());
        let bytes = N * N * (rows + inner) * T::LANES * size_of::<T>();
        let tiles = panels * choice.tiles();
        let block = (BLOCK_BYTES / bytes).clamp(TILE_POSITIONS, MAX_POINTWISE) / TILE_POSITIONS
            * TILE_POSITIONS;
        let block = block.min(tiles).max(1);
        // One column of padding: entries a power of two apart would evict each other from the cache.
        let strides = [block * inner + 1, block * rows + 1];
        let [x_size, y_size] = strides.map(|columns| columns * T::LANES);
        let own_filters =
            if weights.prepared.is_empty() { choice.prepared_len(packing) } else { 0 };
        let own_filters = own_filters.next_multiple_of(T::LANES);
        let mut scratch = AlignedScratch::with_len(own_filters + N * N * (x_size + y_size));
        let (u, scratch) = scratch.split_at_mut(own_filters);
        let (v, m) = scratch.split_at_mut(N * N * x_size);
        let prepared = if own_filters == 0 {
            weights.prepared
        } else {
            let u = &mut u[..choice.prepared_len(packing)];
            choice.prepare(isa, packing, weights.packed, u);
            u
        };
        let (squares, filters) =
            prepared.split_last().expect("the sum of squares follows the filters");
        if !is_safe(squares.widen()) {
            return skipped.extend(0..panels * epilogue.output_columns(choice.image.positions()));
        }
        for first in (0..tiles).step_by(block) {
            let mut origins = [TileOrigin::default(); MAX_POINTWISE];
            let origins = &mut origins[..block.min(tiles - first)];
            for (offset, origin) in origins.iter_mut().enumerate() {
                *origin = choice.origin(first + offset);
            }
            let mut squares = 0.0;
            let (stride, squares_out) = (strides[0], &mut squares);
            let tile = PhantomData::<S>;
            let (image, x, channels) = (choice.image, self.x, inner);
            T::dispatch(
                isa,
                Inputs { image, channels, x, origins, stride, v, squares: squares_out, tile },
            );
            if !is_safe(squares) {
                let pooled = epilogue.pool().is_some();
                skipped.extend(origins.iter().flat_map(|origin| choice.outputs(origin, pooled)));
                continue;
            }
            let (table, columns) = pointwise(origins.len());
            let entries = v.chunks_exact(x_size).zip(m.chunks_exact_mut(y_size));
            for (u, (v, m)) in filters.chunks_exact(rows * inner).zip(entries) {
                let product = DirectProduct {
                    packing,
                    weights: u,
                    table,
                    depth: 0..inner,
                    x: v,
                    epilogue: &Epilogue::plain(),
                    y: m,
                    order: OutputOrder::ByRow,
                    columns,
                };
                T::dispatch(isa, product);
            }
            let stride = strides[1];
            T::dispatch(isa, Outputs { image, rows, epilogue, origins, stride, m, y, tile });
        }
    }
}

/// Whether numbers with this sum of squares are finite and cannot overflow in a transform.
fn is_safe(squares: f64) -> bool {
    squares < MAX_SQUARES
}
