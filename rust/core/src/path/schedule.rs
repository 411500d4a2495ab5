//! A schedule of learning rates: cycles of steps at one rate.

use serde::{Deserialize, Serialize};

use crate::error::{Error, require};

/// Steps at one learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// The number of steps.
    pub steps: usize,
    /// The learning rate.
    pub rate: f64,
}

impl Cycle {
    /// # Errors
    /// [`Error::Invalid`] unless there is a cycle, and each has steps and a positive rate.
    pub(super) fn validate(cycles: &[Self]) -> Result<(), Error> {
        require!(!cycles.is_empty(), "got a schedule without cycles; pass at least one");
        for cycle in cycles {
            require!(
                cycle.steps > 0 && cycle.rate.is_finite() && cycle.rate > 0.0,
                "got a cycle of {} steps at the rate {}; pass steps from 1 and a rate above 0",
                cycle.steps,
                cycle.rate
            );
        }
        Ok(())
    }
}
