//! Eigenvalues of symmetric operators of which only products can be had.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `products` | products of an operator, counted and checked |
//! | `symmetric` | eigenpairs of a small dense matrix |
//! | `basis` | orthonormal vectors in memory or in a file |
//! | `wanted` | which eigenvalues are wanted, and how well they are known |
//! | `lanczos` | thick-restart Lanczos |
//! | `power` | shifted power iteration |
//! | `symmetry` | whether an operator is symmetric |

mod basis;
mod lanczos;
mod power;
mod products;
mod symmetric;
mod symmetry;
mod wanted;

pub use basis::Basis;
pub use lanczos::{Arrays, Lanczos, Options, Status};
pub use power::Power;
pub use products::Products;
pub use symmetric::{Eigen, eigen};
pub use symmetry::asymmetry;
pub use wanted::{Which, bounds};
