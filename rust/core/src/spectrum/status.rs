//! How an iteration ended.

use serde::{Deserialize, Serialize};

/// Whether and how an iteration has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It has not.
    Running,
    /// What was wanted is within the tolerance.
    Converged,
    /// As many products were made as were allowed.
    MaxProducts,
    /// The whole space is spanned: the numbers are exact to rounding.
    Exhausted,
}

impl Status {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Converged => "converged",
            Self::MaxProducts => "max_products",
            Self::Exhausted => "exhausted",
        }
    }
}
