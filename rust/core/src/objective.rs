//! The interface at which the suppliers of a loss and the algorithms meet.

use crate::error::{Error, require};
use crate::monitor::Cancel;
use crate::operator::LinearOperator;
use crate::scalar::Scalar;
use crate::vector::{combine, dot};

/// L: R^dim → R, a mean over samples. Points are row-major (k, dim).
///
/// Drivers call it from their own thread only, because a supplier may be written in Python;
/// parallelism inside a call is the implementor's business.
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

    /// ∇²L at a point, as an operator that owns whatever it keeps from that point.
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

/// An affine subspace θ(c) = origin + Σᵢ cᵢ basisᵢ as its supplier sees it. The long vectors stay
/// where the model lives; only coordinates and values travel.
pub trait Subspace {
    /// The number m of coordinates of a point.
    fn dim(&self) -> usize;

    /// The number of values at a point: the loss, then whatever metrics go with it.
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
    /// (k, dim). A supplier that can only evaluate keeps this default.
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
        Err(Error::Invalid("this subspace has values only; choose a method without slopes".into()))
    }
}

/// The subspace of an objective whose points live in host memory: it forms θ(c), rounded once to S.
///
/// One copy of the origin and each basis vector, and one vector a point of the chunk.
pub struct HostSubspace<'a, S: Scalar> {
    objective: &'a dyn Objective<S>,
    /// The origin, then the basis: a point is their combination with coefficients (1, c).
    frame: Vec<Vec<S>>,
}

impl<'a, S: Scalar> HostSubspace<'a, S> {
    /// The subspace through `origin` along `basis`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a vector is not as long as the objective has parameters.
    pub fn new(
        objective: &'a dyn Objective<S>,
        origin: &[S],
        basis: &[&[S]],
    ) -> Result<Self, Error> {
        let frame = [&[origin], basis].concat();
        for vector in &frame {
            require!(
                vector.len() == objective.dim(),
                "got a vector of {} entries for an objective of {} parameters; pass {1}",
                vector.len(),
                objective.dim()
            );
        }
        Ok(Self { objective, frame: frame.into_iter().map(<[S]>::to_vec).collect() })
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
        for (gradient, slopes) in rows {
            for (slope, direction) in slopes.iter_mut().zip(&self.frame[1..]) {
                *slope = dot(gradient, direction)?;
            }
        }
        Ok(())
    }
}
