//! Tiles of sums that fill the registers.

use std::ops::Range;

use crate::network::kernel::packing::{for_rows, sizes};
use crate::network::kernel::real::Real;
use crate::network::kernel::reduce::Rows;
use crate::network::kernel::taps::Taps;
use crate::network::kernel::vector::{Kernel, Simd, Vector};

/// Positions whose numbers stay in the first caches while all taps and rows pass over them.
const POSITIONS: usize = 16;

/// What the channels that were turned add to the sums.
pub(super) struct Reduction<'a, T: Real> {
    pub taps: &'a Taps,
    pub dy: Rows<'a, T>,
    pub panels: usize,
    /// Channels of a row, and what fills up the last unit.
    pub width: usize,
    /// `[unit of channels][panel][position][lane][channel of the unit]`.
    pub turned: &'a [T],
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

impl<T: Real> Kernel<T> for Reduction<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(mut self, simd: Simd<V>) {
        let positions = self.taps.positions();
        let columns = self.taps.taps() * (self.width / L);
        for first in (0..positions).step_by(POSITIONS) {
            let chunk = first..positions.min(first + POSITIONS);
            let mut column = 0;
            // Alone in its register, a unit leaves room for others, which share what is read of dy.
            while C == 1 && column + 4 <= columns {
                self.columns::<V, 4, C, L>(simd, column, chunk.clone());
                column += 4;
            }
            while C == 1 && column + 2 <= columns {
                self.columns::<V, 2, C, L>(simd, column, chunk.clone());
                column += 2;
            }
            while column < columns {
                self.columns::<V, 1, C, L>(simd, column, chunk.clone());
                column += 1;
            }
        }
    }
}

impl<T: Real> Reduction<'_, T> {
    /// K columns of all rows.
    #[inline(always)]
    fn columns<V: Vector<Number = T>, const K: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        first: usize,
        positions: Range<usize>,
    ) {
        let units = self.width / L;
        let mut columns = [Column { tap: 0, unit: 0 }; K];
        for (k, column) in columns.iter_mut().enumerate() {
            *column = Column { tap: (first + k) / units, unit: (first + k) % units };
        }
        let mut row = 0;
        for rows in sizes(self.dy.count) {
            for_rows!(rows, R => {
                let found = self.tile::<V, R, K, C, L>(simd, &columns, positions.clone(), row);
                for (r, found) in found.iter().enumerate() {
                    for (Column { tap, unit }, found) in columns.iter().zip(found) {
                        let place = (tap * self.dy.count + row + r) * self.width + unit * L;
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

    /// What K columns make of R rows.
    #[inline(always)]
    fn tile<
        V: Vector<Number = T>,
        const R: usize,
        const K: usize,
        const C: usize,
        const L: usize,
    >(
        &self,
        simd: Simd<V>,
        columns: &[Column; K],
        positions: Range<usize>,
        row: usize,
    ) -> [[[V; C]; K]; R] {
        let sources = self.taps.source_positions();
        let dy = &self.dy.values.as_chunks::<L>().0[row * self.dy.row..];
        let turned = self.turned.as_chunks::<L>().0.as_chunks::<L>().0;
        let mut sums = [[[simd.splat(T::ZERO); C]; K]; R];
        for panel in 0..self.panels {
            for position in positions.clone() {
                let place = panel * self.dy.panel + position;
                let mut factors = [&dy[place]; R];
                for (r, factors) in factors.iter_mut().enumerate() {
                    *factors = &dy[place + r * self.dy.row];
                }
                let mut squares: [Option<&Square<T, L>>; K] = [None; K];
                for (square, Column { tap, unit }) in squares.iter_mut().zip(columns) {
                    if let Some(source) = self.taps.source(position, *tap) {
                        *square = Some(&turned[(unit * self.panels + panel) * sources + source]);
                    }
                }
                if let Some(squares) = all(squares) {
                    for lane in 0..L {
                        let mut x = [[simd.splat(T::ZERO); C]; K];
                        for (x, square) in x.iter_mut().zip(squares) {
                            *x = read(simd, &square[lane]);
                        }
                        for (sums, factors) in sums.iter_mut().zip(factors) {
                            let factor = simd.splat(factors[lane]);
                            for (sums, x) in sums.iter_mut().zip(&x) {
                                add(sums, x, factor);
                            }
                        }
                    }
                    continue;
                }
                for (k, square) in squares.into_iter().enumerate() {
                    let Some(square) = square else { continue };
                    for lane in 0..L {
                        let x = read::<V, C, L>(simd, &square[lane]);
                        for (sums, factors) in sums.iter_mut().zip(factors) {
                            add(&mut sums[k], &x, simd.splat(factors[lane]));
                        }
                    }
                }
            }
        }
        sums
    }
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

/// A row of a square.
#[inline(always)]
fn read<V: Vector, const C: usize, const L: usize>(simd: Simd<V>, row: &[V::Number; L]) -> [V; C] {
    let mut registers = [simd.splat(V::Number::ZERO); C];
    for (register, from) in registers.iter_mut().zip(row.chunks_exact(V::LEN)) {
        *register = simd.load(from);
    }
    registers
}

/// Adds a multiple of x.
#[inline(always)]
fn add<V: Vector, const C: usize>(sums: &mut [V; C], x: &[V; C], factor: V) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = V::mul_add(x, factor, *sum);
    }
}
