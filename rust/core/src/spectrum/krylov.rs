//! The Krylov space of a vector: an orthonormal basis, and the operator projected on it.

use super::basis::Basis;
use super::counted_operator::CountedOperator;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::vector::norm;

/// A vector whose norm falls below this many units of rounding in orthogonalisation counts as zero.
const BREAKDOWN: f64 = 8.0;

/// A V = V T + β v e_mᵀ with orthonormal V, v and tridiagonal T, by Lanczos with full
/// reorthogonalisation; the first vector of V is the start, normalised.
pub struct KrylovSpace<S> {
    basis: Basis<S>,
    start_norm: f64,
    diagonal: Vec<f64>,
    /// The subdiagonal of T, then β, the coupling that leads out of the space.
    subdiagonal: Vec<f64>,
    complete: bool,
}

impl<S: Scalar> KrylovSpace<S> {
    /// The space of a vector that is not zero, with a capacity of `steps` dimensions.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the capacity or the vector's length is 0.
    pub fn new(start: &[S], steps: usize) -> Result<Self, Error> {
        let mut basis = Basis::new(start.len(), steps.min(start.len()), None)?;
        let start_norm = norm(start);
        basis.push(start, 1.0 / start_norm)?;
        let (diagonal, subdiagonal) = (Vec::new(), Vec::new());
        Ok(Self { basis, start_norm, diagonal, subdiagonal, complete: false })
    }

    /// The norm of the start vector.
    #[must_use]
    pub fn start_norm(&self) -> f64 {
        self.start_norm
    }

    /// The dimension of the space, which is the number of products.
    #[must_use]
    pub fn order(&self) -> usize {
        self.diagonal.len()
    }

    /// Whether the space is invariant, or has reached its capacity.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the space is invariant under the operator.
    #[must_use]
    pub fn is_invariant(&self) -> bool {
        self.subdiagonal.last() == Some(&0.0)
    }

    /// β, the coupling that leads out of the space; 0 where it is invariant.
    #[must_use]
    pub fn coupling(&self) -> f64 {
        self.subdiagonal.last().copied().unwrap_or(0.0)
    }

    /// The basis vector whose product [`push_product`](Self::push_product) takes.
    #[must_use]
    pub fn last(&self) -> &[S] {
        self.basis.row(self.basis.len() - 1)
    }

    /// Extends the space by the product of [`last`](Self::last), which is orthogonalised in place.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the length is another.
    pub fn push_product(&mut self, image: &mut [S]) -> Result<(), Error> {
        let size = norm(image);
        let coefficients = self.basis.orthogonalise(image);
        self.diagonal.extend(coefficients.last());
        let beta = norm(image);
        let invariant = self.basis.len() == image.len() || beta <= BREAKDOWN * S::EPSILON * size;
        self.subdiagonal.push(if invariant { 0.0 } else { beta });
        self.complete = invariant || self.basis.remaining() == 0;
        if !self.complete {
            self.basis.push(image, 1.0 / beta)?;
        }
        Ok(())
    }

    /// Extends the space by one product.
    ///
    /// # Errors
    /// Those of the operator, after which the space is unchanged.
    pub fn extend(&mut self, operator: &mut CountedOperator<'_, S>) -> Result<(), Error> {
        let mut image = vec![S::default(); operator.dim()];
        operator.apply(self.last(), &mut image)?;
        self.push_product(&mut image)
    }

    /// T, by rows.
    #[must_use]
    pub fn matrix(&self) -> Vec<Vec<f64>> {
        let order = self.order();
        let mut matrix = vec![vec![0.0; order]; order];
        for (i, value) in self.diagonal.iter().enumerate() {
            matrix[i][i] = *value;
            if i + 1 < order {
                (matrix[i][i + 1], matrix[i + 1][i]) = (self.subdiagonal[i], self.subdiagonal[i]);
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
