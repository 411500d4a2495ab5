//! Walks within a minimum: along directions in which the loss does not curve.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `flat` | the part of a vector in which a Hessian is nearly zero, and the rest |
//! | `walker` | steps that keep the loss |

mod flat;
mod walker;

pub use walker::{Arrival, Stride, WalkOptions, Walker};
