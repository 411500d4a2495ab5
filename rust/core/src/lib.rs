//! The mathematics of loss landscapes, without Python.
//!
//! A layer may use those above it in this table, never those below:
//!
//! | layer | what it holds |
//! |---|---|
//! | `error`, `scalar` | failures; storage types |
//! | `vector` | long vectors: sums, combinations, projections |
//! | `random` | seeded normals |
//! | `objective` | the interface between suppliers, drivers and monitors |
//! | [`surface`] | directions, grids |

mod error;
mod objective;
mod random;
mod scalar;
pub mod surface;
mod vector;

pub use error::Error;
pub use objective::{Cancel, Monitor, Progress, Subspace, Unwatched};
pub use random::Gaussian;
pub use scalar::Scalar;
pub use vector::{combine, dot, gram, norm, orthogonalise};
