//! Loss surfaces: the directions that span them and the grids that sample them.

mod direction;
mod grid;

pub use direction::{Normalisation, TensorLayout, normalise};
pub use grid::{Grid, Schedule, axis};
