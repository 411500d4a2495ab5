//! The subspace that is summed exactly, and when it is large enough.

use super::FEWEST;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::spectrum::basis::Basis;
use crate::vector::norm;

/// Blocks that may pass without making the whole cheaper.
const PATIENCE: usize = 3;

/// What is left of an image below so many units of rounding is no direction.
const NOTHING: f64 = 8.0;

/// An orthonormal basis Q of images of random vectors, which captures the large eigenvalues; what is
/// left, P A P with P = 1 − Q Qᵀ, has forms of little variance.
///
/// # Reference
/// Meyer, Musco, Musco, Woodruff (2021), *Hutch++*; Persson, Cortinovis, Kressner (2022), *Improved
/// variants of the Hutch++ algorithm*, section 3, for a size that follows the matrix.
pub(super) struct Sketch<S> {
    pub basis: Basis<S>,
    /// Rows that the basis may have.
    rows: usize,
    /// The lowest cost that was predicted, and how many blocks ago.
    pub best: f64,
    pub stale: usize,
    /// Whether it still grows.
    pub growing: bool,
}

impl<S: Scalar> Sketch<S> {
    pub fn new(dim: usize, rows: usize) -> Result<Self, Error> {
        // A row of a sketch takes two products: half of all rows cost as much as all summed.
        let rows = rows.min(dim / 2);
        Ok(Self {
            basis: Basis::new(dim, rows.max(1), None)?,
            rows,
            best: f64::INFINITY,
            stale: 0,
            growing: rows > 0,
        })
    }

    /// Judges the basis as it is: with `spent` products, so many more `samples` at `cost` products
    /// each would do. Growing by `block` rows takes as many products, and so does the next look.
    pub fn judge(&mut self, spent: usize, samples: f64, cost: usize, block: usize, most: usize) {
        let total = spent as f64 + samples * cost as f64;
        if total < self.best {
            (self.best, self.stale) = (total, 0);
        } else {
            self.stale += 1;
        }
        let next = spent + (2 * block + FEWEST) * cost;
        self.growing = samples > FEWEST as f64
            && self.stale < PATIENCE
            && self.basis.len() + block <= self.rows
            && next <= most;
    }

    /// Takes images of random vectors into the basis, and stops growing where they bring nothing.
    pub fn extend(&mut self, images: &mut [S], dim: usize) -> Result<(), Error> {
        let before = self.basis.len();
        for image in images.chunks_mut(dim) {
            let size = norm(image);
            self.basis.orthogonalise(image);
            let left = norm(image);
            if left > NOTHING * S::EPSILON * size {
                for value in image.iter_mut() {
                    *value = S::narrow(value.widen() / left);
                }
                // What is left may be short, and its rounding is not.
                self.basis.orthogonalise(image);
                self.basis.push(image, 1.0 / norm(image))?;
            }
        }
        self.growing &= self.basis.len() > before;
        Ok(())
    }
}
