//! The history of a path: its evaluations on all data during training.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::solver::RecordReader;

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

impl Evaluation {
    /// # Errors
    /// [`Error::Invalid`] unless evaluations are in order, and none is later than `steps`.
    pub(super) fn validate(
        reader: &RecordReader,
        history: &[Self],
        steps: usize,
    ) -> Result<(), Error> {
        let ordered = history.windows(2).all(|pair| pair[0].steps <= pair[1].steps);
        let possible = |look: &Self| look.max_loss.is_finite() && look.steps <= steps;
        reader.require("looks", ordered && history.iter().all(possible))
    }
}
