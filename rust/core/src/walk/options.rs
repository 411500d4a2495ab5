//! Options of a walk, and the state after one step.

use serde::{Deserialize, Serialize};

/// Options of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkOptions {
    /// The distance from the start at which the walk ends.
    pub distance: f64,
    /// The maximum increase of the loss over that of the start.
    pub tolerance: f64,
    /// Directions count as flat up to this share of the largest |eigenvalue|.
    #[serde(rename = "flat")]
    pub flat_tolerance: f64,
    /// The maximum length of a step.
    pub stride: f64,
    /// The maximum number of steps.
    pub max_steps: usize,
    /// The maximum dimension of a Krylov space, and so of products a direction.
    pub krylov: usize,
    /// The seed of the first direction.
    pub seed: u64,
}

/// The state after a step, for the history of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WalkStep {
    /// The loss after it.
    pub loss: f64,
    /// The distance from the start.
    pub distance: f64,
    /// Its length.
    pub length: f64,
    /// The curvature vᵀHv along it, at its beginning.
    pub curvature: f64,
    /// The largest |Ritz value| at its beginning.
    pub scale: f64,
}
