//! Vectors that are known, combined.

use super::finish::{Finish, Places};
use super::real::Real;
use super::vector::{Kernel, Simd, Vector, add_multiple, column};
use crate::isa::Isa;

/// y = finish(z + Σᵢ cᵢ vᵢ) for one panel.
///
/// `vectors` are z and then every vᵢ, each of rows of `row` numbers.
///
/// # Panics
/// When a row is no whole number of panel columns, or a vector or y no whole number of rows.
pub fn combine<T: Real>(
    isa: Isa,
    vectors: &[T],
    coords: &[T],
    finish: &Finish<'_, T>,
    row: usize,
    y: &mut [T],
) {
    assert!(row > 0 && row.is_multiple_of(T::LANES), "got rows of {row}");
    assert!(vectors.len().is_multiple_of((coords.len() + 1) * row), "vectors");
    let rows = vectors.len() / (coords.len() + 1) / row;
    let positions = row / T::LANES;
    assert!(finish.pool().is_none_or(|pool| pool.positions() == positions), "positions");
    let columns = finish.columns(positions);
    assert_eq!(y.len(), rows * columns * T::LANES, "y");
    T::dispatch(isa, Combination { vectors, coords, finish, row, y });
}

struct Combination<'a, T> {
    vectors: &'a [T],
    coords: &'a [T],
    finish: &'a Finish<'a, T>,
    row: usize,
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for Combination<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let vectors = self.vectors.as_chunks::<L>().0;
        let size = vectors.len() / (self.coords.len() + 1);
        let (origin, rest) = vectors.split_at(size);
        if let [a, b] = *self.coords {
            let (u, v) = rest.split_at(size);
            let (a, b) = (simd.splat(a), simd.splat(b));
            // A plane's, with both vectors at hand.
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |at| {
                    let mut sums = column::<V, C, L>(simd, &origin[at]);
                    add_multiple(&mut sums, a, &column::<V, C, L>(simd, &u[at]));
                    add_multiple(&mut sums, b, &column::<V, C, L>(simd, &v[at]));
                    sums
                },
            );
        } else {
            let coords = self.coords;
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |at| {
                    let mut sums = column::<V, C, L>(simd, &origin[at]);
                    for (vector, &coord) in rest.chunks_exact(size).zip(coords) {
                        let coord = simd.splat(coord);
                        add_multiple(&mut sums, coord, &column::<V, C, L>(simd, &vector[at]));
                    }
                    sums
                },
            );
        }
    }
}

impl<T: Real> Combination<'_, T> {
    /// Finishes what `sum` finds at every column.
    #[inline(always)]
    fn columns<V: Vector<Number = T>, const C: usize, const L: usize>(
        self,
        simd: Simd<V>,
        sum: impl Fn(usize) -> [V; C],
    ) {
        let columns = self.row / L;
        let Some(pool) = self.finish.pool() else {
            for row in 0..self.y.len() / self.row {
                for at in row * columns..(row + 1) * columns {
                    let places = Places { first: [at * L], step: 0 };
                    self.finish.store(simd, row, places, [[sum(at)]], self.y);
                }
            }
            return;
        };
        let ordered = self.finish.keeps_order();
        for row in 0..self.y.len() / (pool.squares() * L).max(1) {
            for square in 0..pool.squares() {
                let columns @ [a, b, c, d] = pool.square(square).map(|at| row * columns + at);
                let sums = [[sum(a), sum(b), sum(c), sum(d)]];
                let places = Places { first: columns.map(|column| column * L), step: 0 };
                let to = ((row * pool.squares() + square) * L, 0);
                self.finish.store_largest(simd, row, places, sums, ordered, to, self.y);
            }
        }
    }
}
