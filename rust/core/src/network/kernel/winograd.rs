//! Convolutions by fewer multiplications.
//!
//! M by M outputs of a window of 3 × 3 read a tile d of N by N inputs, N = M + 2. With the filter g
//! they are Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 16 multiplications in the place of 36 for M = 2, and 36 in
//! the place of 144 for M = 4 (Winograd 1980; Lavin & Gray 2016, equations 8 to 10). Sums over
//! channels commute with A, so that in between there are N² matrix products. Errors are those of the
//! sums as they stand for M = 2, and about three times as large for M = 4.
//!
//! What is not finite would spread within a tile: where numbers are that large, the outputs are left
//! to the caller.

mod choice;
mod filters;
#[cfg(test)]
mod tests;
mod tile;
mod transforms;

use std::marker::PhantomData;

pub(super) use choice::Choice;
use choice::{Place, Size};
use tile::{Four, Tile, Two};
use transforms::{Inputs, Outputs};

use super::aligned::AlignedScratch;
use super::direct::{DirectProduct, Order};
use super::epilogue::Epilogue;
use super::micro_tile::{MAX_POINTWISE, TILE_POSITIONS, pointwise};
use super::packing::{Packing, Weights};
use super::real::Real;
use crate::isa::Isa;

/// Bytes of transformed tiles that stay in the second cache.
const BYTES: usize = 512 << 10;
/// What the squares of transformed numbers may add up to.
const LARGEST: f64 = 1e30;

/// A contraction of some panels of images.
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
    /// Fills y but for some of its columns, those of all panels counted one after another, which
    /// `left` gets.
    pub fn run(&self, isa: Isa, y: &mut [T], left: &mut Vec<usize>) {
        match self.choice.size {
            Size::Two => self.by_tiles::<Two, 4, 2>(isa, y, left),
            Size::Four => self.by_tiles::<Four, 6, 4>(isa, y, left),
        }
    }

    /// Every step is compiled by itself: together they would compete for the registers.
    fn by_tiles<S: Tile<N, M>, const N: usize, const M: usize>(
        &self,
        isa: Isa,
        y: &mut [T],
        left: &mut Vec<usize>,
    ) {
        let Self { packing, weights, choice, panels, epilogue, .. } = *self;
        let (rows, inner) = (packing.rows(), packing.inner());
        let bytes = N * N * (rows + inner) * T::LANES * size_of::<T>();
        let tiles = panels * choice.tiles();
        let block =
            (BYTES / bytes).clamp(TILE_POSITIONS, MAX_POINTWISE) / TILE_POSITIONS * TILE_POSITIONS;
        let block = block.min(tiles).max(1);
        // One column more than there are, or entries would evict each other from the cache.
        let strides = [block * inner + 1, block * rows + 1];
        let [read, made] = strides.map(|columns| columns * T::LANES);
        let own = if weights.prepared.is_empty() { choice.prepared_len(packing) } else { 0 };
        let own = own.next_multiple_of(T::LANES);
        let mut scratch = AlignedScratch::with_len(own + N * N * (read + made));
        let (u, scratch) = scratch.split_at_mut(own);
        let (v, m) = scratch.split_at_mut(N * N * read);
        let prepared = if own == 0 {
            weights.prepared
        } else {
            let u = &mut u[..choice.prepared_len(packing)];
            choice.prepare(isa, packing, weights.packed, u);
            u
        };
        let (squares, filters) = prepared.split_last().expect("a number that follows the filters");
        if !small(squares.widen()) {
            return left.extend(0..panels * epilogue.output_columns(choice.image.positions()));
        }
        for first in (0..tiles).step_by(block) {
            let mut places = [Place::default(); MAX_POINTWISE];
            let places = &mut places[..block.min(tiles - first)];
            for (offset, place) in places.iter_mut().enumerate() {
                *place = choice.place(first + offset);
            }
            let mut squares = 0.0;
            let (stride, squares_of) = (strides[0], &mut squares);
            let tile = PhantomData::<S>;
            T::dispatch(isa, Inputs { images: self, places, stride, v, squares: squares_of, tile });
            if !small(squares) {
                let pooled = epilogue.pool().is_some();
                left.extend(places.iter().flat_map(|place| choice.outputs(place, pooled)));
                continue;
            }
            let (table, columns) = pointwise(places.len());
            let entries = v.chunks_exact(read).zip(m.chunks_exact_mut(made));
            for (u, (v, m)) in filters.chunks_exact(rows * inner).zip(entries) {
                let terms = DirectProduct {
                    packing,
                    weights: u,
                    table,
                    depth: 0..inner,
                    x: v,
                    epilogue: &Epilogue::plain(),
                    y: m,
                    order: Order::ByRow,
                    columns,
                };
                T::dispatch(isa, terms);
            }
            T::dispatch(isa, Outputs { images: self, places, stride: strides[1], m, y, tile });
        }
    }
}

/// Whether numbers with this sum of squares are small enough.
fn small(squares: f64) -> bool {
    squares < LARGEST
}
