//! Low-loss paths and simplices between minima: AutoNEB, curve training and simplex training.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `schedule` | steps and learning rates, cycle by cycle |
//! | `history` | the evaluations of a path during training |
//! | `refinement` | where a band needs further pivots |
//! | `polyline` | points in a row: lengths, interpolation, equal spacing |
//! | `optimizer` | momentum and Adam for many points together |
//! | `neb` | the force on a pivot of a nudged elastic band |
//! | `autoneb` | the solver for bands: AutoNEB |
//! | `curve` | Bezier curves and polygonal chains by their control points |
//! | `curve_training` | the solver for curves: stochastic gradient descent of the mean loss on a curve |
//! | `volume` | the logarithm of a simplex's volume, and its gradient |
//! | `simplicial_complex` | simplices through minima that share connecting points |
//! | `simplex_training` | the solver for connecting points: low loss in simplices of large volume |

mod autoneb;
mod curve;
mod curve_training;
mod history;
mod neb;
mod optimizer;
mod polyline;
mod refinement;
mod schedule;
mod simplex_training;
mod simplicial_complex;
mod volume;

pub use autoneb::{AutoNeb, AutoNebOptions};
pub use curve::CurveKind;
pub use curve_training::{CurveTraining, CurveTrainingOptions};
pub use history::Evaluation;
pub use optimizer::OptimizerKind;
pub use polyline::Polyline;
pub use schedule::Cycle;
pub use simplex_training::{SimplexTraining, SimplexTrainingOptions};
pub use simplicial_complex::{SimplicialComplex, simplex_weights};
pub use volume::log_volume;
