//! Options of a walk, and the state after one step.

use serde::{Deserialize, Serialize};

use crate::error::{Error, require};

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

impl WalkOptions {
    /// # Errors
    /// [`Error::Invalid`] where one is out of range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        require!(
            self.distance > 0.0
                && self.tolerance >= 0.0
                && self.stride > 0.0
                && self.flat_tolerance >= 0.0
                && self.krylov > 0,
            "got {self:?}; pass a distance and a stride above 0, none below 0, krylov from 1"
        );
        Ok(())
    }
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
