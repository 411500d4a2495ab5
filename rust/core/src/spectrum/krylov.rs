//! The Krylov space of one vector: an orthonormal basis, and the operator seen from there.

use super::basis::Basis;
use super::products::Products;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::vector::norm;

/// What is left of a vector below so many units of rounding is no direction.
const NOTHING: f64 = 8.0;

/// A V = V T + β v e_mᵀ with orthonormal V, v and tridiagonal T, by Lanczos with full
/// reorthogonalisation; the first vector of V is the start, normalised.
pub struct Krylov<S> {
    basis: Basis<S>,
    start: f64,
    diagonal: Vec<f64>,
    /// The couplings of neighbours; the last one, β, leads out of the space.
    below: Vec<f64>,
    finished: bool,
}

impl<S: Scalar> Krylov<S> {
    /// The space of a vector that is not zero, with room for so many products.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no room, or no entry.
    pub fn new(start: &[S], steps: usize) -> Result<Self, Error> {
        let mut basis = Basis::new(start.len(), steps.min(start.len()), None)?;
        let size = norm(start);
        basis.push(start, 1.0 / size)?;
        Ok(Self { basis, start: size, diagonal: Vec::new(), below: Vec::new(), finished: false })
    }

    /// The norm of the start.
    #[must_use]
    pub fn start(&self) -> f64 {
        self.start
    }

    /// How many products were taken.
    #[must_use]
    pub fn order(&self) -> usize {
        self.diagonal.len()
    }

    /// Whether the space is invariant, or there is no room left.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Whether the space is invariant: products lead nowhere else.
    #[must_use]
    pub fn invariant(&self) -> bool {
        self.below.last() == Some(&0.0)
    }

    /// What leads out of the space: β, 0 where nothing does.
    #[must_use]
    pub fn rest(&self) -> f64 {
        self.below.last().copied().unwrap_or(0.0)
    }

    /// The vector whose product is wanted next.
    #[must_use]
    pub fn last(&self) -> &[S] {
        self.basis.row(self.basis.len() - 1)
    }

    /// Takes that product, which it changes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the length is another.
    pub fn take(&mut self, image: &mut [S]) -> Result<(), Error> {
        let size = norm(image);
        let taken = self.basis.orthogonalise(image);
        self.diagonal.extend(taken.last());
        let beta = norm(image);
        let nothing = self.basis.len() == image.len() || beta <= NOTHING * S::EPSILON * size;
        self.below.push(if nothing { 0.0 } else { beta });
        self.finished = nothing || self.basis.room() == 0;
        if !self.finished {
            self.basis.push(image, 1.0 / beta)?;
        }
        Ok(())
    }

    /// One product with the operator, taken.
    ///
    /// # Errors
    /// Those of the operator; nothing has changed then.
    pub fn advance(&mut self, products: &mut Products<'_, S>) -> Result<(), Error> {
        let mut image = vec![S::default(); products.dim()];
        products.apply(self.last(), &mut image)?;
        self.take(&mut image)
    }

    /// T, by rows.
    #[must_use]
    pub fn matrix(&self) -> Vec<Vec<f64>> {
        let order = self.order();
        let mut matrix = vec![vec![0.0; order]; order];
        for (i, value) in self.diagonal.iter().enumerate() {
            matrix[i][i] = *value;
            if i + 1 < order {
                (matrix[i][i + 1], matrix[i + 1][i]) = (self.below[i], self.below[i]);
            }
        }
        matrix
    }

    /// V y for each row y of `coefficients`, row-major (k, dim).
    #[must_use]
    pub fn combinations(&self, coefficients: &[Vec<f64>]) -> Vec<S> {
        self.basis.combinations(0, coefficients)
    }
}
