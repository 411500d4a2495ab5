//! Paths between minima, with a Python object as the supplier of the loss.

mod autoneb;

pub use autoneb::AutoNeb;

use landscape_core::path::{Cycle, Rule};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A [`Rule`] by its name: `"adam"`, or a number, the momentum.
pub struct Descent(Rule);

impl FromPyObject<'_, '_> for Descent {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(momentum) = object.extract() {
            return Ok(Self(Rule::Momentum(momentum)));
        }
        match object.extract::<String>()?.as_str() {
            "adam" => Ok(Self(Rule::Adam)),
            other => Err(PyValueError::new_err(format!(
                "got {other:?}; pass \"adam\", or a momentum from 0 to 1"
            ))),
        }
    }
}

/// Rows (steps, learning rate) as cycles.
fn cycles(rows: &[(usize, f64)]) -> Vec<Cycle> {
    rows.iter().map(|&(steps, rate)| Cycle { steps, rate }).collect()
}
