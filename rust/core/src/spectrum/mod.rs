//! Eigenvalues of symmetric operators of which only products can be had.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `products` | products of an operator, counted and checked |
//! | `status` | how an iteration ended |
//! | `iteration` | what all iterations share: they go on step by step |
//! | `symmetric` | eigenpairs of a small dense matrix |
//! | `basis` | orthonormal vectors in memory or in a file |
//! | `wanted` | which eigenvalues are wanted, and how well they are known |
//! | `lanczos` | thick-restart Lanczos |
//! | `power` | shifted power iteration |
//! | `krylov` | the Krylov space of one vector |
//! | `quadrature` | nodes and weights of what a vector sees of a spectrum |
//! | `trace` | traces, moments and diagonals from random vectors |
//! | `density` | quadratures of random vectors: how eigenvalues are distributed |
//! | `symmetry` | whether an operator is symmetric |

mod basis;
mod density;
mod iteration;
mod krylov;
mod lanczos;
mod power;
mod products;
mod quadrature;
mod status;
mod symmetric;
mod symmetry;
mod trace;
mod wanted;

pub use basis::Basis;
pub use density::Density;
pub use iteration::Iteration;
pub use krylov::Krylov;
pub use lanczos::{Arrays, Lanczos, Options};
pub use power::Power;
pub use products::Products;
pub use quadrature::Quadrature;
pub use status::Status;
pub use symmetric::{Eigen, eigen};
pub use symmetry::asymmetry;
pub use trace::{
    Diagonal, Form, Mean, Precision, Trace, TraceArrays, TraceOptions, XTrace, student_quantile,
};
pub use wanted::{Which, bounds};
