//! The linear assignment problem and the minimum spanning tree.

use landscape_core::combinatorial::{minimum_spanning_tree, solve_assignment};
use numpy::{PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::boundary::{matrix, table};
use crate::gate;

/// The column of each row in the assignment of maximal weight.
#[pyfunction]
pub fn assignment<'py>(
    py: Python<'py>,
    weights: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let weights = matrix::<f64>(weights)?;
    let count = weights.shape()[0];
    let columns = {
        let values = weights.as_slice()?;
        gate::enter(py, || solve_assignment(values, count))?
    };
    Ok(PyArray1::from_vec(py, to_int64(columns)?))
}

/// The edges of the minimum spanning tree.
#[pyfunction]
pub fn spanning_tree<'py>(
    py: Python<'py>,
    weights: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let weights = matrix::<f64>(weights)?;
    let (values, count) = (weights.as_slice()?, weights.shape()[0]);
    let edges = gate::check(|| minimum_spanning_tree(values, count))?;
    table(py, to_int64(edges.into_flattened())?, 2)
}

fn to_int64(indices: Vec<usize>) -> PyResult<Vec<i64>> {
    let converted = indices.into_iter().map(i64::try_from).collect::<Result<_, _>>();
    converted.map_err(|error| PyValueError::new_err(error.to_string()))
}
