//! The mathematics of loss landscapes, without Python.
//!
//! A layer may use those above it in this table, never those below:
//!
//! | layer | what it holds |
//! |---|---|
//! | `error` | the errors of all computations |
//! | `isa` | the instruction set, detected at run time |
//! | `memory` | sizes that callers choose, checked against the machine's memory |
//! | `threads` | the thread pool, and workspaces |
//! | `scalar` | storage types: f32 and f64, with arithmetic in f64 |
//! | `vector` | sums and linear combinations of long vectors |
//! | `projection` | orthogonal projection of a long vector |
//! | `random` | a counter-based generator of normal variates |
//! | `combinatorial` | the linear assignment problem and the minimum spanning tree |
//! | `monitor` | progress and cancellation |
//! | `operator` | symmetric linear operators |
//! | `objective` | the interface between a loss and the algorithms |
//! | `batch_sampler` | the mini-batch of each gradient |
//! | `solver` | the interface of iterative methods: steps, status, checkpoints |
//! | `subspace` | affine subspaces of an objective, in host memory |
//! | `analytic` | objectives in closed form, for tests |
//! | `surface` | directions, grids and calibrated subsets |
//! | `spectrum` | eigenpairs, traces and densities of operators that are known by their products |
//! | `critical` | solvers for critical points |
//! | `path` | low-loss paths and simplices between minima |
//! | `walk` | walks within a minimum, along flat directions |
//! | `ascent` | the highest loss in a neighbourhood of a point |
//! | `sampling` | chains that sample a local posterior distribution |
//! | `network` | neural networks that the core evaluates itself |

mod error;
mod isa;
mod memory;
mod scalar;
mod threads;

mod projection;
mod random;
mod vector;

mod batch_sampler;
mod monitor;
mod objective;
mod operator;
mod solver;
mod subspace;

pub mod analytic;
pub mod ascent;
pub mod combinatorial;
pub mod critical;
pub mod network;
pub mod path;
pub mod sampling;
pub mod spectrum;
pub mod surface;
pub mod walk;

pub use error::Error;
pub use isa::Isa;
pub use memory::{require_bytes, require_memory};
pub use monitor::{Cancel, Monitor, Progress, Unwatched};
pub use objective::{BatchedObjective, Objective, Subspace};
pub use operator::{Dense, LinearOperator, Shifted};
pub use projection::orthogonalise;
pub use random::Gaussian;
pub use scalar::Scalar;
pub use solver::{Checkpoint, Problem, Resumable, Solver, Status};
pub use subspace::HostSubspace;
pub use threads::{set_threads, threads};
pub use vector::{combine, dot, gram, norm};
