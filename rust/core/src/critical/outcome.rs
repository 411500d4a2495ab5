//! What a search is asked for, what its steps bring, and how it ends.

use serde::{Deserialize, Serialize};

use super::point::Point;

/// How a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// The gradient's norm is lowered: to critical points of any kind.
    NewtonMr,
    /// The loss is lowered: to minima, away from saddles.
    SaddleFree,
}

/// Whether and how a search has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It has not.
    Running,
    /// The gradient's norm is within the tolerance and, where saddles are left, no curvature is
    /// negative.
    Converged,
    /// The gradient lies in the kernel of the Hessian: its norm has no slope, but is not 0.
    Flat,
    /// No step lowers what it should.
    Stalled,
    /// As many steps were made as were allowed.
    MaxSteps,
}

impl Ending {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Converged => "converged",
            Self::Flat => "flat",
            Self::Stalled => "stalled",
            Self::MaxSteps => "max_steps",
        }
    }
}

/// What a search is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// How a step is made.
    pub method: Method,
    /// The norm of the gradient of a critical point.
    pub tolerance: f64,
    /// How many steps may be made.
    pub max_steps: usize,
    /// Vectors of a Krylov space: the most products of a step.
    pub krylov: usize,
    /// Curvature above minus this share of the largest |eigenvalue| is not negative.
    pub negative: f64,
    /// The seed of random directions.
    pub seed: u64,
}

/// What one step brought.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The loss after it.
    pub loss: f64,
    /// The norm of the gradient after it.
    pub gradient_norm: f64,
    /// Its length.
    pub length: f64,
}

/// A step that was found, or why there is none.
pub(super) struct Found<S> {
    /// Where it leads; None where there is none.
    pub point: Option<Point<S>>,
    /// Its length.
    pub length: f64,
    /// Hessian products that it took.
    pub products: usize,
    /// Points at which the loss was evaluated.
    pub evaluations: usize,
    /// Whether and how the search has ended.
    pub ending: Ending,
}

impl<S> Found<S> {
    /// A step to a point.
    pub fn moved(point: Point<S>, length: f64, products: usize, evaluations: usize) -> Self {
        Self { point: Some(point), length, products, evaluations, ending: Ending::Running }
    }

    /// None.
    pub fn ended(ending: Ending, products: usize, evaluations: usize) -> Self {
        Self { point: None, length: 0.0, products, evaluations, ending }
    }
}
