//! Walks within a minimum: along directions in which the loss does not curve.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | options and the state after a step |
//! | `null_space` | the parts of a vector with small and with large curvature |
//! | `walker` | the solver: steps that preserve the loss |

mod null_space;
mod options;
mod walker;

pub use options::{WalkOptions, WalkStep};
pub use walker::Walker;
