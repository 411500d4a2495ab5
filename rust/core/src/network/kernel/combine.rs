//! Vectors that are known, combined.

use super::finish::Finish;
use super::math::tanh::tanh;
use super::places::{Places, alone};
use super::pool::Pool;
use super::real::Real;
use super::vector::{Kernel, Simd, Vector, add_multiple, column};
use crate::isa::Isa;

/// Columns that are finished together.
const TILE: usize = 4;

/// A function that is applied last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// x.
    Identity,
    /// tanh x.
    Tanh,
}

/// y = last(finish(z + Σᵢ cᵢ vᵢ)) for one panel.
///
/// `vectors` are z and then every vᵢ, each of rows of `row` numbers.
///
/// # Panics
/// When a row is no whole number of panel columns, or a vector or y no whole number of rows; and where
/// a function is to follow what is pooled.
pub fn combine<T: Real>(
    isa: Isa,
    vectors: &[T],
    coords: &[T],
    finish: &Finish<'_, T>,
    last: Last,
    row: usize,
    y: &mut [T],
) {
    assert!(row > 0 && row.is_multiple_of(T::LANES), "got rows of {row}");
    assert!(vectors.len().is_multiple_of((coords.len() + 1) * row), "vectors");
    let rows = vectors.len() / (coords.len() + 1) / row;
    let positions = row / T::LANES;
    assert!(finish.pool().is_none() || last == Last::Identity, "what is pooled comes last");
    assert!(finish.pool().is_none_or(|pool| pool.positions() == positions), "positions");
    let columns = finish.columns(positions);
    assert_eq!(y.len(), rows * columns * T::LANES, "y");
    T::dispatch(isa, Combination { vectors, coords, finish, last, row, y });
}

struct Combination<'a, T> {
    vectors: &'a [T],
    coords: &'a [T],
    finish: &'a Finish<'a, T>,
    last: Last,
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
        mut self,
        simd: Simd<V>,
        sum: impl Fn(usize) -> [V; C],
    ) {
        let columns = self.row / L;
        let rows = self.vectors.len() / (self.coords.len() + 1) / self.row;
        if let Some(pool) = self.finish.pool() {
            return self.squares::<V, C, L>(simd, pool, rows, sum);
        }
        // Several rows or columns at once share what is done but once for them.
        let (lines, length) = if columns == 1 { (1, rows) } else { (rows, columns) };
        for line in 0..lines {
            let (start, end) = (line * length, (line + 1) * length);
            let whole = start + length / TILE * TILE;
            for at in (start..whole).step_by(TILE) {
                let mut sums = [[simd.splat(T::ZERO); C]; TILE];
                for (i, sums) in sums.iter_mut().enumerate() {
                    *sums = sum(at + i);
                }
                self.finish_tile::<V, TILE, C, L>(simd, columns, at, sums);
            }
            for at in whole..end {
                self.finish_tile::<V, 1, C, L>(simd, columns, at, [sum(at)]);
            }
        }
    }

    /// Finishes columns from this one on, which are rows where each has only one.
    #[inline(always)]
    fn finish_tile<V: Vector<Number = T>, const N: usize, const C: usize, const L: usize>(
        &mut self,
        simd: Simd<V>,
        columns: usize,
        at: usize,
        sums: [[V; C]; N],
    ) {
        if columns == 1 {
            let places = Places { first: [at * L], step: L };
            let tile = self.finish.finished(simd, at, places, alone(sums), self.y);
            places.write(&self.last(simd, tile), self.y);
        } else {
            let mut places = Places { first: [at * L; N], step: 0 };
            for (i, place) in places.first.iter_mut().enumerate() {
                *place += i * L;
            }
            let tile = self.finish.finished(simd, at / columns, places, [sums], self.y);
            places.write(&self.last(simd, tile), self.y);
        }
    }

    /// The last function of a tile.
    #[inline(always)]
    fn last<V: Vector<Number = T>, const R: usize, const P: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        mut tile: [[[V; C]; P]; R],
    ) -> [[[V; C]; P]; R] {
        if self.last == Last::Tanh {
            for value in tile.as_flattened_mut().as_flattened_mut() {
                *value = tanh(simd, *value);
            }
        }
        tile
    }

    /// Finishes what `sum` finds in every square.
    #[inline(always)]
    fn squares<V: Vector<Number = T>, const C: usize, const L: usize>(
        self,
        simd: Simd<V>,
        pool: Pool,
        rows: usize,
        sum: impl Fn(usize) -> [V; C],
    ) {
        let ordered = self.finish.keeps_order();
        for row in 0..rows {
            for square in 0..pool.squares() {
                let columns @ [a, b, c, d] =
                    pool.square(square).map(|at| row * (self.row / L) + at);
                let sums = [[sum(a), sum(b), sum(c), sum(d)]];
                let places = Places { first: columns.map(|column| column * L), step: 0 };
                let to = Places { first: [(row * pool.squares() + square) * L], step: 0 };
                self.finish.store_largest(simd, row, places, sums, ordered, to, self.y);
            }
        }
    }
}
