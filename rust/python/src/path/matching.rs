//! Assignments.

use landscape_core::path::assignment as best;
use numpy::{PyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::matrix;
use crate::gate;

/// The column of each row in the assignment of most weight.
#[pyfunction]
pub fn assignment<'py>(
    py: Python<'py>,
    weights: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let weights = matrix::<f64>(weights)?;
    let count = weights.shape()[0];
    let found = {
        let values = weights.as_slice()?;
        gate::enter(py, || best(values, count))?
    };
    let columns = found.into_iter().map(i64::try_from).collect::<Result<Vec<_>, _>>();
    let columns = columns.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyArray1::from_vec(py, columns))
}
