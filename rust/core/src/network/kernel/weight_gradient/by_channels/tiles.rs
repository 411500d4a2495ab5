//! Tiles of sums that fill the registers.

use std::array::from_fn;
use std::ops::Range;

use smallvec::SmallVec;

use crate::network::kernel::gather_table::GatherTable;
use crate::network::kernel::number::Number;
use crate::network::kernel::packing::{for_rows, sizes};
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, Simd, Vector, add_multiple, load_column};
use crate::network::kernel::weight_gradient::rows::Rows;

/// Columns of dy whose numbers stay in the first cache while all rows pass over them, and whose terms are
/// added up in registers before they join the sums so far: enough for that to cost little, few enough
/// for rounding errors to stay small.
pub(super) const COLUMNS: usize = 8;

/// What the channels that were transposed add to the sums.
pub(super) struct WeightGradient<'a, T: Real> {
    pub table: &'a GatherTable,
    pub dy: &'a Rows<'a, T>,
    /// No more than have [`COLUMNS`] columns together, or a single one.
    pub panels: usize,
    /// `[unit of channels][panel][position][lane][channel of the unit]`.
    pub transposed: &'a [T],
    /// Which channels they are, whole units.
    pub channels: Range<usize>,
    /// Channels of a row of sums.
    pub width: usize,
    /// `[tap][row][channel]`.
    pub sums: &'a mut [T],
}

/// The numbers of a unit of channels that meet dy in a tap.
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
    /// What some positions of all panels add to all sums.
    #[inline(always)]
    fn positions<V: Vector<Number = T>, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        positions: &Range<usize>,
    ) {
        let columns = self.table.taps() * (self.channels.len() / L);
        let mut column = 0;
        // Alone in its register, a unit leaves scratch for others, which share what is read of dy.
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

    /// K columns of all rows.
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
        let met = self.met(&columns, positions);
        let mut row = 0;
        for rows in sizes(self.dy.count) {
            for_rows!(rows, R => {
                let found = tile::<V, R, K, C, L>(simd, &met, self.dy, row);
                for (r, found) in found.iter().enumerate() {
                    for (Column { tap, unit }, found) in columns.iter().zip(found) {
                        let sums_of_row = (tap * self.dy.count + row + r) * self.width;
                        let place = sums_of_row + self.channels.start + unit * L;
                        let sums = self.sums[place..][..L].chunks_exact_mut(V::LEN);
                        for (sum, &found) in sums.zip(found) {
                            (simd.load(sum) + found).store(sum);
                        }
                    }
                }
            });
            row += rows;
        }
    }

    /// What of K columns meets dy at some positions.
    #[inline(always)]
    fn met<const K: usize, const L: usize>(
        &self,
        columns: &[Column; K],
        positions: &Range<usize>,
    ) -> Met<'a, T, K, L> {
        let sources = self.table.source_positions();
        let transposed = self.transposed.as_chunks::<L>().0.as_chunks::<L>().0;
        let mut met = Met { all: SmallVec::new(), some: from_fn(|_| SmallVec::new()) };
        for panel in 0..self.panels {
            for position in positions.clone() {
                let place = panel * self.dy.panel + position;
                let mut squares = [None; K];
                for (square, Column { tap, unit }) in squares.iter_mut().zip(columns.iter()) {
                    if let Some(source) = self.table.source(position, *tap) {
                        *square =
                            Some(&transposed[(unit * self.panels + panel) * sources + source]);
                    }
                }
                if let Some(squares) = all(squares) {
                    met.all.push((place, squares));
                    continue;
                }
                for (some, square) in met.some.iter_mut().zip(squares) {
                    some.extend(square.map(|square| (place, [square])));
                }
            }
        }
        met
    }
}

/// The place of a column of dy in a row, and squares that meet it.
type Meeting<'a, T, const K: usize, const L: usize> = (usize, [&'a Square<T, L>; K]);

/// All squares of K columns that meet columns of dy.
struct Met<'a, T, const K: usize, const L: usize> {
    /// Where all K do.
    all: SmallVec<[Meeting<'a, T, K, L>; COLUMNS]>,
    /// Of each of the K, where not all do.
    some: [SmallVec<[Meeting<'a, T, 1, L>; COLUMNS]>; K],
}

/// What K columns make of R rows of dy.
#[inline(always)]
fn tile<V: Vector, const R: usize, const K: usize, const C: usize, const L: usize>(
    simd: Simd<V>,
    met: &Met<'_, V::Number, K, L>,
    dy: &Rows<'_, V::Number>,
    row: usize,
) -> [[[V; C]; K]; R] {
    let zero = simd.splat(V::Number::ZERO);
    let mut sums = [[[zero; C]; K]; R];
    for (place, squares) in &met.all {
        let factors = factors::<V, R, L>(dy, row, *place);
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
    // A copy, for which of the K it is is known only later, which is why it is not in registers.
    let mut found = sums;
    for (k, some) in met.some.iter().enumerate().filter(|(_, some)| !some.is_empty()) {
        let mut sums = [[zero; C]; R];
        for (place, [square]) in some {
            let factors = factors::<V, R, L>(dy, row, *place);
            for lane in 0..L {
                let x = load_column::<V, C, L>(simd, &square[lane]);
                for (sums, factors) in sums.iter_mut().zip(&factors) {
                    add_multiple(sums, simd.splat(factors[lane]), &x);
                }
            }
        }
        for (found, sums) in found.iter_mut().zip(&sums) {
            for (found, &sum) in found[k].iter_mut().zip(sums) {
                *found = *found + sum;
            }
        }
    }
    found
}

/// A column of R rows of dy.
#[inline(always)]
fn factors<'a, V: Vector, const R: usize, const L: usize>(
    dy: &Rows<'a, V::Number>,
    row: usize,
    place: usize,
) -> [&'a [V::Number; L]; R] {
    let columns = &dy.values.as_chunks::<L>().0[row * dy.row + place..];
    let mut factors = [&columns[0]; R];
    for (r, factors) in factors.iter_mut().enumerate() {
        *factors = &columns[r * dy.row];
    }
    factors
}

/// All of them, if there are.
#[inline(always)]
fn all<S, const K: usize>(squares: [Option<&S>; K]) -> Option<[&S; K]> {
    let mut found = [squares[0]?; K];
    for (found, square) in found.iter_mut().zip(squares) {
        *found = square?;
    }
    Some(found)
}
