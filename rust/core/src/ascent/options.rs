//! Options of an ascent.

use serde::{Deserialize, Serialize};

use super::constraint::Constraint;
use crate::error::{Error, require};

/// How the loss is maximised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum AscentMethod {
    /// Projected gradient ascent with normalised gradients (Madry et al. 2018).
    Projected {
        /// The length of a step as a share of the radius; None is 2.5 / steps.
        step: Option<f64>,
    },
    /// Auto-PGD (Croce and Hein 2020, algorithm 1).
    AutoPgd,
    /// Projected L-BFGS with a line search.
    Lbfgs {
        /// A row has converged when the norm of its projected gradient is at most this share of the
        /// largest gradient that it has met.
        tolerance: f64,
    },
}

/// Options of an ascent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AscentOptions {
    /// How the loss is maximised.
    pub method: AscentMethod,
    /// The norm that bounds scaled coordinates.
    pub constraint: Constraint,
    /// Its bound ρ.
    pub radius: f64,
    /// The maximum number of steps, each an evaluation of every row. That of the starts is not counted.
    pub steps: usize,
}

impl AscentOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        require!(
            positive(self.radius) && self.steps > 0,
            "got the radius {} and {} steps; pass a radius above 0 and at least one step",
            self.radius,
            self.steps
        );
        match self.method {
            AscentMethod::Projected { step: Some(step) } => require!(
                positive(step),
                "got steps of {step} times the radius; pass a number above 0"
            ),
            AscentMethod::Lbfgs { tolerance } => require!(
                (0.0..1.0).contains(&tolerance),
                "got the tolerance {tolerance}; pass one from 0, below 1"
            ),
            AscentMethod::Projected { step: None } | AscentMethod::AutoPgd => {}
        }
        Ok(())
    }
}
