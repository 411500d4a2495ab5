//! Where sums that are in registers together lie in memory.

use super::simd::{Simd, Vector};

/// The places of a tile, R rows of P columns: the first row's, and how far it is to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileLayout<const P: usize> {
    pub first: [usize; P],
    pub step: usize,
}

impl<const P: usize> TileLayout<P> {
    /// Adds what lies there to a tile.
    #[inline(always)]
    pub fn add<V: Vector, const R: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        tile: &mut [[[V; C]; P]; R],
        from: &[V::Number],
    ) {
        for (r, columns) in tile.iter_mut().enumerate() {
            for (p, column) in columns.iter_mut().enumerate() {
                let from = &from[self.of(r, p)..][..C * V::LEN];
                for (sum, from) in column.iter_mut().zip(from.chunks_exact(V::LEN)) {
                    *sum = *sum + simd.load(from);
                }
            }
        }
    }

    /// Writes a tile there.
    #[inline(always)]
    pub fn write<V: Vector, const R: usize, const C: usize>(
        &self,
        tile: &[[[V; C]; P]; R],
        to: &mut [V::Number],
    ) {
        for (r, columns) in tile.iter().enumerate() {
            for (p, column) in columns.iter().enumerate() {
                let to = &mut to[self.of(r, p)..][..C * V::LEN];
                for (&value, to) in column.iter().zip(to.chunks_exact_mut(V::LEN)) {
                    value.store(to);
                }
            }
        }
    }

    #[inline(always)]
    fn of(&self, row: usize, column: usize) -> usize {
        self.first[column] + row * self.step
    }
}

/// The tile of rows that have one column each.
#[inline(always)]
pub(super) fn alone<S: Copy, const R: usize>(rows: [S; R]) -> [[S; 1]; R] {
    let mut tile = [[rows[0]]; R];
    for (tile, &row) in tile.iter_mut().zip(&rows) {
        *tile = [row];
    }
    tile
}
