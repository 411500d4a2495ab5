//! Vectors that are known, combined.

use std::array::from_fn;

use super::finish::Finish;
use super::real::Real;
use super::vector::{Kernel, Simd, Vector};
use crate::isa::Isa;

/// y = finish(z + Σᵢ cᵢ vᵢ) for one panel.
///
/// `vectors` are z and then every vᵢ, each as long as y, whose rows have `row` numbers.
///
/// # Panics
/// When there are not as many vectors as that, or a row is no whole number of panel columns.
pub fn combine<T: Real>(
    isa: Isa,
    vectors: &[T],
    coords: &[T],
    finish: &Finish<'_, T>,
    row: usize,
    y: &mut [T],
) {
    assert_eq!(vectors.len(), (coords.len() + 1) * y.len(), "vectors");
    assert!(row > 0 && row.is_multiple_of(T::LANES), "got rows of {row}");
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
        let (origin, rest) = self.vectors.split_at(self.y.len());
        let read = |from: &[T], place: usize| -> [V; C] {
            let from = &from[place..place + L];
            from_fn(|c| simd.load(&from[c * V::LEN..]))
        };
        let add = |sums: [V; C], coord: T, vector: [V; C]| -> [V; C] {
            from_fn(|c| V::mul_add(vector[c], simd.splat(coord), sums[c]))
        };
        if let [a, b] = *self.coords {
            let (u, v) = rest.split_at(origin.len());
            // A plane's, with both vectors at hand.
            self.columns::<V, C, L>(simd, |place| {
                add(add(read(origin, place), a, read(u, place)), b, read(v, place))
            });
        } else {
            let coords = self.coords;
            let vectors = || rest.chunks_exact(origin.len()).zip(coords);
            let sum = |place| {
                vectors().fold(read(origin, place), |sums, (vector, &coord)| {
                    add(sums, coord, read(vector, place))
                })
            };
            self.columns::<V, C, L>(simd, sum);
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
        let finish = *self.finish;
        for (index, y) in self.y.chunks_exact_mut(self.row).enumerate() {
            for (column, y) in y.as_chunks_mut::<L>().0.iter_mut().enumerate() {
                let place = index * self.row + column * L;
                finish.store(simd, index, y, place, sum(place));
            }
        }
    }
}
