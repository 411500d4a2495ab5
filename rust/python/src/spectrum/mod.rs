//! Iterations on operators, with a Python function as the supplier of products.

mod callback;
mod lanczos;
mod power;
mod slot;
mod symmetry;

pub use lanczos::Lanczos;
pub use power::PowerIteration;
pub use symmetry::asymmetry;
