//! Affine subspaces of objectives, with their vectors in host memory.

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::objective::{Objective, Subspace};
use crate::scalar::Scalar;
use crate::vector::{combine, dot};

/// # Errors
/// [`Error::Invalid`] when the basis is empty or a vector is not of `what`'s length dim.
pub(crate) fn check_frame<S>(
    what: &str,
    dim: usize,
    origin: &[S],
    basis: &[&[S]],
) -> Result<(), Error> {
    require!(!basis.is_empty(), "got no directions; pass at least one");
    for vector in std::iter::once(&origin).chain(basis) {
        require!(
            vector.len() == dim,
            "got a vector of {} entries for {what} of {dim} parameters; pass {dim}",
            vector.len()
        );
    }
    Ok(())
}

/// An affine subspace whose points θ(c) are computed in host memory, rounded once to S.
///
/// It stores copies of the origin and the basis, and one vector for each point of a call.
pub struct HostSubspace<'a, S: Scalar> {
    objective: &'a dyn Objective<S>,
    /// The origin, then the basis: θ(c) is their combination with coefficients (1, c).
    frame: Vec<Vec<S>>,
}

impl<'a, S: Scalar> HostSubspace<'a, S> {
    /// The subspace through `origin` along `basis`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the basis is empty or a vector is not as long as the objective has parameters.
    pub fn new(
        objective: &'a dyn Objective<S>,
        origin: &[S],
        basis: &[&[S]],
    ) -> Result<Self, Error> {
        check_frame("an objective", objective.dim(), origin, basis)?;
        let frame = [&[origin], basis].concat().into_iter().map(<[S]>::to_vec).collect();
        Ok(Self { objective, frame })
    }

    fn points(&self, coords: &[f64]) -> Result<Vec<S>, Error> {
        let frame: Vec<_> = self.frame.iter().map(Vec::as_slice).collect();
        let point = |c: &[f64]| combine(&frame, &[&[1.0], c].concat());
        let points: Vec<_> = coords.chunks(self.dim()).map(point).collect::<Result<_, _>>()?;
        Ok(points.concat())
    }
}

impl<S: Scalar> Subspace for HostSubspace<'_, S> {
    fn dim(&self) -> usize {
        self.frame.len() - 1
    }

    fn evaluate(&self, coords: &[f64], out: &mut [f64], cancel: &Cancel) -> Result<(), Error> {
        self.objective.losses(&self.points(coords)?, out, cancel)
    }

    fn gradients(
        &self,
        coords: &[f64],
        losses: &mut [f64],
        gradients: &mut [f64],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let points = self.points(coords)?;
        let mut full = vec![S::default(); points.len()];
        self.objective.gradients(&points, losses, &mut full, cancel)?;
        let rows = full.chunks(self.objective.dim()).zip(gradients.chunks_mut(self.dim()));
        for (gradient, derivatives) in rows {
            for (derivative, direction) in derivatives.iter_mut().zip(&self.frame[1..]) {
                *derivative = dot(gradient, direction)?;
            }
        }
        Ok(())
    }
}
