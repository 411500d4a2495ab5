//! Spectra of symmetric operators that are known by their products: eigenpairs, traces, densities.
//!
//! A module may use those above it in this table, never those below:
//!
//! | module | what it holds |
//! |---|---|
//! | `counted_operator` | operator products that are counted and checked |
//! | `symmetric` | eigenpairs of a small dense matrix |
//! | `basis` | orthonormal vectors in memory or in a file |
//! | `ritz` | selection of Ritz values, and bounds on their errors |
//! | `lanczos` | thick-restart Lanczos |
//! | `power_iteration` | shifted power iteration with deflation |
//! | `krylov` | the Krylov space of a vector |
//! | `quadrature` | Gauss quadrature of the spectral measure of a vector |
//! | `trace` | traces, moments and diagonals from random vectors |
//! | `density` | spectral densities by stochastic Lanczos quadrature |
//! | `symmetry` | a randomised test of symmetry |

mod basis;
mod counted_operator;
mod density;
mod krylov;
mod lanczos;
mod power_iteration;
mod quadrature;
mod ritz;
mod symmetric;
mod symmetry;
mod trace;

pub use basis::Basis;
pub use counted_operator::CountedOperator;
pub use density::Density;
pub use krylov::KrylovSpace;
pub use lanczos::{Lanczos, LanczosOptions, RelativeTo};
pub use power_iteration::{PowerIteration, PowerOptions};
pub use quadrature::Quadrature;
pub use ritz::{Which, error_bounds};
pub use symmetric::{Eigenpairs, eigh};
pub use symmetry::asymmetry;
pub use trace::{
    Diagonal, Mean, Precision, QuadraticForm, Trace, TraceOptions, XTrace, student_quantile,
};
