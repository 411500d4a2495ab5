//! Transformed Winograd filters.

use std::marker::PhantomData;

use super::tile::{Tile, across};
use crate::network::kernel::number::Number;
use crate::network::kernel::packing::Packing;
use crate::network::kernel::real::Real;
use crate::network::kernel::simd::{Kernel, MAX_LEN, Simd, Vector};

/// G g Gᵀ of every filter, by entry of the tile, each entry packed as the weights of a product; the
/// sum of squares of all follows.
pub(super) struct Filters<'a, T, S, const N: usize, const M: usize> {
    packing: &'a Packing,
    weights: &'a [T],
    /// Whether the taps run from the window's last entry to its first.
    mirrored: bool,
    out: &'a mut [T],
    tile: PhantomData<S>,
}

impl<'a, T, S, const N: usize, const M: usize> Filters<'a, T, S, N, M> {
    pub fn new(packing: &'a Packing, weights: &'a [T], mirrored: bool, out: &'a mut [T]) -> Self {
        Self { packing, weights, mirrored, out, tile: PhantomData }
    }
}

impl<T: Real, S: Tile<N, M>, const N: usize, const M: usize> Kernel<T> for Filters<'_, T, S, N, M> {
    #[inline(always)]
    fn run<V: Vector<Number = T>, const C: usize, const L: usize>(self, simd: Simd<V>) {
        let count = self.packing.rows() * self.packing.inner();
        let mut squares = [simd.splat(T::ZERO); N];
        for group in self.packing.groups() {
            let start = group.start * self.packing.inner();
            let size = group.len() * self.packing.inner();
            let weights = &self.weights[9 * start..][..9 * size];
            for first in (0..size).step_by(V::LEN) {
                let valid = (size - first).min(V::LEN);
                let mut g = [simd.splat(T::ZERO); 9];
                for (tap, g) in g.iter_mut().enumerate() {
                    let tap = if self.mirrored { 8 - tap } else { tap };
                    *g = read(simd, &weights[tap * size + first..][..valid]);
                }
                let mut columns = [[simd.splat(T::ZERO); N]; 3];
                for (b, column) in columns.iter_mut().enumerate() {
                    *column = S::filter(simd, [g[b], g[3 + b], g[6 + b]]);
                }
                for a in 0..N {
                    let row = S::filter(simd, across(&columns, a));
                    for (b, &entry) in row.iter().enumerate() {
                        squares[b] = V::mul_add(entry, entry, squares[b]);
                        let offset = (a * N + b) * count + start + first;
                        write(entry, &mut self.out[offset..][..valid]);
                    }
                }
            }
        }
        let mut sum = T::ZERO;
        for squares in &squares {
            sum += squares.sum_lanes();
        }
        self.out[N * N * count] = sum;
    }
}

/// Loads a register, padded with zeros.
#[inline(always)]
fn read<V: Vector>(simd: Simd<V>, from: &[V::Number]) -> V {
    if from.len() == V::LEN {
        return simd.load(from);
    }
    let mut padded = [V::Number::ZERO; MAX_LEN];
    padded[..from.len()].copy_from_slice(from);
    simd.load(&padded)
}

/// Stores the first numbers of a register.
#[inline(always)]
fn write<V: Vector>(register: V, to: &mut [V::Number]) {
    if to.len() == V::LEN {
        return register.store(to);
    }
    let mut padded = [V::Number::ZERO; MAX_LEN];
    register.store(&mut padded);
    to.copy_from_slice(&padded[..to.len()]);
}
