//! Paths between minima, with a Python object as the supplier of the loss.

mod autoneb;
mod bending;
mod matching;
mod simplices;

pub use autoneb::AutoNeb;
pub use bending::Bending;
pub use matching::{assignment, spanning_tree};
pub use simplices::{Simplices, simplex_log_volume, simplex_weights};

use landscape_core::Scalar;
use landscape_core::path::{Chain, Cycle, Look, Rule};
use numpy::{Element, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::table;

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

/// What looks have found, as rows.
fn looked<'py>(py: Python<'py>, looks: &[Look]) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let rows = looks.iter().flat_map(|l| [l.steps as f64, l.pivots as f64, l.highest]);
    table(py, rows.collect(), 3)
}

/// The points of a chain, as rows.
fn rows<'py, S: Scalar + Element>(
    py: Python<'py>,
    chain: &Chain<S>,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(table(py, chain.rows().to_vec(), chain.dim())?.into_any())
}
