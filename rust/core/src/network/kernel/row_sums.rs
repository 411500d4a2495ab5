//! Sums of rows: the gradient of a bias.

use super::real::Real;
use super::simd::{Kernel, Simd, Vector};
use crate::isa::Isa;

/// Rows that are summed at once, so that their additions do not wait for each other.
const ROWS: usize = 8;

/// out[row] += Σ values[panel][row][position][lane] over panels, positions and lanes.
///
/// # Panics
/// When the values are not a whole number of panels.
pub fn add_row_sums<T: Real>(isa: Isa, values: &[T], positions: usize, out: &mut [T]) {
    let panel = out.len() * positions * T::LANES;
    assert!(panel == 0 || values.len().is_multiple_of(panel), "got {} numbers", values.len());
    if panel > 0 {
        T::dispatch(isa, RowSums { values, positions, out });
    }
}

struct RowSums<'a, T> {
    values: &'a [T],
    positions: usize,
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for RowSums<'_, T> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let (values, _) = self.values.as_chunks::<L>();
        let (rows, positions) = (self.out.len(), self.positions);
        for first in (0..rows).step_by(ROWS) {
            let mut sums = [simd.splat(T::ZERO); ROWS];
            for panel in values.chunks_exact(rows * positions) {
                for position in 0..positions {
                    for (r, sum) in sums.iter_mut().enumerate() {
                        // Past the last row, the last one is read again.
                        let row = (first + r).min(rows - 1);
                        for part in panel[row * positions + position].chunks_exact(V::LEN) {
                            *sum = *sum + simd.load(part);
                        }
                    }
                }
            }
            for (out, sum) in self.out[first..].iter_mut().zip(sums) {
                *out += sum.sum_lanes();
            }
        }
    }
}
