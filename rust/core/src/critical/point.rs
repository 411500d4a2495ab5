//! A point with its loss and gradient.

use crate::error::Error;
use crate::monitor::Cancel;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::vector::{combine, norm};

/// θ, L(θ), ∇L(θ) and its norm.
#[derive(Clone, Debug)]
pub struct Point<S> {
    /// θ.
    pub theta: Vec<S>,
    /// L(θ).
    pub loss: f64,
    /// ∇L(θ).
    pub gradient: Vec<S>,
    /// Its norm.
    pub norm: f64,
}

impl<S: Scalar> Point<S> {
    /// A point with what was computed there before.
    #[must_use]
    pub fn known(theta: Vec<S>, loss: f64, gradient: Vec<S>) -> Self {
        let norm = norm(&gradient);
        Self { theta, loss, gradient, norm }
    }

    /// Evaluates L and its gradient.
    ///
    /// # Errors
    /// Those of the objective; numbers that are not finite are no error here.
    pub fn at(objective: &dyn Objective<S>, theta: Vec<S>, cancel: &Cancel) -> Result<Self, Error> {
        cancel.check()?;
        let (mut loss, mut gradient) = ([0.0], vec![S::default(); theta.len()]);
        objective.gradients(&theta, &mut loss, &mut gradient, cancel)?;
        Ok(Self::known(theta, loss[0], gradient))
    }

    /// The same, where the numbers must be finite.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where they are not.
    pub fn finite(self) -> Result<Self, Error> {
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
    pub(super) fn moved(&self, step: &[S], length: f64) -> Result<Vec<S>, Error> {
        combine(&[&self.theta, step], &[1.0, length])
    }
}
