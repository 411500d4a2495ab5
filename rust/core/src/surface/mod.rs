//! Loss surfaces: the directions that span them, the grids that sample them, and their shape.

mod direction;
mod geometry;
mod grid;
mod topology;

pub use direction::{Normalisation, TensorLayout, normalise};
pub use geometry::{
    Convexity, QuadraticFit, cell_areas, convexity, fit_quadratic, total_variations,
};
pub use grid::{Grid, Schedule, axis};
pub use topology::{Maximum, Minimum, Topology, component_areas};
