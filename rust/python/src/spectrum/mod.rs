//! Iterations on operators, with a Python function as the supplier of products.

mod callback;
mod lanczos;
mod slot;

pub use lanczos::Lanczos;
