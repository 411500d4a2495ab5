//! Products by direct summation over taps and channels.

mod accumulate;

use std::ops::Range;

use accumulate::{InputChannels, sum_split, sum_tile, sum_two_groups};

use super::aligned::AlignedScratch;
use super::epilogue::Epilogue;
use super::gather_table::GatherTable;
use super::micro_tile::{MicroTile, MicroTiles, TILE_POSITIONS};
use super::packing::{Packing, for_rows};
use super::pool2x2::Pool2x2;
use super::real::Real;
use super::simd::{Kernel, Simd, Vector};
use super::tile_layout::{TileLayout, single_column};

/// Repacks a panel as `[position][channel][lane]`, unless it has that layout already: a tile reads all
/// channels of a position repeatedly, and at strides of a power of two they would evict each other
/// from the cache.
pub(super) fn pack_by_position<T: Real>(
    x: &[T],
    channels: usize,
    positions: usize,
) -> Option<AlignedScratch<T>> {
    let offset = |p: usize| move |channel: usize| (channel * positions + p) * T::LANES;
    let offsets = (0..positions).flat_map(|p| (0..channels).map(offset(p)));
    let strided = channels > 1 && positions > 1;
    strided.then(|| AlignedScratch::gather(x, offsets, positions * channels))
}

/// The layout of y.
#[derive(Clone, Copy, Debug)]
pub(super) enum OutputOrder {
    /// `[row][column][lane]`.
    ByRow,
    /// `[column][row][lane]`.
    ByColumn,
}

impl OutputOrder {
    /// The strides between rows and between columns, in numbers.
    fn steps<T: Real>(self, rows: usize, columns: usize) -> [usize; 2] {
        match self {
            Self::ByRow => [columns * T::LANES, T::LANES],
            Self::ByColumn => [T::LANES, rows * T::LANES],
        }
    }
}

/// A product by direct summation, at some columns of y: positions or pooling windows.
pub(super) struct DirectProduct<'a, T> {
    /// The layout of the weights.
    pub packing: &'a Packing,
    pub weights: &'a [T],
    pub table: &'a GatherTable,
    /// The channels that are read: all of them unless there is a single tap.
    pub depth: Range<usize>,
    /// `[position][channel][lane]`.
    pub x: &'a [T],
    pub epilogue: &'a Epilogue<'a, T>,
    pub y: &'a mut [T],
    pub order: OutputOrder,
    pub columns: &'a MicroTiles,
}

impl<T: Real> Kernel<T> for DirectProduct<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let MicroTiles { tiles, single } = self.columns;
        let pool = self.epilogue.pool().map(|pool| (pool, self.epilogue.is_increasing()));
        for tile in tiles {
            // A column that fills one register leaves registers for the sums of other positions.
            if C == 1 || pool.is_some() {
                self.tile::<V, C, L>(simd, tile, pool);
            } else {
                for position in tile.positions {
                    self.single::<V, C, L>(simd, position);
                }
            }
        }
        for &position in single {
            self.single::<V, C, L>(simd, position);
        }
    }
}

impl<'a, T: Real> DirectProduct<'a, T> {
    /// The channels that are read.
    #[inline(always)]
    fn source<const L: usize>(&self) -> InputChannels<'a, T, L> {
        InputChannels {
            x: self.x.as_chunks().0.get(self.depth.start..).unwrap_or_default(),
            stride: self.packing.inner(),
            inner: self.depth.len(),
        }
    }

    /// The weights of a group of rows.
    #[inline(always)]
    fn weights(&self, rows: &Range<usize>) -> &'a [T] {
        let depth = self.table.taps() * self.packing.inner();
        let weights = &self.weights[depth * rows.start..][..depth * rows.len()];
        let read = self.table.taps() * self.depth.len();
        &weights[self.depth.start * rows.len()..][..read * rows.len()]
    }

    /// The layout of some positions before pooling, from a row on.
    #[inline(always)]
    fn layout<const P: usize>(&self, row: usize, positions: [usize; P]) -> TileLayout<P> {
        let [step, across] = self.order.steps::<T>(self.packing.rows(), self.table.positions());
        let mut first = [row * step; P];
        for (first, position) in first.iter_mut().zip(positions) {
            *first += position * across;
        }
        TileLayout { first, step }
    }

    /// All rows at the positions of a tile, which share the loaded weights. `pool` holds the pooling
    /// windows and whether the epilogue is increasing.
    #[inline(always)]
    fn tile<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        MicroTile { column, positions, reads }: &MicroTile,
        pool: Option<(Pool2x2, bool)>,
    ) {
        let source = self.source::<L>();
        for rows in self.packing.groups() {
            let weights = self.weights(rows);
            let layout = self.layout(rows.start, *positions);
            for_rows!(rows.len(), R => {
                let mut tile = [[[simd.splat(T::ZERO); C]; TILE_POSITIONS]; R];
                if C == 1 {
                    tile = sum_tile::<V, R, C, L>(simd, source, reads, weights);
                } else {
                    for (p, &position) in positions.iter().enumerate() {
                        let taps = self.table.sources(position);
                        let sums = sum_split::<V, 1, R, C, L>(simd, source, taps, weights);
                        for (tile, &sums) in tile.iter_mut().zip(&sums) {
                            tile[p] = sums;
                        }
                    }
                }
                if let Some((pool, increasing)) = pool {
                    let [step, across] = self.order.steps::<T>(self.packing.rows(), pool.windows());
                    let to = TileLayout { first: [rows.start * step + column * across], step };
                    let epilogue = self.epilogue;
                    epilogue.apply_pool_and_store(simd, rows.start, layout, tile, increasing, to, self.y);
                } else {
                    self.epilogue.apply_and_store(simd, rows.start, layout, tile, self.y);
                }
            });
        }
    }

    /// All rows at a single position.
    #[inline(always)]
    fn single<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        position: usize,
    ) {
        let (source, taps) = (self.source::<L>(), self.table.sources(position));
        let mut groups = self.packing.groups().iter().peekable();
        while let Some(rows) = groups.next() {
            let first = self.weights(rows);
            let layout = self.layout(rows.start, [position]);
            // A column that fills one register feeds two groups of rows: more independent sums hide
            // the latency of additions.
            if let Some(next) = groups.next_if(|next| C == 1 && next.len() == rows.len()) {
                let weights = [first, self.weights(next)];
                let next_layout = self.layout(next.start, [position]);
                for_rows!(rows.len(), R => {
                    let [a, b] = sum_two_groups::<V, R, C, L>(simd, source, taps, weights);
                    self.epilogue.apply_and_store(simd, rows.start, layout, single_column(a), self.y);
                    self.epilogue.apply_and_store(simd, next.start, next_layout, single_column(b), self.y);
                });
                continue;
            }
            for_rows!(rows.len(), R => {
                let sums = if R * C <= 2 {
                    sum_split::<V, 4, R, C, L>(simd, source, taps, first)
                } else if R * C < 8 {
                    sum_split::<V, 2, R, C, L>(simd, source, taps, first)
                } else {
                    sum_split::<V, 1, R, C, L>(simd, source, taps, first)
                };
                self.epilogue.apply_and_store(simd, rows.start, layout, single_column(sums), self.y);
            });
        }
    }
}
