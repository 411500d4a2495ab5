//! A point with its loss and gradient.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// θ, L(θ), ∇L(θ) and ‖∇L(θ)‖.
#[derive(Clone, Debug)]
pub struct Point<S> {
    /// θ.
    pub theta: Vec<S>,
    /// L(θ).
    pub loss: f64,
    /// ∇L(θ).
    pub gradient: Vec<S>,
    /// ‖∇L(θ)‖.
    pub norm: f64,
}

impl<S: Scalar> Point<S> {
    /// A point whose loss and gradient are known.
    #[must_use]
    pub fn from_parts(theta: Vec<S>, loss: f64, gradient: Vec<S>) -> Self {
        let norm = norm(&gradient);
        Self { theta, loss, gradient, norm }
    }

    /// Evaluates the loss and its gradient at θ.
    ///
    /// # Errors
    /// Those of the objective. Numbers that are not finite are no error here.
    pub fn evaluate(
        objective: &dyn Objective<S>,
        theta: Vec<S>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        cancel.check()?;
        let (mut loss, mut gradient) = ([0.0], vec![S::default(); theta.len()]);
        objective.gradients(&theta, &mut loss, &mut gradient, cancel)?;
        Ok(Self::from_parts(theta, loss[0], gradient))
    }

    /// The point itself, if its loss and gradient are finite.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where they are not.
    pub fn require_finite(self) -> Result<Self, Error> {
        if self.loss.is_finite() && self.norm.is_finite() {
            return Ok(self);
        }
        Err(Error::NonFinite(format!(
            "the loss is {} and the norm of its gradient {}; begin where both are finite, and \
             stay within the region where they are",
            self.loss, self.norm
        )))
    }

    /// θ + α p.
    pub(super) fn displace(&self, direction: &[S], length: f64) -> Result<Vec<S>, Error> {
        combine(&[&self.theta, direction], &[1.0, length])
    }
}
