//! Low-loss paths between minima.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `assignment` | the best one-to-one assignment |
//! | `tree` | the spanning tree of lowest edges |
//! | `chain` | points in a row: lengths, places between them, equal distances |
//! | `draw` | which batch comes next |
//! | `descent` | momentum and Adam for many points together |
//! | `outcome` | what a search is asked for, how it ends |
//! | `neb` | the force on a pivot of an elastic band |
//! | `insertion` | where a band is too coarse |
//! | `autoneb` | cycles of a band that grows where it must |
//! | `curve` | Bezier curves and polygonal chains by their control points |
//! | `bending` | control points that descend under uniformly drawn points of their curve |

mod assignment;
mod autoneb;
mod bending;
mod chain;
mod curve;
mod descent;
mod draw;
mod insertion;
mod neb;
mod outcome;
mod tree;

pub use assignment::assignment;
pub use autoneb::{AutoNeb, AutoNebOptions, Look};
pub use bending::{Bending, BendingOptions};
pub use chain::Chain;
pub use curve::Kind;
pub use descent::Rule;
pub use outcome::{Cycle, Ending};
pub use tree::spanning_tree;
