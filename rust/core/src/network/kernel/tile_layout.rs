//! The memory layout of a micro-kernel tile.

use super::simd::{Simd, Vector};

/// The offsets of a tile of R rows and P columns: those of the first row, and the step between rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileLayout<const P: usize> {
    pub first: [usize; P],
    pub step: usize,
}

impl<const P: usize> TileLayout<P> {
    /// Adds the stored numbers to a tile.
    #[inline(always)]
    pub fn add<V: Vector, const R: usize, const C: usize>(
        &self,
        simd: Simd<V>,
        tile: &mut [[[V; C]; P]; R],
        from: &[V::Number],
    ) {
        for (r, columns) in tile.iter_mut().enumerate() {
            for (p, column) in columns.iter_mut().enumerate() {
                let from = &from[self.offset(r, p)..][..C * V::LEN];
                for (sum, from) in column.iter_mut().zip(from.chunks_exact(V::LEN)) {
                    *sum = *sum + simd.load(from);
                }
            }
        }
    }

    /// Stores a tile.
    #[inline(always)]
    pub fn write<V: Vector, const R: usize, const C: usize>(
        &self,
        tile: &[[[V; C]; P]; R],
        to: &mut [V::Number],
    ) {
        for (r, columns) in tile.iter().enumerate() {
            for (p, column) in columns.iter().enumerate() {
                let to = &mut to[self.offset(r, p)..][..C * V::LEN];
                for (&value, to) in column.iter().zip(to.chunks_exact_mut(V::LEN)) {
                    value.store(to);
                }
            }
        }
    }

    #[inline(always)]
    fn offset(&self, row: usize, column: usize) -> usize {
        self.first[column] + row * self.step
    }
}

/// The tile of rows that have one column each.
#[inline(always)]
pub(super) fn single_column<S: Copy, const R: usize>(rows: [S; R]) -> [[S; 1]; R] {
    let mut tile = [[rows[0]]; R];
    for (tile, &row) in tile.iter_mut().zip(&rows) {
        *tile = [row];
    }
    tile
}
