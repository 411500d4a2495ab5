//! Loss surfaces: the directions that span them, the points that sample them, what lies between, and
//! their shape.
//!
//! | module | what it holds |
//! |---|---|
//! | `direction` | filter, layer and model normalisation of a direction |
//! | `grid` | values on a rectangular grid, chunk by chunk |
//! | `spline` | tensor-product cubic splines |
//! | `interpolant` | interpolation of losses and metrics, with gaps |
//! | `nested` | values on part of a dyadic grid, and the surpluses of its levels |
//! | `adaptive` | the refinement of a dyadic grid to a tolerance |
//! | `subset` | losses estimated from a calibrated subset of the samples |
//! | `topology` | critical points of a grid, their persistence and the merge tree |
//! | `geometry` | roughness, convexity, areas and the quadratic at the centre |

mod adaptive;
mod direction;
mod geometry;
mod grid;
mod interpolant;
mod nested;
mod spline;
mod topology;

pub mod subset;

pub use adaptive::{AdaptiveGrid, ErrorScale, Estimate, Outcome, Refinement};
pub use direction::{Normalisation, TensorLayout, normalise};
pub use geometry::{
    Convexity, QuadraticFit, cell_areas, convexity, fit_quadratic, total_variations,
};
pub use grid::{Grid, Schedule, axis};
pub use interpolant::{Interpolant, Interpolation};
pub use nested::{Lattice, NestedValues};
pub use spline::TensorSpline;
pub use topology::{Maximum, Minimum, Topology, component_areas};
