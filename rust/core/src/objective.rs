//! The interface between a loss and the algorithms: objectives, mini-batches and affine subspaces.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;

/// L: R^dim → R, a mean over samples. Points are row-major (k, dim).
///
/// Algorithms call it from their own thread only, because an objective may be written in Python;
/// implementations parallelise inside a call.
pub trait Objective<S: Scalar> {
    /// The number of parameters.
    fn dim(&self) -> usize;

    /// L at k points, into `out` of length k. NaN and infinite losses are data, not errors.
    ///
    /// # Errors
    /// [`Error::Supplier`] when the loss cannot be evaluated, [`Error::Cancelled`] on request.
    fn losses(&self, points: &[S], out: &mut [f64], cancel: &Cancel) -> Result<(), Error>;

    /// L and ∇L at k points, into `losses` of length k and `gradients` of shape (k, dim).
    ///
    /// # Errors
    /// As for [`losses`](Self::losses).
    fn gradients(
        &self,
        points: &[S],
        losses: &mut [f64],
        gradients: &mut [S],
        cancel: &Cancel,
    ) -> Result<(), Error>;

    /// ∇²L at a point, as an operator that may keep intermediate values of that point.
    ///
    /// # Errors
    /// [`Error::Supplier`] when L has no second derivatives there.
    fn curvature_at<'a>(&'a self, point: &[S]) -> Result<Box<dyn LinearOperator<S> + 'a>, Error>;

    /// L on θ(c) = origin + Σᵢ cᵢ basisᵢ.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a vector is not of length dim.
    fn subspace<'a>(
        &'a self,
        origin: &[S],
        basis: &[&[S]],
    ) -> Result<Box<dyn Subspace + 'a>, Error>;
}

/// An objective whose samples are split into fixed mini-batches.
pub trait BatchedObjective<S: Scalar>: Objective<S> {
    /// The number of batches.
    ///
    /// # Errors
    /// [`Error::Supplier`] when it cannot be determined.
    fn batches(&self) -> Result<usize, Error>;

    /// L and ∇L as means over single batches, point i on batch `batches[i]`, into `losses` of length k and
    /// `gradients` of shape (k, dim).
    ///
    /// # Errors
    /// As for [`losses`](Objective::losses).
    fn gradients_on(
        &self,
        points: &[S],
        batches: &[usize],
        losses: &mut [f64],
        gradients: &mut [S],
        cancel: &Cancel,
    ) -> Result<(), Error>;
}

/// An objective on an affine subspace θ(c) = origin + Σᵢ cᵢ basisᵢ. The long vectors stay where the
/// model is; only coordinates and values are passed.
pub trait Subspace {
    /// The number m of coordinates of a point.
    fn dim(&self) -> usize;

    /// The number of values at a point: the loss, then metrics.
    fn columns(&self) -> usize {
        1
    }

    /// Values at k points: `coords` is row-major (k, dim), `out` row-major (k, columns).
    ///
    /// NaN and infinite values are data, not errors.
    ///
    /// # Errors
    /// [`Error::Supplier`] when the loss cannot be evaluated, [`Error::Cancelled`] on request.
    fn evaluate(&self, coords: &[f64], out: &mut [f64], cancel: &Cancel) -> Result<(), Error>;

    /// L and ∂L/∂cᵢ = ⟨∇L, basisᵢ⟩ at k points, into `losses` of length k and `gradients` of shape
    /// (k, dim). The default is for objectives without gradients.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate), and [`Error::Invalid`] where there are no gradients.
    fn gradients(
        &self,
        _coords: &[f64],
        _losses: &mut [f64],
        _gradients: &mut [f64],
        _cancel: &Cancel,
    ) -> Result<(), Error> {
        Err(Error::Invalid(
            "this subspace has values only; choose a method without gradients".into(),
        ))
    }
}
