//! The mathematics of loss landscapes, without Python.
//!
//! A layer may use those above it in this table, never those below:
//!
//! | layer | what it holds |
//! |---|---|
//! | `error` | what can go wrong |
//! | `isa` | the instruction set, found at run time |
//! | `scalar` | storage types: f32 and f64, with arithmetic in f64 |
//! | `vector` | sums and combinations of long vectors |
//! | `projection` | what of a vector is orthogonal to others |
//! | `random` | seeded normals |
//! | `monitor` | how a computation is watched and stopped |
//! | `operator` | symmetric linear operators |
//! | `objective` | the interface at which suppliers and drivers meet |
//! | `subspace` | planes through an objective in host memory |
//! | `analytic` | suppliers with known answers |
//! | `surface` | directions and grids |
//! | `spectrum` | eigenvalues of operators that are known by their products |
//! | `critical` | searches for points without slope |
//! | `path` | low-loss paths between minima |
//! | `walk` | walks within a minimum, along flat directions |
//! | `network` | a supplier of its own: exported networks |

mod error;
mod isa;
mod scalar;

mod projection;
mod random;
mod vector;

mod monitor;
mod objective;
mod operator;
mod subspace;

pub mod analytic;
pub mod critical;
pub mod network;
pub mod path;
pub mod spectrum;
pub mod surface;
pub mod walk;

pub use error::Error;
pub use isa::Isa;
pub use monitor::{Cancel, Monitor, Progress, Unwatched};
pub use objective::{BatchedObjective, Objective, Subspace};
pub use operator::{Dense, LinearOperator, Shifted};
pub use projection::orthogonalise;
pub use random::Gaussian;
pub use scalar::Scalar;
pub use subspace::HostSubspace;
pub use vector::{combine, dot, gram, norm};
