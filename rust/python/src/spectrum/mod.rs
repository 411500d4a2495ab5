//! Python classes of solvers on operators, whose products a Python function computes.

mod density;
mod diagonal;
mod lanczos;
mod power_iteration;
mod symmetry;
mod trace;
mod xtrace;

pub use density::Density;
pub use diagonal::Diagonal;
pub use lanczos::Lanczos;
pub use power_iteration::PowerIteration;
pub use symmetry::asymmetry;
pub use trace::Trace;
pub use xtrace::XTrace;

use landscape_core::spectrum::Mean;

use crate::boundary::Rows;

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

/// Means as rows (value, standard error, both ends of the interval).
fn mean_rows(means: &[Mean]) -> Rows<f64> {
    let row = |m: &Mean| [m.value, m.standard_error, m.interval[0], m.interval[1]];
    Rows(means.iter().flat_map(row).collect(), 4)
}
