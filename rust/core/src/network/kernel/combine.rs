//! Vectors that are known, combined.

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
                |column| {
                    let mut sums = read::<V, C, L>(simd, &origin[column]);
                    add(&mut sums, a, read::<V, C, L>(simd, &u[column]));
                    add(&mut sums, b, read::<V, C, L>(simd, &v[column]));
                    sums
                },
            );
        } else {
            let coords = self.coords;
            self.columns::<V, C, L>(
                simd,
                #[inline(always)]
                |column| {
                    let mut sums = read::<V, C, L>(simd, &origin[column]);
                    for (vector, &coord) in rest.chunks_exact(size).zip(coords) {
                        let coord = simd.splat(coord);
                        add(&mut sums, coord, read::<V, C, L>(simd, &vector[column]));
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
    column: &[V::Number; L],
) -> [V; C] {
    let mut registers = [simd.splat(V::Number::ZERO); C];
    for (register, from) in registers.iter_mut().zip(column.chunks_exact(V::LEN)) {
        *register = simd.load(from);
    }
    registers
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
        let Some(pool) = self.finish.pool() else {
            let y = self.y.as_chunks_mut::<L>().0.chunks_exact_mut(columns);
            for (row, y) in y.enumerate() {
                for (position, y) in y.iter_mut().enumerate() {
                    let column = row * columns + position;
                    self.finish.store_one(simd, row, column * L, sum(column), y);
                }
            }
            return;
        };
        let y = self.y.as_chunks_mut::<L>().0.chunks_exact_mut(pool.squares().max(1));
        for (row, y) in y.enumerate() {
            for (square, y) in y.iter_mut().enumerate() {
                let columns @ [a, b, c, d] = pool.square(square).map(|at| row * columns + at);
                let sums = [sum(a), sum(b), sum(c), sum(d)];
                let places = columns.map(|column| column * L);
                self.finish.store_largest(simd, row, places, sums, y);
            }
        }
    }
}
