//! Iterations on operators, with a Python function as the supplier of products.

pub mod callback;
mod density;
mod diagonal;
pub mod held;
mod lanczos;
mod power;
pub mod slot;
mod symmetry;
mod trace;
mod xtrace;

pub use density::Density;
pub use diagonal::Diagonal;
pub use lanczos::Lanczos;
pub use power::PowerIteration;
pub use symmetry::asymmetry;
pub use trace::Trace;
pub use xtrace::XTrace;

/// The t for which Student's distribution lies within ±t with the probability `level`.
#[pyo3::pyfunction]
pub fn student_quantile(level: f64, freedom: f64) -> pyo3::PyResult<f64> {
    if level > 0.0 && level < 1.0 && freedom > 0.0 {
        return Ok(landscape_core::spectrum::student_quantile(level, freedom));
    }
    Err(pyo3::exceptions::PyValueError::new_err(format!(
        "got level {level} and {freedom} degrees of freedom; pass a probability and a positive number"
    )))
}
