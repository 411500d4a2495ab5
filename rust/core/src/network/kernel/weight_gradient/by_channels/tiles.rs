//! Micro-kernel tiles of the weight gradient.

use std::array::from_fn;
use std::ops::Range;

use smallvec::SmallVec;

use crate::network::kernel::gather_table::GatherTable;
use crate::network::kernel::number::Number;
use crate::network::kernel::packing::{for_rows, group_sizes};
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, Simd, Vector, add_multiple, load_column};
use crate::network::kernel::weight_gradient::rows::Rows;

/// Columns of dy that stay in the L1 cache while all rows read them, and whose terms are summed in
/// registers before they are added to memory: enough for that to cost little, few enough for rounding
/// errors to stay small.
pub(super) const COLUMNS: usize = 8;

/// The terms of the transposed channels.
pub(super) struct WeightGradient<'a, T: Real> {
    pub table: &'a GatherTable,
    pub dy: &'a Rows<'a, T>,
    /// Panels with at most [`COLUMNS`] columns in all, or a single panel.
    pub panels: usize,
    /// `[unit of channels][panel][position][lane][channel of the unit]`.
    pub transposed: &'a [T],
    /// The range of channels, in whole units.
    pub channels: Range<usize>,
    /// Channels in a row of sums.
    pub width: usize,
    /// `[tap][row][channel]`.
    pub sums: &'a mut [T],
}

/// A unit of channels that is multiplied with dy through a tap.
#[derive(Clone, Copy)]
struct Column {
    tap: usize,
    unit: usize,
}

/// A unit's numbers at a position: `[lane][channel]`.
type Square<T, const L: usize> = [[T; L]; L];

impl<T: Real> Kernel<T> for WeightGradient<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let positions = self.table.positions();
        for first in (0..positions).step_by(COLUMNS) {
            self.positions::<V, C, L>(simd, &(first..positions.min(first + COLUMNS)));
        }
    }
}

impl<'a, T: Real> WeightGradient<'a, T> {
    /// Adds the terms of some positions of all panels to all sums.
    #[inline(always)]
    fn positions<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        positions: &Range<usize>,
    ) {
        let columns = self.table.taps() * (self.channels.len() / L);
        let mut column = 0;
        // A unit that fills one register leaves registers for others, which share the loads of dy.
        while C == 1 && column + 4 <= columns {
            self.columns::<V, 4, C, L>(simd, column, positions);
            column += 4;
        }
        while C == 1 && column + 2 <= columns {
            self.columns::<V, 2, C, L>(simd, column, positions);
            column += 2;
        }
        while column < columns {
            self.columns::<V, 1, C, L>(simd, column, positions);
            column += 1;
        }
    }

    /// K columns of sums, for all rows.
    #[inline(always)]
    fn columns<V: Vector<Number = T>, const K: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        first: usize,
        positions: &Range<usize>,
    ) {
        let units = self.channels.len() / L;
        let mut columns = [Column { tap: 0, unit: 0 }; K];
        for (k, column) in columns.iter_mut().enumerate() {
            *column = Column { tap: (first + k) / units, unit: (first + k) % units };
        }
        let pairs = self.pairs(&columns, positions);
        let mut row = 0;
        for rows in group_sizes(self.dy.count) {
            for_rows!(rows, R => {
                let tile_sums = tile::<V, R, K, C, L>(simd, &pairs, self.dy, row);
                for (r, tile_sums) in tile_sums.iter().enumerate() {
                    for (Column { tap, unit }, tile_sums) in columns.iter().zip(tile_sums) {
                        let sums_of_row = (tap * self.dy.count + row + r) * self.width;
                        let offset = sums_of_row + self.channels.start + unit * L;
                        let sums = self.sums[offset..][..L].chunks_exact_mut(V::LEN);
                        for (sum, &tile_sums) in sums.zip(tile_sums) {
                            (simd.load(sum) + tile_sums).store(sum);
                        }
                    }
                }
            });
            row += rows;
        }
    }

    /// The squares of K columns that are multiplied with dy at some positions.
    #[inline(always)]
    fn pairs<const K: usize, const L: usize>(
        &self,
        columns: &[Column; K],
        positions: &Range<usize>,
    ) -> Pairs<'a, T, K, L> {
        let sources = self.table.source_positions();
        let transposed = self.transposed.as_chunks::<L>().0.as_chunks::<L>().0;
        let mut pairs = Pairs { all: SmallVec::new(), some: from_fn(|_| SmallVec::new()) };
        for panel in 0..self.panels {
            for position in positions.clone() {
                let offset = panel * self.dy.panel + position;
                let mut squares = [None; K];
                for (square, Column { tap, unit }) in squares.iter_mut().zip(columns.iter()) {
                    if let Some(source) = self.table.source(position, *tap) {
                        *square =
                            Some(&transposed[(unit * self.panels + panel) * sources + source]);
                    }
                }
                if let Some(squares) = all(squares) {
                    pairs.all.push((offset, squares));
                    continue;
                }
                for (some, square) in pairs.some.iter_mut().zip(squares) {
                    some.extend(square.map(|square| (offset, [square])));
                }
            }
        }
        pairs
    }
}

/// The offset of a column of dy in a row, and the squares that it is multiplied with.
type Pair<'a, T, const K: usize, const L: usize> = (usize, [&'a Square<T, L>; K]);

/// All pairs of columns of dy with squares of K columns.
struct Pairs<'a, T, const K: usize, const L: usize> {
    /// Pairs with a square in all K columns.
    all: SmallVec<[Pair<'a, T, K, L>; COLUMNS]>,
    /// For each of the K columns, the pairs where another column has no square.
    some: [SmallVec<[Pair<'a, T, 1, L>; COLUMNS]>; K],
}

/// The sums of K columns with R rows of dy.
#[inline(always)]
fn tile<V: Vector, const R: usize, const K: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    pairs: &Pairs<'_, V::Number, K, L>,
    dy: &Rows<'_, V::Number>,
    row: usize,
) -> [[[V; C]; K]; R] {
    let zero = simd.splat(V::Number::ZERO);
    let mut sums = [[[zero; C]; K]; R];
    for (offset, squares) in &pairs.all {
        let factors = factors::<V, R, L>(dy, row, *offset);
        for lane in 0..L {
            let mut x = [[zero; C]; K];
            for (x, square) in x.iter_mut().zip(squares) {
                *x = load_column(simd, &square[lane]);
            }
            for (sums, factors) in sums.iter_mut().zip(&factors) {
                let factor = simd.splat(factors[lane]);
                for (sums, x) in sums.iter_mut().zip(&x) {
                    add_multiple(sums, factor, x);
                }
            }
        }
    }
    // A copy in memory: it is indexed by k, and registers cannot be indexed at run time.
    let mut tile_sums = sums;
    for (k, some) in pairs.some.iter().enumerate().filter(|(_, some)| !some.is_empty()) {
        let mut sums = [[zero; C]; R];
        for (offset, [square]) in some {
            let factors = factors::<V, R, L>(dy, row, *offset);
            for lane in 0..L {
                let x = load_column::<V, C, L>(simd, &square[lane]);
                for (sums, factors) in sums.iter_mut().zip(&factors) {
                    add_multiple(sums, simd.splat(factors[lane]), &x);
                }
            }
        }
        for (tile_sums, sums) in tile_sums.iter_mut().zip(&sums) {
            for (tile_sums, &sum) in tile_sums[k].iter_mut().zip(sums) {
                *tile_sums = *tile_sums + sum;
            }
        }
    }
    tile_sums
}

/// A column of R rows of dy.
#[inline(always)]
fn factors<'a, V: Vector, const R: usize, const L: usize>(
    dy: &Rows<'a, V::Number>,
    row: usize,
    offset: usize,
) -> [&'a [V::Number; L]; R] {
    let columns = &dy.values.as_chunks::<L>().0[row * dy.row + offset..];
    let mut factors = [&columns[0]; R];
    for (r, factors) in factors.iter_mut().enumerate() {
        *factors = &columns[r * dy.row];
    }
    factors
}

/// All squares, if none is missing.
#[inline(always)]
fn all<S, const K: usize>(squares: [Option<&S>; K]) -> Option<[&S; K]> {
    let mut present = [squares[0]?; K];
    for (present, square) in present.iter_mut().zip(squares) {
        *present = square?;
    }
    Some(present)
}
