//! Walks within a minimum: along directions in which the loss does not curve.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `outcome` | what a walk is asked for, what its steps bring, how it ends |
//! | `flat` | the part of a vector in which a Hessian is nearly zero, and the rest |
//! | `walker` | steps that keep the loss |

mod flat;
mod outcome;
mod walker;

pub use outcome::{Arrival, Stride, WalkOptions};
pub use walker::Walker;
