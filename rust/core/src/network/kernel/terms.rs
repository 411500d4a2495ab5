//! Weights times a panel, term by term.

mod sums;

use std::array::from_fn;
use std::ops::Range;

use sums::{Reads, Window, of_groups, of_parts, of_positions};

use super::aligned::Aligned;
use super::finish::Finish;
use super::packing::{GROUP, Packing, for_rows};
use super::pool::Pool;
use super::real::Real;
use super::taps::Taps;
use super::vector::{Kernel, Simd, Vector};

/// Positions whose sums are in registers at once.
pub(super) const TOGETHER: usize = 4;

/// The panel as `[position][channel][lane]`, where it is not that already: a tile reads all channels
/// of a position again and again, and as they lie in x, a power of two apart, they would evict each
/// other from the cache.
pub(super) fn by_position<T: Real>(
    x: &[T],
    channels: usize,
    positions: usize,
) -> Option<Aligned<T>> {
    let place = |p: usize| move |channel: usize| (channel * positions + p) * T::LANES;
    let places = (0..positions).flat_map(|p| (0..channels).map(place(p)));
    let apart = channels > 1 && positions > 1;
    apart.then(|| Aligned::gather(x, places, positions * channels))
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
    /// The number of a row's column among all.
    #[inline(always)]
    fn index(self, row: usize, rows: usize, column: usize, columns: usize) -> usize {
        match self {
            Self::ByRow => row * columns + column,
            Self::ByColumn => column * rows + row,
        }
    }
}

/// The sums of a product, at all columns of y or at some: positions, or squares that are pooled.
pub(super) struct Terms<'a, T> {
    /// The order of the weights of a tap.
    pub packing: &'a Packing,
    pub weights: &'a [T],
    pub taps: &'a Taps,
    /// Which channels are read; all, but for a single tap.
    pub depth: Range<usize>,
    /// `[position][channel][lane]`.
    pub x: &'a [T],
    pub finish: &'a Finish<'a, T>,
    pub y: &'a mut [T],
    pub order: Order,
    /// The columns to compute, where they are not all.
    pub only: Option<&'a [usize]>,
}

impl<T: Real> Kernel<T> for Terms<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let (pool, only) = (self.finish.pool(), self.only);
        let columns = self.finish.columns(self.taps.positions());
        let count = only.map_or(columns, <[_]>::len);
        let column = |index: usize| only.map_or(index, |only| only[index]);
        let mut index = 0;
        if let Some(pool) = pool {
            for square in (0..count).map(column) {
                self.together::<V, C, L>(
                    simd,
                    pool.square(square),
                    #[inline(always)]
                    |terms, row, sums| terms.pooled::<V, C, L>(simd, row, (pool, square), sums),
                );
            }
            return;
        }
        // Alone in its register, a column of a panel leaves room for other positions' sums.
        while C == 1 && index + TOGETHER <= count {
            let positions: [usize; TOGETHER] = from_fn(|p| column(index + p));
            self.together::<V, C, L>(
                simd,
                positions,
                #[inline(always)]
                |terms, row, sums| terms.plain::<V, TOGETHER, C, L>(simd, row, positions, sums),
            );
            index += TOGETHER;
        }
        for column in (index..count).map(column) {
            self.alone::<V, C, L>(simd, column);
        }
    }
}

impl<'a, T: Real> Terms<'a, T> {
    /// All that a position reads.
    #[inline(always)]
    fn window<const L: usize>(&self, position: usize) -> Window<'a, T, L> {
        Window {
            sources: self.taps.sources(position),
            x: self.x.as_chunks().0.get(self.depth.start..).unwrap_or_default(),
            stride: self.packing.inner(),
            inner: self.depth.len(),
        }
    }

    /// The weights of a group of rows.
    #[inline(always)]
    fn weights(&self, rows: &Range<usize>) -> &'a [T] {
        let depth = self.taps.taps() * self.packing.inner();
        let weights = &self.weights[depth * rows.start..][..depth * rows.len()];
        let read = self.taps.taps() * self.depth.len();
        &weights[self.depth.start * rows.len()..][..read * rows.len()]
    }

    /// All rows at some positions, which share the weights.
    #[inline(always)]
    fn together<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        positions: [usize; TOGETHER],
        store: impl Fn(&mut Self, usize, &[[V; C]; TOGETHER]),
    ) {
        let mut windows = [self.window::<L>(positions[0]); TOGETHER];
        for (window, position) in windows.iter_mut().zip(positions) {
            *window = self.window(position);
        }
        let reads = Reads::new(&windows);
        for rows in self.packing.groups() {
            let weights = self.weights(rows);
            for_rows!(rows.len(), R => {
                if C == 1 {
                    let sums = of_positions::<V, R, C, L>(simd, &reads, weights);
                    for (r, sums) in sums.iter().enumerate() {
                        store(self, rows.start + r, sums);
                    }
                } else {
                    let mut tile = [[[simd.splat(T::ZERO); C]; TOGETHER]; R];
                    for (p, &window) in windows.iter().enumerate() {
                        let sums = of_parts::<V, 1, R, C, L>(simd, window, weights);
                        for (tile, &sums) in tile.iter_mut().zip(&sums) {
                            tile[p] = sums;
                        }
                    }
                    for (r, sums) in tile.iter().enumerate() {
                        store(self, rows.start + r, sums);
                    }
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
        let window = self.window(position);
        let mut tile = [[[simd.splat(T::ZERO); C]; GROUP]; 2];
        let mut groups = self.packing.groups().iter().peekable();
        while let Some(rows) = groups.next() {
            let first = self.weights(rows);
            // A column alone in its register feeds two groups, or the sums would wait for each other.
            let next = groups.next_if(|next| C == 1 && next.len() == rows.len());
            let second = next.map(|next| self.weights(next));
            for_rows!(rows.len(), R => {
                if let Some(second) = second {
                    let sums = of_groups::<V, R, C, L>(simd, window, [first, second]);
                    keep(&mut tile[0], &sums[0]);
                    keep(&mut tile[1], &sums[1]);
                } else if R * C <= 2 {
                    keep(&mut tile[0], &of_parts::<V, 4, R, C, L>(simd, window, first));
                } else if R * C < 8 {
                    keep(&mut tile[0], &of_parts::<V, 2, R, C, L>(simd, window, first));
                } else {
                    keep(&mut tile[0], &of_parts::<V, 1, R, C, L>(simd, window, first));
                }
            });
            for (g, group) in tile.iter().take(if next.is_some() { 2 } else { 1 }).enumerate() {
                for (r, &sums) in group[..rows.len()].iter().enumerate() {
                    let row = rows.start + g * rows.len() + r;
                    self.plain::<V, 1, C, L>(simd, row, [position], &[sums]);
                }
            }
        }
    }

    /// Finishes the sums of a row at some positions.
    #[inline(always)]
    fn plain<V: Vector<Number = T>, const P: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        row: usize,
        positions: [usize; P],
        sums: &[[V; C]; P],
    ) {
        let (rows, columns) = (self.packing.rows(), self.taps.positions());
        let place = |position| self.order.index(row, rows, position, columns) * L;
        self.finish.store(simd, row, positions.map(place), *sums, self.y);
    }

    /// Finishes the sums of a row in a square.
    #[inline(always)]
    fn pooled<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        row: usize,
        (pool, square): (Pool, usize),
        sums: &[[V; C]; TOGETHER],
    ) {
        let (rows, columns) = (self.packing.rows(), self.taps.positions());
        let place = |position| self.order.index(row, rows, position, columns) * L;
        let places = pool.square(square).map(place);
        let place = self.order.index(row, rows, square, pool.squares()) * L;
        self.finish.store_largest(simd, row, places, *sums, &mut self.y[place..][..L]);
    }
}

/// Takes sums from registers.
#[inline(always)]
fn keep<S: Copy>(tile: &mut [S], sums: &[S]) {
    for (tile, &sum) in tile.iter_mut().zip(sums) {
        *tile = sum;
    }
}
