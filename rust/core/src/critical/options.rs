//! Options of a search for a critical point, and the result of one step.

use serde::{Deserialize, Serialize};

use super::point::Point;
use crate::error::{Error, require};
use crate::solver::Status;

/// The method of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Newton-MR decreases the norm of the gradient: it finds critical points of any kind.
    NewtonMr,
    /// Saddle-free Newton decreases the loss: it finds minima.
    SaddleFree,
}

/// Options of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// The method of a step.
    pub method: Method,
    /// The norm of the gradient at which a point counts as critical.
    pub tolerance: f64,
    /// The maximum number of steps.
    pub max_steps: usize,
    /// The maximum dimension of a Krylov space, and so of products a step.
    pub krylov: usize,
    /// An eigenvalue counts as negative below minus this share of the largest |eigenvalue|.
    #[serde(rename = "negative")]
    pub negative_tolerance: f64,
    /// The seed of random directions.
    pub seed: u64,
}

impl SearchOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let valid = |tolerance: f64| tolerance.is_finite() && tolerance >= 0.0;
        require!(
            valid(self.tolerance) && valid(self.negative_tolerance) && self.krylov > 0,
            "got tolerance {}, negative {} and krylov {}; pass none below 0, and krylov from 1",
            self.tolerance,
            self.negative_tolerance,
            self.krylov
        );
        Ok(())
    }
}

/// The state after a step, for the history of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The loss after it.
    pub loss: f64,
    /// The norm of the gradient after it.
    pub gradient_norm: f64,
    /// Its length.
    pub length: f64,
}

/// What one step of a method returns: a new point, or the status that ends the search.
pub(super) struct StepResult<S> {
    /// The new point; None where the search ends.
    pub point: Option<Point<S>>,
    /// The length of the step.
    pub length: f64,
    /// Hessian products of the step.
    pub products: usize,
    /// Evaluations of the loss.
    pub evaluations: usize,
    /// The status of the search after the step.
    pub status: Status,
}

impl<S> StepResult<S> {
    /// A step to a point.
    pub fn step_to(point: Point<S>, length: f64, products: usize, evaluations: usize) -> Self {
        Self { point: Some(point), length, products, evaluations, status: Status::Running }
    }

    /// The end of the search.
    pub fn terminate(status: Status, products: usize, evaluations: usize) -> Self {
        Self { point: None, length: 0.0, products, evaluations, status }
    }
}
