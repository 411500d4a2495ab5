//! Loss surfaces: the directions that span them, the grids that sample them, and estimates from a part
//! of the data.

mod direction;
mod grid;
pub mod subset;

pub use direction::{Normalisation, TensorLayout, normalise};
pub use grid::{Grid, Schedule, axis};
