//! Low-loss paths between minima.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `assignment` | the best one-to-one assignment |
//! | `tree` | the spanning tree of lowest edges |
//! | `insertion` | where a band is too coarse |
//! | `chain` | points in a row: lengths, places between them, equal distances |
//! | `draw` | which batch comes next |
//! | `descent` | momentum and Adam for many points together |
//! | `outcome` | what a search is asked for, how it ends |
//! | `neb` | the force on a pivot of an elastic band |
//! | `autoneb` | cycles of a band that grows where it must |
//! | `curve` | Bezier curves and polygonal chains by their control points |
//! | `bending` | control points that descend under uniformly drawn points of their curve |
//! | `volume` | how large a simplex is, and how that grows |
//! | `complex` | simplices through minima, and points in them |
//! | `simplices` | connecting points that descend under uniformly drawn points of their simplices |

mod assignment;
mod autoneb;
mod bending;
mod chain;
mod complex;
mod curve;
mod descent;
mod draw;
mod insertion;
mod neb;
mod outcome;
mod simplices;
mod tree;
mod volume;

pub use assignment::assignment;
pub use autoneb::{AutoNeb, AutoNebOptions, Look};
pub use bending::{Bending, BendingOptions};
pub use chain::Chain;
pub use complex::{Complex, simplex_weights};
pub use curve::Kind;
pub use descent::Rule;
pub use outcome::{Cycle, Ending};
pub use simplices::{Simplices, SimplicesOptions};
pub use tree::spanning_tree;
pub use volume::log_volume;
