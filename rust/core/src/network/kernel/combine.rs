//! Vectors that are known, combined.

use std::array::from_fn;

use super::finish::Finish;
use super::real::Real;
use super::vector::{Kernel, Simd, Vector};
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
    let columns = match finish.pool() {
        Some(pool) => {
            assert_eq!(pool.positions() * T::LANES, row, "positions");
            pool.squares()
        }
        None => row / T::LANES,
    };
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
        let size = self.vectors.len() / (self.coords.len() + 1);
        let (origin, rest) = self.vectors.split_at(size);
        if let [a, b] = *self.coords {
            let (u, v) = rest.split_at(size);
            // A plane's, with both vectors at hand.
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |place| {
                    let mut sums = read::<V, C, L>(simd, origin, place);
                    add(&mut sums, simd.splat(a), read::<V, C, L>(simd, u, place));
                    add(&mut sums, simd.splat(b), read::<V, C, L>(simd, v, place));
                    sums
                },
            );
        } else {
            let coords = self.coords;
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |place| {
                    let mut sums = read::<V, C, L>(simd, origin, place);
                    for (vector, &coord) in rest.chunks_exact(size).zip(coords) {
                        add(&mut sums, simd.splat(coord), read::<V, C, L>(simd, vector, place));
                    }
                    sums
                },
            );
        }
    }
}

/// A column of a vector.
#[inline(always)]
fn read<V: Vector, const C: usize, const L: usize>(
    simd: Simd<V>,
    from: &[V::Number],
    place: usize,
) -> [V; C] {
    let from = &from[place..place + L];
    from_fn(|c| simd.load(&from[c * V::LEN..]))
}

/// Adds a multiple of a column.
#[inline(always)]
fn add<V: Vector, const C: usize>(sums: &mut [V; C], coord: V, column: [V; C]) {
    for (sum, number) in sums.iter_mut().zip(column) {
        *sum = V::mul_add(number, coord, *sum);
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
        for row in 0..self.vectors.len() / (self.coords.len() + 1) / self.row {
            let place = |position: usize| (row * columns + position) * L;
            match self.finish.pool() {
                None => {
                    for place in (0..columns).map(place) {
                        self.finish.store(simd, row, [place], [sum(place)], self.y);
                    }
                }
                Some(pool) => {
                    let y = &mut self.y[row * pool.squares() * L..][..pool.squares() * L];
                    for (square, y) in y.as_chunks_mut::<L>().0.iter_mut().enumerate() {
                        let places @ [a, b, c, d] = pool.square(square).map(place);
                        let sums = [sum(a), sum(b), sum(c), sum(d)];
                        self.finish.store_largest(simd, row, places, sums, y);
                    }
                }
            }
        }
    }
}
