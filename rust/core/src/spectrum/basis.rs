//! Orthonormal vectors in memory or in a file: orthogonalisation, combinations, restarts.
//!
//! Vectors are long and few, so all work runs over blocks of their entries, which stay in the cache.
//! Block sums are added in the tree of `vector.rs`, so results have the same bits on any number of
//! threads.

mod blocks;
mod mapped;

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, require};
use crate::memory::require_memory;
use crate::scalar::Scalar;
use crate::threads::{install, join};
use crate::vector::{add_entries, tree_sum};
use blocks::{BLOCK, products, subtract};
use mapped::Mapped;

/// Entries of a block in `recombine`, where copies of all rows must fit the cache.
const COLUMNS: usize = 1 << 8;

enum Store<S> {
    Memory(Vec<S>),
    File(Mapped),
}

/// Up to `capacity` rows of `dim` numbers.
pub struct Basis<S> {
    store: Store<S>,
    dim: usize,
    rows: usize,
    capacity: usize,
}

impl<S: Scalar> Basis<S> {
    /// An empty basis, in memory or in a new file that no other process may modify.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a size is 0 or the file cannot be created.
    pub fn new(dim: usize, capacity: usize, path: Option<&Path>) -> Result<Self, Error> {
        require!(
            dim > 0 && capacity > 0,
            "got a basis of {capacity} rows of {dim}; pass one of each"
        );
        let store = if let Some(path) = path {
            Store::File(Mapped::new::<S>(path, dim, capacity)?)
        } else {
            let what = format!("a basis of {capacity} vectors of {dim} entries");
            Store::Memory(vec![S::default(); require_memory::<S>(&what, &[capacity, dim])?])
        };
        Ok(Self { store, dim, rows: 0, capacity })
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The number of rows that can still be appended.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.capacity - self.rows
    }

    /// The rows, row-major (len, dim).
    #[must_use]
    pub fn numbers(&self) -> &[S] {
        let all = match &self.store {
            Store::Memory(numbers) => numbers,
            Store::File(map) => map.numbers(),
        };
        &all[..self.rows * self.dim]
    }

    /// One row.
    #[must_use]
    pub fn row(&self, index: usize) -> &[S] {
        &self.numbers()[index * self.dim..(index + 1) * self.dim]
    }

    fn numbers_mut(&mut self) -> &mut [S] {
        match &mut self.store {
            Store::Memory(numbers) => numbers,
            Store::File(map) => map.numbers_mut(),
        }
    }

    /// Appends `factor` times a vector.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the basis is full or the length another.
    pub fn push(&mut self, vector: &[S], factor: f64) -> Result<(), Error> {
        require!(
            vector.len() == self.dim && self.rows < self.capacity,
            "got a vector of {} entries for row {} of {}; rows have {} entries",
            vector.len(),
            self.rows,
            self.capacity,
            self.dim
        );
        let (dim, first) = (self.dim, self.rows * self.dim);
        let row = &mut self.numbers_mut()[first..first + dim];
        let scale = |(out, values): (&mut [S], &[S])| {
            for (entry, value) in out.iter_mut().zip(values) {
                *entry = S::narrow(factor * value.widen());
            }
        };
        install(|| row.par_chunks_mut(BLOCK).zip(vector.par_chunks(BLOCK)).for_each(scale));
        self.rows += 1;
        Ok(())
    }

    /// Keeps the first `rows` rows.
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
    }

    /// Orthogonalises w against all rows V, and returns the coefficients c = V w: w ← w − V'c.
    ///
    /// Classical Gram-Schmidt twice, which is enough. V is read three times, not four: the products of the
    /// second pass are computed while a block of V is in the cache for the correction of the first.
    ///
    /// # Reference
    /// Giraud, Langou, Rozložník (2005), *The loss of orthogonality in the Gram-Schmidt
    /// orthogonalization process*.
    ///
    /// # Panics
    /// Where w has another length.
    pub fn orthogonalise(&self, w: &mut [S]) -> Vec<f64> {
        assert_eq!(w.len(), self.dim, "a vector as long as the rows");
        if self.rows == 0 {
            return Vec::new();
        }
        let first = {
            let w = &*w;
            let leaf = |range: Range<usize>| products(&self.block(range.clone()), &w[range]);
            tree_sum(0..self.dim, BLOCK, &leaf, &add_entries)
        };
        let second = self.correct(0, w, &first, true);
        self.correct(0, w, &second, false);
        add_entries(first, second)
    }

    /// w ← w − V'c, and V w of the new w where `again`.
    fn correct(&self, start: usize, w: &mut [S], c: &[f64], again: bool) -> Vec<f64> {
        if w.len() <= BLOCK {
            let block = self.block(start..start + w.len());
            subtract(&block, c, w);
            return if again { products(&block, w) } else { Vec::new() };
        }
        // The same tree as that of `tree_sum`.
        let middle = w.len().div_ceil(BLOCK).div_ceil(2) * BLOCK;
        let (left, right) = w.split_at_mut(middle);
        let (left, right) = join(
            || self.correct(start, left, c, again),
            || self.correct(start + middle, right, c, again),
        );
        add_entries(left, right)
    }

    /// Columns `range` of all rows.
    fn block(&self, range: Range<usize>) -> Vec<&[S]> {
        self.numbers().chunks_exact(self.dim).map(|row| &row[range.clone()]).collect()
    }

    /// Σᵢ cᵢ vᵢ of the rows from `first`, for each row c of `coefficients`: row-major (k, dim).
    #[must_use]
    pub fn combinations(&self, first: usize, coefficients: &[Vec<f64>]) -> Vec<S> {
        let mut out = vec![S::default(); coefficients.len() * self.dim];
        for (row, c) in out.chunks_exact_mut(self.dim).zip(coefficients) {
            let fill = |(block, out): (usize, &mut [S])| {
                let start = block * BLOCK;
                let rows = self.block(start..start + out.len());
                let negative: Vec<f64> = c.iter().map(|c| -c).collect();
                subtract(&rows[first..first + c.len()], &negative, out);
            };
            install(|| row.par_chunks_mut(BLOCK).enumerate().for_each(fill));
        }
        out
    }

    /// Replaces the n rows from `first` by k ≤ n combinations of them, in place; the rows after them move
    /// up.
    pub fn recombine(&mut self, first: usize, coefficients: &[Vec<f64>]) {
        let (dim, rows) = (self.dim, self.rows);
        let old = coefficients.first().map_or(0, Vec::len);
        let region = &mut self.numbers_mut()[first * dim..rows * dim];
        let (changed, _) = region.split_at_mut(old * dim);
        let mut blocks: Vec<Vec<&mut [S]>> = Vec::new();
        blocks.resize_with(dim.div_ceil(COLUMNS), || Vec::with_capacity(old));
        for row in changed.chunks_exact_mut(dim) {
            for (block, piece) in blocks.iter_mut().zip(row.chunks_mut(COLUMNS)) {
                block.push(piece);
            }
        }
        let recombine = |block: &mut Vec<&mut [S]>| {
            let copies: Vec<Vec<S>> = block.iter().map(|piece| piece.to_vec()).collect();
            let copies: Vec<&[S]> = copies.iter().map(Vec::as_slice).collect();
            for (piece, c) in block.iter_mut().zip(coefficients) {
                let negative: Vec<f64> = c.iter().map(|c| -c).collect();
                piece.fill(S::default());
                subtract(&copies, &negative, piece);
            }
        };
        install(|| blocks.par_iter_mut().for_each(recombine));
        region.copy_within(old * dim.., coefficients.len() * dim);
        self.rows -= old - coefficients.len();
    }
}
