//! Max-pooling over any windows.

use std::array::from_fn;

use super::real::Real;
use super::simd::{Kernel, Simd, Vector};
use crate::isa::Isa;

/// The maximum of each window's columns, lane by lane; NaN where one of them is NaN.
///
/// The images of x have `positions` columns. Column i of an image of y is the maximum of the columns
/// `sources[windows[i]..windows[i + 1]]`.
///
/// # Panics
/// When a source is not a position.
pub fn max_pool<T: Real>(
    isa: Isa,
    x: &[T],
    positions: usize,
    (windows, sources): (&[usize], &[usize]),
    y: &mut [T],
) {
    T::dispatch(isa, MaxPool { x, positions, windows, sources, y });
}

struct MaxPool<'a, T> {
    x: &'a [T],
    positions: usize,
    windows: &'a [usize],
    sources: &'a [usize],
    y: &'a mut [T],
}

impl<T: Real> Kernel<T> for MaxPool<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let images = self.x.as_chunks::<L>().0.chunks_exact(self.positions);
        let outputs = self.y.as_chunks_mut::<L>().0.chunks_exact_mut(self.windows.len() - 1);
        for (x, y) in images.zip(outputs) {
            for (ends, y) in self.windows.array_windows::<2>().zip(y) {
                let mut best = [simd.splat(T::LOWEST); C];
                for &source in &self.sources[ends[0]..ends[1]] {
                    let x = &x[source];
                    best = from_fn(|c| V::maximum(simd.load(&x[c * V::LEN..]), best[c]));
                }
                for (y, best) in y.chunks_exact_mut(V::LEN).zip(best) {
                    best.store(y);
                }
            }
        }
    }
}
