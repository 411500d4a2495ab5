//! What a walk is asked for, what its steps bring, and how it ends.

use serde::{Deserialize, Serialize};

/// Whether and how a walk has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arrival {
    /// It has not.
    Running,
    /// It is as far from the start as was asked for.
    Reached,
    /// No direction is flat, or no step along it keeps the loss.
    Stalled,
    /// As many steps were made as were allowed.
    MaxSteps,
}

impl Arrival {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Reached => "reached",
            Self::Stalled => "stalled",
            Self::MaxSteps => "max_steps",
        }
    }
}

/// What a walk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkOptions {
    /// How far from the start it is to get.
    pub distance: f64,
    /// By how much the loss may exceed that of the start.
    pub tolerance: f64,
    /// Curvature up to this share of the largest |eigenvalue| is flat.
    pub flat: f64,
    /// The longest step.
    pub stride: f64,
    /// The most steps.
    pub max_steps: usize,
    /// Vectors of a Krylov space: the most products of a direction.
    pub krylov: usize,
    /// The seed of the first direction.
    pub seed: u64,
}

/// What a step has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stride {
    /// The loss after it.
    pub loss: f64,
    /// The distance from the start.
    pub distance: f64,
    /// Its length.
    pub length: f64,
    /// vᵀHv along it, and the largest |Ritz value|, where it began.
    pub curvature: f64,
    /// The largest |Ritz value| there.
    pub scale: f64,
}
