//! The sketch: a subspace with the large eigenvalues, on which an estimate is exact.

use super::precision::MIN_SAMPLES;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::vector::norm;

/// Growth stops after this many blocks that did not lower the predicted cost.
const PATIENCE: usize = 3;

/// An image whose norm falls below this many units of rounding in orthogonalisation counts as zero.
const BREAKDOWN: f64 = 8.0;

/// An orthonormal basis Q of images of random vectors, which captures the large eigenvalues: samples of
/// the remainder P A P, P = 1 − QᵀQ, have little variance.
///
/// # Reference
/// Meyer, Musco, Musco, Woodruff (2021), *Hutch++*; Persson, Cortinovis, Kressner (2022), *Improved
/// variants of the Hutch++ algorithm*, section 3, for a size that adapts to the matrix.
pub(super) struct Sketch<S> {
    pub basis: Basis<S>,
    max_rows: usize,
    /// The lowest predicted number of products, and the number of blocks since then.
    pub lowest_cost: f64,
    pub stale: usize,
    /// Whether the basis still grows.
    pub growing: bool,
}

impl<S: Scalar> Sketch<S> {
    pub fn new(dim: usize, rows: usize) -> Result<Self, Error> {
        // A row of a sketch takes two products, so that half of all rows cost as much as a sweep.
        let max_rows = rows.min(dim / 2);
        Ok(Self {
            basis: Basis::new(dim, max_rows.max(1), None)?,
            max_rows,
            lowest_cost: f64::INFINITY,
            stale: 0,
            growing: max_rows > 0,
        })
    }

    /// Decides whether the basis grows further. After `spent` products, the precision is predicted to
    /// take `samples` of `cost` products each; growing by `block` rows takes 2 `block` vectors.
    pub fn decide_growth(
        &mut self,
        spent: usize,
        samples: f64,
        cost: usize,
        block: usize,
        max_products: usize,
    ) {
        let total = spent as f64 + samples * cost as f64;
        if total < self.lowest_cost {
            (self.lowest_cost, self.stale) = (total, 0);
        } else {
            self.stale += 1;
        }
        let next = block.saturating_mul(2).saturating_add(MIN_SAMPLES).saturating_mul(cost);
        let next = spent.saturating_add(next);
        self.growing = samples > MIN_SAMPLES as f64
            && self.stale < PATIENCE
            && self.basis.len() + block <= self.max_rows
            && next <= max_products;
    }

    /// Adds images of random vectors to the basis, and stops growing where none is independent of it.
    pub fn extend(&mut self, images: &mut [S], dim: usize) -> Result<(), Error> {
        let before = self.basis.len();
        for image in images.chunks_mut(dim) {
            let size = norm(image);
            self.basis.orthogonalise(image);
            let remainder = norm(image);
            if remainder > BREAKDOWN * S::EPSILON * size {
                for value in image.iter_mut() {
                    *value = S::narrow(value.widen() / remainder);
                }
                // The remainder may be short, and its relative rounding error large.
                self.basis.orthogonalise(image);
                self.basis.push(image, 1.0 / norm(image))?;
            }
        }
        self.growing &= self.basis.len() > before;
        Ok(())
    }
}
