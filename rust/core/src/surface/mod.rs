//! Loss surfaces: the directions that span them, the points that sample them, and what lies between.
//!
//! | module | what it holds |
//! |---|---|
//! | `direction` | filter, layer and model normalisation of a direction |
//! | `grid` | values on a rectangular grid, chunk by chunk |
//! | `spline` | tensor-product cubic splines |
//! | `interpolant` | interpolation of losses and metrics, with gaps |
//! | `nested` | values on part of a dyadic grid, and the surpluses of its levels |
//! | `adaptive` | the refinement of a dyadic grid to a tolerance |

mod adaptive;
mod direction;
mod grid;
mod interpolant;
mod nested;
mod spline;

pub use adaptive::{AdaptiveGrid, ErrorScale, Estimate, Outcome, Refinement};
pub use direction::{Normalisation, TensorLayout, normalise};
pub use grid::{Grid, Schedule, axis};
pub use interpolant::{Interpolant, Interpolation};
pub use nested::{Lattice, NestedValues};
pub use spline::TensorSpline;
