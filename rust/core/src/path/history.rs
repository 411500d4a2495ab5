//! The history of a path: its evaluations on all data during training.

use serde::{Deserialize, Serialize};

/// One evaluation of a path on all data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps before it.
    pub steps: usize,
    /// Pivots or control points, without the ends.
    pub pivots: usize,
    /// The highest loss on the path.
    #[serde(rename = "highest")]
    pub max_loss: f64,
}
