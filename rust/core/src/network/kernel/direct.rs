//! Weights times a panel, term by term.

mod accumulate;

use std::ops::Range;

use accumulate::{Source, of_groups, of_parts, of_positions};

use super::aligned::AlignedScratch;
use super::epilogue::Epilogue;
use super::gather_table::GatherTable;
use super::micro_tile::{MicroTile, MicroTiles, TILE_POSITIONS};
use super::packing::{Packing, for_rows};
use super::pool2x2::Pool2x2;
use super::real::Real;
use super::simd::{Kernel, Simd, Vector};
use super::tile_layout::{TileLayout, alone};

/// The panel as `[position][channel][lane]`, where it is not that already: a tile reads all channels
/// of a position again and again, and as they lie in x, a power of two apart, they would evict each
/// other from the cache.
pub(super) fn by_position<T: Real>(
    x: &[T],
    channels: usize,
    positions: usize,
) -> Option<AlignedScratch<T>> {
    let place = |p: usize| move |channel: usize| (channel * positions + p) * T::LANES;
    let places = (0..positions).flat_map(|p| (0..channels).map(place(p)));
    let apart = channels > 1 && positions > 1;
    apart.then(|| AlignedScratch::gather(x, places, positions * channels))
}

/// How the numbers of y follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// `[row][column][lane]`.
    ByRow,
    /// `[column][row][lane]`.
    ByColumn,
}

impl Order {
    /// How far it is from a row to the next, and from a column to the next, in numbers.
    fn steps<T: Real>(self, rows: usize, columns: usize) -> [usize; 2] {
        match self {
            Self::ByRow => [columns * T::LANES, T::LANES],
            Self::ByColumn => [T::LANES, rows * T::LANES],
        }
    }
}

/// The sums of a product, at some columns of y: positions, or squares that are pooled.
pub(super) struct DirectProduct<'a, T> {
    /// The order of the weights of a tap.
    pub packing: &'a Packing,
    pub weights: &'a [T],
    pub table: &'a GatherTable,
    /// Which channels are read; all, but for a single tap.
    pub depth: Range<usize>,
    /// `[position][channel][lane]`.
    pub x: &'a [T],
    pub epilogue: &'a Epilogue<'a, T>,
    pub y: &'a mut [T],
    pub order: Order,
    pub columns: &'a MicroTiles,
}

impl<T: Real> Kernel<T> for DirectProduct<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let MicroTiles { together, alone } = self.columns;
        let pool = self.epilogue.pool().map(|pool| (pool, self.epilogue.is_increasing()));
        for reads in together {
            // Alone in its register, a column of a panel leaves scratch for others' sums.
            if C == 1 || pool.is_some() {
                self.together::<V, C, L>(simd, reads, pool);
            } else {
                for position in reads.positions {
                    self.alone::<V, C, L>(simd, position);
                }
            }
        }
        for &position in alone {
            self.alone::<V, C, L>(simd, position);
        }
    }
}

impl<'a, T: Real> DirectProduct<'a, T> {
    /// What sums are made of.
    #[inline(always)]
    fn source<const L: usize>(&self) -> Source<'a, T, L> {
        Source {
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

    /// Where the sums of some positions lie in these rows, before they are pooled.
    #[inline(always)]
    fn places<const P: usize>(&self, row: usize, positions: [usize; P]) -> TileLayout<P> {
        let [step, across] = self.order.steps::<T>(self.packing.rows(), self.table.positions());
        let mut first = [row * step; P];
        for (first, position) in first.iter_mut().zip(positions) {
            *first += position * across;
        }
        TileLayout { first, step }
    }

    /// All rows at some positions, which share the weights, and which become one where there is a
    /// pool; with it comes whether its order is kept.
    #[inline(always)]
    fn together<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        MicroTile { column, positions, parts }: &MicroTile,
        pool: Option<(Pool2x2, bool)>,
    ) {
        let source = self.source::<L>();
        for rows in self.packing.groups() {
            let weights = self.weights(rows);
            let places = self.places(rows.start, *positions);
            for_rows!(rows.len(), R => {
                let mut tile = [[[simd.splat(T::ZERO); C]; TILE_POSITIONS]; R];
                if C == 1 {
                    tile = of_positions::<V, R, C, L>(simd, source, parts, weights);
                } else {
                    for (p, &position) in positions.iter().enumerate() {
                        let taps = self.table.sources(position);
                        let sums = of_parts::<V, 1, R, C, L>(simd, source, taps, weights);
                        for (tile, &sums) in tile.iter_mut().zip(&sums) {
                            tile[p] = sums;
                        }
                    }
                }
                if let Some((pool, ordered)) = pool {
                    let [step, across] = self.order.steps::<T>(self.packing.rows(), pool.squares());
                    let to = TileLayout { first: [rows.start * step + column * across], step };
                    let epilogue = self.epilogue;
                    epilogue.apply_pool_and_store(simd, rows.start, places, tile, ordered, to, self.y);
                } else {
                    self.epilogue.apply_and_store(simd, rows.start, places, tile, self.y);
                }
            });
        }
    }

    /// All rows at a position.
    #[inline(always)]
    fn alone<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        position: usize,
    ) {
        let (source, taps) = (self.source::<L>(), self.table.sources(position));
        let mut groups = self.packing.groups().iter().peekable();
        while let Some(rows) = groups.next() {
            let first = self.weights(rows);
            let places = self.places(rows.start, [position]);
            // A column alone in its register feeds two groups, or the sums would wait for each other.
            if let Some(next) = groups.next_if(|next| C == 1 && next.len() == rows.len()) {
                let weights = [first, self.weights(next)];
                let next_places = self.places(next.start, [position]);
                for_rows!(rows.len(), R => {
                    let [a, b] = of_groups::<V, R, C, L>(simd, source, taps, weights);
                    self.epilogue.apply_and_store(simd, rows.start, places, alone(a), self.y);
                    self.epilogue.apply_and_store(simd, next.start, next_places, alone(b), self.y);
                });
                continue;
            }
            for_rows!(rows.len(), R => {
                let sums = if R * C <= 2 {
                    of_parts::<V, 4, R, C, L>(simd, source, taps, first)
                } else if R * C < 8 {
                    of_parts::<V, 2, R, C, L>(simd, source, taps, first)
                } else {
                    of_parts::<V, 1, R, C, L>(simd, source, taps, first)
                };
                self.epilogue.apply_and_store(simd, rows.start, places, alone(sums), self.y);
            });
        }
    }
}
